package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// shareBench is a hub where alice's server runs, and bob is a member of the group lab.
type shareBench struct {
	*hubtest.Bench
	t                *testing.T
	alice, bob, root hub.User
}

func newShareBench(t *testing.T, change ...func(*hub.Options)) *shareBench {
	t.Helper()
	b := &shareBench{Bench: hubtest.New(t, change...), t: t}
	b.alice, b.bob, b.root = b.User("alice", false), b.User("bob", false), b.User("root", true)
	if _, err := b.Hub.CreateGroup(t.Context(), "lab", []string{"bob"}, nil); err != nil {
		t.Fatal(err)
	}
	b.Start("alice", "")
	return b
}

func (b *shareBench) principal(h *hub.Hub, secret string) hub.Principal {
	b.t.Helper()
	p, err := h.TokenPrincipal(b.t.Context(), secret)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *shareBench) share(with hub.Grantee, scopes ...string) {
	b.t.Helper()
	by := b.principal(b.Hub, b.Token(b.root))
	if _, err := b.Hub.ShareServer(b.t.Context(), by, hub.ShareWish{Owner: b.alice, Scopes: scopes}, with); err != nil {
		b.t.Fatal(err)
	}
}

func (b *shareBench) unshare(with hub.Grantee) {
	b.t.Helper()
	if _, remains, err := b.Hub.UnshareServer(b.t.Context(), hub.ShareWish{Owner: b.alice}, with); err != nil || remains {
		b.t.Fatalf("remains %v, %v", remains, err)
	}
}

// visit goes the road of OAuth as the user, and returns the token with which the server asks who its visitor is.
func (b *shareBench) visit(u hub.User) (secret string, err error) {
	b.t.Helper()
	ctx := b.t.Context()
	p := b.principal(b.Hub, b.Token(u))
	ask := hub.AuthorizeRequest{ClientID: hub.ClientID("alice", ""), ResponseType: "code"}
	client, err := b.Hub.OAuthClient(ctx, ask)
	if err != nil {
		return "", err
	}
	grant, err := b.Hub.Grant(ctx, p, client, ask)
	if err != nil {
		return "", err
	}
	if !grant.Confirm && u.ID != b.alice.ID {
		b.t.Error("somebody is led to another's server without being asked")
	}
	code, err := b.Hub.IssueCode(ctx, p, client, grant, ask)
	if err != nil {
		return "", err
	}
	s, err := b.Hub.Server(ctx, "alice", "")
	if err != nil {
		return "", err
	}
	reply, err := b.Hub.Exchange(ctx, hub.ExchangeRequest{ClientID: client.ID, ClientSecret: b.ServerToken(s), GrantType: "authorization_code", Code: code})
	return reply.AccessToken, err
}

// opens tells whether a server would let in who shows the token.
func (b *shareBench) opens(h *hub.Hub, secret string) bool {
	b.t.Helper()
	return slices.Contains(b.principal(h, secret).Scopes.Names(), "access:servers!server=alice/")
}

// A share opens the server for cookie and token principals alike, by way of a group too, on every replica, and only as long as it is there: what was issued by
// way of it is worth nothing from the next request on, and at other replicas a moment later.
func TestSharesOpenTheServerForAsLongAsTheyAreThere(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]hub.Grantee{"user": {User: "bob"}, "group": {Group: "lab"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newShareBench(t)
			other := b.Replica().Hub
			own := b.Token(b.bob)
			narrow := b.Token(b.bob, "read:users!user")
			if _, err := b.visit(b.bob); hub.KindOf(err) != hub.Forbidden {
				t.Errorf("bob gets in without a share: %v", err)
			}
			b.share(with)
			secret, err := b.visit(b.bob)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range []*hub.Hub{b.Hub, other} {
				if !b.opens(h, secret) || !b.opens(h, own) || b.opens(h, narrow) {
					t.Errorf("shared, the token of OAuth opens the server: %v, one that may all: %v, one that may little: %v",
						b.opens(h, secret), b.opens(h, own), b.opens(h, narrow))
				}
			}
			if p := b.principal(other, secret); p.Can("access:servers", scope.Server("alice", "x")) || p.Can("shares", scope.Server("alice", "")) {
				t.Error("the share gives more than was shared")
			}
			b.unshare(with)
			if b.opens(b.Hub, secret) || b.opens(b.Hub, own) {
				t.Errorf("taken back, the token of OAuth opens the server: %v, one that may all: %v", b.opens(b.Hub, secret), b.opens(b.Hub, own))
			}
			// Another replica remembers for a moment whose a token is.
			b.Eventually("the other replica notices", func() bool { return !b.opens(other, secret) && !b.opens(other, own) })
			if _, err := b.visit(b.bob); hub.KindOf(err) != hub.Forbidden {
				t.Errorf("bob still gets in: %v", err)
			}
		})
	}
}

func TestLeavingTheGroupEndsWhatIsSharedWithIt(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.share(hub.Grantee{Group: "lab"})
	secret, err := b.visit(b.bob)
	if err != nil || !b.opens(b.Hub, secret) {
		t.Fatalf("the share does not open the server: %v", err)
	}
	if _, err := b.Hub.RemoveMembers(t.Context(), "lab", []string{"bob"}); err != nil {
		t.Fatal(err)
	}
	if b.opens(b.Hub, secret) {
		t.Error("the server is open for who has left the group")
	}
}

// TestA44SharesDieWithWhomTheyAreFor gives nothing to another user or group of the same name.
func TestA44SharesDieWithWhomTheyAreFor(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.share(hub.Grantee{User: "bob"})
	b.share(hub.Grantee{Group: "lab"})
	if err := b.Hub.DeleteUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := b.Hub.DeleteGroup(t.Context(), "lab"); err != nil {
		t.Fatal(err)
	}
	bob := b.User("bob", false)
	if _, err := b.Hub.CreateGroup(t.Context(), "lab", []string{"bob"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.visit(bob); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("the new bob gets in: %v", err)
	}
}

func TestShareCodesCanBeUsedByManyUntilTheyExpire(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	b := newShareBench(t, func(o *hub.Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	ctx := t.Context()
	by := b.principal(b.Hub, b.Token(b.root))
	wish := hub.ShareWish{Owner: b.alice}
	for _, life := range []time.Duration{0, time.Minute - 1, 365*24*time.Hour + 1} {
		if _, _, err := b.Hub.NewShareCode(ctx, by, wish, life); hub.KindOf(err) != hub.Invalid {
			t.Errorf("a code of %v: %v", life, err)
		}
	}
	secret, made, err := b.Hub.NewShareCode(ctx, by, wish, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%s %+v", made.Hash, made), secret) {
		t.Error("the code itself is stored")
	}
	carol := b.User("carol", false)
	for range 2 {
		for _, u := range []hub.User{b.bob, carol} {
			share, err := b.Hub.AcceptShare(ctx, u, secret)
			if err != nil || share.User != u.Name || !slices.Equal(share.Scopes, []string{"access:servers"}) {
				t.Fatalf("%s gets %+v: %v", u.Name, share, err)
			}
		}
	}
	if token, err := b.visit(carol); err != nil || !b.opens(b.Hub, token) {
		t.Errorf("carol does not get in: %v", err)
	}
	if c, err := b.Hub.ShareCode(ctx, secret); err != nil || c.Exchanges != 4 || c.LastExchanged.IsZero() {
		t.Errorf("after four exchanges the code is %+v: %v", c, err)
	}
	if _, err := b.Hub.AcceptShare(ctx, b.alice, secret); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("alice accepts her own server: %v", err)
	}
	for _, unknown := range []string{"", "0", secret + "0"} {
		if _, err := b.Hub.AcceptShare(ctx, b.bob, unknown); hub.KindOf(err) != hub.NotFound {
			t.Errorf("the code %q: %v", unknown, err)
		}
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	if _, err := b.Hub.AcceptShare(ctx, b.bob, secret); hub.KindOf(err) != hub.NotFound {
		t.Errorf("the code outlives its time: %v", err)
	}
	if codes, total, err := b.Hub.ShareCodes(ctx, b.alice, 0, 10); err != nil || total != 0 {
		t.Errorf("what has expired is listed: %v, %v", codes, err)
	}
}

// Two who share at the same moment a server that never ran make one row of it, and neither share is lost.
func TestSharesOfAServerThatNeverRan(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	by := b.principal(b.Hub, b.Token(b.root))
	wish := hub.ShareWish{Owner: b.root}
	other := b.Replica().Hub
	var wg sync.WaitGroup
	for i, share := range []func() error{
		func() error { _, err := b.Hub.ShareServer(t.Context(), by, wish, hub.Grantee{User: "bob"}); return err },
		func() error {
			_, err := other.ShareServer(t.Context(), by, wish, hub.Grantee{Group: "lab"})
			return err
		},
		func() error { _, _, err := other.NewShareCode(t.Context(), by, wish, time.Hour); return err },
	} {
		wg.Go(func() {
			if err := share(); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if _, total, err := b.Hub.SharesOfServer(t.Context(), b.root, "", 0, 10); err != nil || total != 2 {
		t.Errorf("there are %d shares: %v", total, err)
	}
	b.Start("root", "") // as if it had no row
	if _, total, err := b.Hub.SharesOfServer(t.Context(), b.root, "", 0, 10); err != nil || total != 2 {
		t.Errorf("after the start there are %d shares: %v", total, err)
	}
}

// Who has somebody's server shared with them can make a token for it, and for no more.
func TestTokensForWhatIsShared(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	wish := hub.NewToken{Scopes: []string{"access:servers!server=alice/"}}
	if _, _, err := b.Hub.IssueToken(t.Context(), b.bob, wish); hub.KindOf(err) != hub.Invalid {
		t.Errorf("a token for a server that is not shared: %v", err)
	}
	b.share(hub.Grantee{Group: "lab"})
	bob, err := b.Hub.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := b.Hub.IssueToken(t.Context(), bob, wish)
	if err != nil || !b.opens(b.Hub, secret) {
		t.Errorf("a token for what is shared does not open it: %v", err)
	}
	if _, _, err := b.Hub.IssueToken(t.Context(), bob, hub.NewToken{Scopes: []string{"read:servers!server=alice/"}}); hub.KindOf(err) != hub.Invalid {
		t.Errorf("a token for more than is shared: %v", err)
	}
}

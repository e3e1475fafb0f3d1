package hub_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
)

func (b *bench) tryLogin(subject, name string) (hub.User, error) {
	b.t.Helper()
	_, u, err := b.hub.Login(b.t.Context(), auth.Identity{Provider: "test", Subject: subject, Name: name}, hub.Browser{}, hub.LoginOptions{})
	return u, err
}

// TestRulesAreAboutTheUserNotTheNameOfToday: at a provider names are given up and taken by others. Who has an account here is judged by the name of that account.
func TestRulesAreAboutTheUserNotTheNameOfToday(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.Admission = hub.Admission{AllowedUsers: []string{"bob", "carol"}, AdminUsers: []string{"root"}, BlockedUsers: []string{"mallory"}}
	})
	if u, err := b.tryLogin("42", "bob"); err != nil || u.Admin {
		t.Fatalf("bob: %+v, %v", u, err)
	}
	if u, err := b.tryLogin("42", "root"); err != nil || u.Name != "bob" || u.Admin {
		t.Errorf("bob, who took the name of the administrator at the provider: %+v, %v", u, err)
	}
	if u, err := b.hub.UserByName(t.Context(), "bob"); err != nil || u.Admin {
		t.Errorf("bob is now %+v, %v", u, err)
	}
	if u, err := b.tryLogin("42", "bobby"); err != nil || u.Name != "bob" {
		t.Errorf("bob under another name: %+v, %v", u, err)
	}
	if u, err := b.tryLogin("42", "b\x00d"); err != nil || u.Name != "bob" {
		t.Errorf("bob under a name that nobody could have here: %+v, %v", u, err)
	}
	if _, err := b.tryLogin("42", "mallory"); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("bob under a blocked name: %v", err)
	}
}

func TestWhoIsNoLongerAllowedGainsNothingByAnAllowedName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.tryLogin("66", "eve"); err != nil {
		t.Fatal(err)
	}
	b.stop()
	next := openBench(t, b.store, b.fake.Reopen(), func(o *hub.Options) {
		o.Admission = hub.Admission{AllowedUsers: []string{"alice"}}
	})
	if u, err := next.tryLogin("66", "alice"); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("eve under the name of alice: %+v, %v", u, err)
	}
}

func TestClientIDsAreNeverShared(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "a-b", "a-", "-b", "a--b", "a%2fb", "a~b", "a b", "b-a"}
	seen := map[string][2]string{}
	for _, user := range names {
		for _, server := range append([]string{""}, names...) {
			id := hub.ClientID(user, server)
			if other, taken := seen[id]; taken {
				t.Errorf("%q is the client of %q and of %q", id, other, [2]string{user, server})
			}
			seen[id] = [2]string{user, server}
		}
	}
	if id := hub.ClientID("joe b@ex.org", ""); id != "jupyterhub-user-joe%20b%40ex.org" {
		t.Errorf("a default server's client is %q, which is not JupyterHub's", id)
	}
}

// question is what the default server of the session's user sends for a code that the session was given.
func (b *bench) question(session hub.Session) hub.ExchangeRequest {
	b.t.Helper()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	ctx := b.t.Context()
	p, err := b.hub.SessionPrincipal(ctx, session.ID)
	must(err)
	s, err := b.hub.Server(ctx, p.User.Name, "")
	must(err)
	client, err := b.hub.OAuthClient(ctx, hub.AuthorizeRequest{ClientID: hub.ClientID(p.User.Name, "")})
	must(err)
	ask := hub.AuthorizeRequest{ClientID: client.ID, ResponseType: "code"}
	grant, err := b.hub.Grant(ctx, p, client, ask)
	must(err)
	code, err := b.hub.IssueCode(ctx, p, client, grant, ask)
	must(err)
	spec, _ := b.fake.Spec(s.ID)
	return hub.ExchangeRequest{
		ClientID: client.ID, ClientSecret: spec.Secrets["JUPYTERHUB_API_TOKEN"], GrantType: "authorization_code", Code: code,
	}
}

// TestA41_NoTokenForACodeAfterLogout: a server may sit on a code until its visitor has logged out.
func TestA41_NoTokenForACodeAfterLogout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	session, u, err := b.hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "alice", Name: "alice"}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	first, second := b.question(session), b.question(session)
	if _, err := b.hub.Exchange(t.Context(), first); err != nil {
		t.Fatalf("while logged in: %v", err)
	}
	if err := b.hub.Logout(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.Exchange(t.Context(), second); err == nil {
		t.Error("a code was good for a token after the logout")
	}
	tokens, err := b.hub.Tokens(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if token.BrowserID != "" {
			t.Errorf("after the logout there is %+v", token)
		}
	}
}

// TestTokensOfServersLastAsLongAsALogin: who is to log in every hour is not to be let into a server for two weeks.
func TestTokensOfServersLastAsLongAsALogin(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.SessionLifetime = time.Hour })
	b.placeAt(notebook(t))
	session, _, err := b.hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "alice", Name: "alice"}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	reply, err := b.hub.Exchange(t.Context(), b.question(session))
	if err != nil || reply.ExpiresIn != time.Hour {
		t.Fatalf("%+v, %v", reply, err)
	}
	b.clock.Add(int64(time.Hour))
	if _, err := b.hub.TokenPrincipal(t.Context(), reply.AccessToken); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("after an hour: %v", err)
	}
}

func TestTokenScopesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.login("alice")
	many := slices.Repeat([]string{"read:users!user=alice"}, 1001)
	if _, _, err := b.hub.IssueToken(t.Context(), u, hub.NewToken{Scopes: many}); hub.KindOf(err) != hub.Invalid || err == nil {
		t.Errorf("1001 scopes: %v", err)
	}
	_, token, err := b.hub.IssueToken(t.Context(), u, hub.NewToken{Scopes: many[:1000]})
	if err != nil || len(token.Scopes) != 1 {
		t.Errorf("the same scope again and again is kept as %d, %v", len(token.Scopes), err)
	}
}

func TestNewRulesHoldAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Admission = hub.Admission{AllowedUsers: []string{"alice"}} })
	if _, err := b.tryLogin("7", "bob"); hub.KindOf(err) != hub.Forbidden {
		t.Fatalf("bob, whom nobody let in: %v", err)
	}
	b.hub.SetAdmission(hub.Admission{AllowedUsers: []string{"bob"}})
	session, _, err := b.hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "7", Name: "bob"}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		t.Fatalf("bob, who is let in now: %v", err)
	}
	if _, err := b.hub.SessionPrincipal(t.Context(), session.ID); err != nil {
		t.Fatalf("bob's session: %v", err)
	}
	b.hub.SetAdmission(hub.Admission{AllowedUsers: []string{"bob"}, BlockedUsers: []string{"bob"}})
	if _, err := b.hub.SessionPrincipal(t.Context(), session.ID); err == nil {
		t.Error("bob is blocked, and his session goes on")
	}
}

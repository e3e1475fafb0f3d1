// Package storetest holds what every [hub.Store] must do, as tests that run on any of them.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/hub"
)

// Run runs the suite. open returns an empty store of its own at each call and closes it at the end of the test that it is given.
func Run(t *testing.T, open func(t *testing.T) hub.Store) {
	t.Helper()
	topics := []struct {
		name  string
		tests []test
	}{
		{"Users", users()},
		{"UserPages", userPages()},
		{"Groups", groups()},
		{"Identities", identities()},
		{"Sessions", sessions()},
		{"Tokens", tokens()},
		{"Servers", servers()},
		{"ServerPages", serverPages()},
		{"Activity", activity()},
		{"OAuth", oauth()},
		{"Services", services()},
		{"Shares", shares()},
		{"ShareCodes", shareCodes()},
		{"Leases", leases()},
		{"Volumes", volumes()},
		{"Queue", queue()},
		{"Volumes", volumes()},
		{"Usage", usage()},
		{"Audit", audit()},
		{"Census", census()},
		{"Culling", culling()},
		{"Transactions", transactions()},
		{"Times", times()},
		{"HostileText", hostileText()},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range topic.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(fixture{t, t.Context(), open(t)})
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(fixture)
}

// fixture is a test with its store, and makes the rows that tests need.
type fixture struct {
	*testing.T
	ctx   context.Context
	store hub.Store
}

// noon is a time with microseconds, in UTC.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func (f fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f fixture) wants(err, target error) {
	f.Helper()
	if !errors.Is(err, target) {
		f.Errorf("got error %v, want %v", err, target)
	}
}

// same compares values, times by the instant and in UTC both.
func (f fixture) same(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), exactTimes()); diff != "" {
		f.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func exactTimes() cmp.Option {
	return cmp.Comparer(func(a, b time.Time) bool {
		return a.Equal(b) && a.IsZero() == b.IsZero() && (a.IsZero() || (a.Location() == time.UTC && b.Location() == time.UTC))
	})
}

func (f fixture) user(name string, groups ...string) hub.User {
	f.Helper()
	u := hub.User{ID: newID(), Name: name, Groups: groups, Created: noon}
	f.must(f.store.CreateUser(f.ctx, u))
	return u
}

func (f fixture) server(owner hub.User, name string, state hub.ServerState) hub.Server {
	f.Helper()
	s := hub.Server{ID: newID(), UserID: owner.ID, UserName: owner.Name, Name: name, State: state, Created: noon}
	f.must(f.store.CreateServer(f.ctx, s))
	return s
}

func (f fixture) client(server hub.Server) hub.OAuthClient {
	f.Helper()
	c := hub.OAuthClient{
		ID: "jupyterhub-user-" + server.ID, SecretHash: hashOf(server.ID), RedirectURI: "/user/x/oauth_callback", ServerID: server.ID,
		Description: "Server at /user/x/", AllowedScopes: []string{"read:users:name!user", "access:servers!server=x/"},
	}
	f.must(f.store.PutClient(f.ctx, c))
	return c
}

func (f fixture) token(t hub.Token) hub.Token {
	f.Helper()
	t.Hash = hashOf(newID())
	made, err := f.store.CreateToken(f.ctx, t)
	f.must(err)
	return made
}

func (f fixture) code(user hub.User, client hub.OAuthClient) hub.OAuthCode {
	f.Helper()
	c := hub.OAuthCode{
		Hash: hashOf(newID()), ClientID: client.ID, UserID: user.ID, BrowserID: strings.Repeat("ab", 16),
		RedirectURI: client.RedirectURI, Scopes: []string{"self"}, Challenge: "c", ChallengeType: "S256", Expires: noon,
	}
	f.must(f.store.CreateCode(f.ctx, c))
	return c
}

func (f fixture) session(user hub.User, browser string) hub.Session {
	f.Helper()
	s := hub.Session{
		ID: newID(), UserID: user.ID, BrowserID: browser, Provider: "dummy", Address: "2001:db8::1", UserAgent: "Firefox",
		Created: noon, LastSeen: noon, Expires: noon.Add(time.Hour),
	}
	f.must(f.store.CreateSession(f.ctx, s))
	return s
}

// eventually calls ok until it is true, or fails the test after some seconds.
func (f fixture) eventually(what string, ok func() bool) {
	f.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			f.Fatalf("%s: not within 20 seconds", what)
		case <-tick.C:
		}
	}
}

package hub_test

import (
	"testing"

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

// TestNoTokenForACodeAfterLogout: a server may sit on a code until its visitor has logged out.
func TestNoTokenForACodeAfterLogout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	session, u, err := b.hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "alice", Name: "alice"}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	spec, _ := b.fake.Spec(s.ID)
	client, err := b.hub.OAuthClient(t.Context(), hub.AuthorizeRequest{ClientID: hub.ClientID("alice", "")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.hub.SessionPrincipal(t.Context(), session.ID)
	if err != nil {
		t.Fatal(err)
	}
	ask := hub.AuthorizeRequest{ClientID: client.ID, ResponseType: "code"}
	exchange := func(code string) error {
		_, err := b.hub.Exchange(t.Context(), hub.ExchangeRequest{
			ClientID: client.ID, ClientSecret: spec.Secrets["JUPYTERHUB_API_TOKEN"], GrantType: "authorization_code", Code: code,
		})
		return err
	}
	var codes []string
	for range 2 {
		grant, err := b.hub.Grant(t.Context(), p, client, ask)
		if err != nil {
			t.Fatal(err)
		}
		code, err := b.hub.IssueCode(t.Context(), p, client, grant, ask)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	if err := exchange(codes[0]); err != nil {
		t.Fatalf("while logged in: %v", err)
	}
	if err := b.hub.Logout(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if err := exchange(codes[1]); err == nil {
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

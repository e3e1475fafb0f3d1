package oauth_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

const (
	whoamiToken    = "0123456789abcdef-whoami"
	whoamiCallback = "/services/whoami/oauth_callback"
)

// withService is a bench with a service that bob may use, and alice may not. root is an administrator.
func withService(t *testing.T, change func(*hub.Service)) *bench {
	t.Helper()
	b := newBench(t)
	s := hub.Service{Name: "whoami", URL: "http://127.0.0.1:1", AllowedScopes: []string{"read:users!user", "servers!user", "read:hub"}}
	if change != nil {
		change(&s)
	}
	if err := b.Hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: s, Token: whoamiToken}}); err != nil {
		t.Fatal(err)
	}
	b.User("bob", false)
	b.User("root", true)
	b.roles(scope.Role{Name: "visitors", Scopes: []string{"access:services!service=whoami"}, Users: []string{"bob"}})
	return b
}

func (b *bench) roles(r ...scope.Role) {
	b.t.Helper()
	p, err := scope.NewPolicy(r, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Hub.SetRoles(p)
}

// ofService is what the service asks.
func ofService(pairs ...string) url.Values {
	return question(append([]string{"client_id", "service-whoami", "redirect_uri", whoamiCallback}, pairs...)...)
}

// consents sends the form of the consent page with these scopes ticked, and returns the code.
func (b *bench) consents(c *http.Client, q url.Values, ticked ...string) string {
	b.t.Helper()
	page := b.ask(c, q)
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "the service whoami") {
		b.t.Fatalf("no question: %s to %q: %s", page.Status, page.Header.Get("Location"), page.body)
	}
	a := b.answer(c, q, page, ticked...)
	to, err := a.Location()
	if err != nil || to.Query().Get("code") == "" {
		b.t.Fatalf("no code: %s %v: %s", a.Status, a.Header, a.body)
	}
	return to.Query().Get("code")
}

// answer sends the form of a consent page.
func (b *bench) answer(c *http.Client, q url.Values, page answer, ticked ...string) answer {
	b.t.Helper()
	_, rest, _ := strings.Cut(page.body, `name="_xsrf" value="`)
	xsrf, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"scopes": ticked, "_xsrf": {html.UnescapeString(xsrf)}}
	return b.send(c, http.MethodPost, "/hub/api/oauth2/authorize?"+q.Encode(), form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// serviceToken exchanges a code as the service.
func (b *bench) serviceToken(code string) string {
	b.t.Helper()
	a := b.exchange(code, "client_id", "service-whoami", "client_secret", whoamiToken, "redirect_uri", whoamiCallback)
	if a.StatusCode != http.StatusOK {
		b.t.Fatalf("no token: %s: %s", a.Status, a.body)
	}
	return field(b.t, a.body, "access_token")
}

func (b *bench) may(token string) []string {
	b.t.Helper()
	p, err := b.Hub.TokenPrincipal(b.t.Context(), token)
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Scopes.Names()
}

func TestServiceLogin(t *testing.T) {
	t.Parallel()
	b := withService(t, nil)
	if a := b.ask(b.Browser("alice"), ofService()); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "You may not use the service whoami") {
		t.Errorf("alice got %s: %s", a.Status, a.body)
	}
	bob := b.Browser("bob")
	if a := b.ask(bob, ofService("redirect_uri", "https://evil.example/")); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a foreign redirect URI: %s", a.Status)
	}
	code := b.consents(bob, ofService(), "servers!user")
	want := []string{
		"access:services!service=whoami", "delete:servers!user=bob", "read:servers!user=bob", "read:users:groups!user=bob", "read:users:name!user=bob",
		"servers!user=bob", "start:servers!user=bob",
	}
	token := b.serviceToken(code)
	if got := b.may(token); !slices.Equal(got, want) {
		t.Errorf("the service may %v, want what bob ticked: %v", got, want)
	}

	// What bob loses, the token loses at once. TestA07 has the like for servers.
	b.roles()
	if got := b.may(token); slices.Contains(got, "access:services!service=whoami") {
		t.Errorf("the role is gone, and the token may %v", got)
	}
	b.roles(scope.Role{Name: "visitors", Scopes: []string{"access:services!service=whoami"}, Users: []string{"bob"}})

	// Once all is granted, nobody is asked any more.
	b.serviceToken(b.consents(bob, ofService(), "servers!user", "read:users!user"))
	if a := b.ask(bob, ofService()); a.StatusCode != http.StatusFound {
		t.Errorf("bob is asked again for what he granted: %s", a.Status)
	}

	// A logout ends what was issued in it.
	b.send(bob, http.MethodGet, "/hub/logout", "")
	if _, err := b.Hub.TokenPrincipal(t.Context(), token); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("after the logout the token is %v", err)
	}
}

func TestServiceScopes(t *testing.T) {
	t.Parallel()
	b := withService(t, func(s *hub.Service) { s.NoConfirm = true })
	bob, root := b.Browser("bob"), b.Browser("root")
	granted := func(c *http.Client, pairs ...string) []string {
		t.Helper()
		a := b.ask(c, ofService(pairs...))
		to, err := a.Location()
		if err != nil || to.Query().Get("code") == "" {
			t.Fatalf("no code: %s to %q: %s", a.Status, a.Header.Get("Location"), a.body)
		}
		return b.may(b.serviceToken(to.Query().Get("code")))
	}
	all := granted(bob)
	if slices.Contains(all, "read:hub") || !slices.Contains(all, "servers!user=bob") {
		t.Errorf("by default a service has what it is allowed and the visitor has: %v", all)
	}
	if all := granted(root); !slices.Contains(all, "read:hub") {
		t.Errorf("an administrator can grant more: %v", all)
	}
	identity := []string{"access:services!service=whoami", "read:users:groups!user=bob", "read:users:name!user=bob"}
	if got := granted(bob, "scope", "identify"); !slices.Equal(got, identity) {
		t.Errorf("identify gives %v", got)
	}
	if got := granted(bob, "scope", "read:hub"); !slices.Equal(got, identity) {
		t.Errorf("what bob does not have is dropped, and not %v", got)
	}
	if got := granted(bob, "scope", "read:users:activity!user access:services!service=whoami"); !slices.Contains(got, "read:users:activity!user=bob") {
		t.Errorf("a part of what is allowed: %v", got)
	}
	for _, more := range []string{"admin:users", "read:users", "servers", "inherit", "self", "admin", "no:such", "access:services", "servers!user=alice"} {
		a := b.ask(root, ofService("scope", more))
		if !strings.HasPrefix(a.Header.Get("Location"), whoamiCallback+"?error=invalid_scope&") {
			t.Errorf("%s: %s to %q", more, a.Status, a.Header.Get("Location"))
		}
	}
}

// TestServiceSecret: a service's own tokens are its secret, and nothing else is.
func TestServiceSecret(t *testing.T) {
	t.Parallel()
	b := withService(t, func(s *hub.Service) { s.NoConfirm = true })
	a := b.ask(b.Browser("bob"), ofService())
	to, err := a.Location()
	if err != nil {
		t.Fatal(err)
	}
	code := to.Query().Get("code")
	issued := b.serviceToken(code)
	for name, secret := range map[string]string{"nothing": "-", "a server's token": b.secret, "what was issued to it": issued, "another": "x"} {
		a := b.exchange(code, "client_id", "service-whoami", "client_secret", secret, "redirect_uri", whoamiCallback)
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, "invalid_client") {
			t.Errorf("%s: %s: %s", name, a.Status, a.body)
		}
	}
	if a := b.exchange(code, "client_secret", whoamiToken); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the service speaks as alice's server: %s", a.Status)
	}
}

// TestServiceElsewhere sends visitors back to an address of its own.
func TestServiceElsewhere(t *testing.T) {
	t.Parallel()
	const uri = "https://app.example.org/back?from=hub"
	b := withService(t, func(s *hub.Service) { s.NoConfirm, s.URL, s.RedirectURI, s.ClientID = true, "", uri, "service-app" })
	bob := b.Browser("bob")
	a := b.ask(bob, ofService("client_id", "service-app", "redirect_uri", uri))
	if !strings.HasPrefix(a.Header.Get("Location"), uri+"&code=") {
		t.Errorf("%s to %q: %s", a.Status, a.Header.Get("Location"), a.body)
	}
	if a := b.ask(bob, ofService()); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the usual client ID is known, too: %s", a.Status)
	}
	root := b.Browser("root") // whom nobody trusted to be asked nothing
	again := hub.Service{Name: "whoami", RedirectURI: uri, ClientID: "service-app"}
	if err := b.Hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: again, Token: whoamiToken}}); err != nil {
		t.Fatal(err)
	}
	q := ofService("client_id", "service-app", "redirect_uri", uri)
	page := b.answer(root, q, b.ask(root, q))
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `content="0;url=`+html.EscapeString(uri+"&code=")) {
		t.Errorf("after the form, a browser would not go on to another site: %s: %s", page.Status, page.body)
	}
	if err := b.Hub.SetServices(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if a := b.ask(bob, ofService("client_id", "service-app", "redirect_uri", uri)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the service was removed, and its client is there: %s", a.Status)
	}
}

func field(t *testing.T, body, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	text, _ := m[name].(string)
	return text
}

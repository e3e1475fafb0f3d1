package api_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// These tests are made from the router's own table, so no route can be forgotten. What each says to each scope is in scopes_internal_test.go; here real
// requests come in through the front door.

var update = flag.Bool("update", false, "write testdata anew")

func (b *bench) routes() []api.Route {
	b.t.Helper()
	routes, err := b.rest().Routes()
	if err != nil || len(routes) < 50 {
		b.t.Fatalf("%d routes, %v", len(routes), err)
	}
	return routes
}

// closed are the routes that are not open to everybody.
func (b *bench) closed() []api.Route {
	open := golden(b.t)
	return slices.DeleteFunc(b.routes(), func(r api.Route) bool { return slices.Contains(open, r.Method+" "+r.Path) })
}

var goldenFile = filepath.Join("testdata", "open.txt")

func golden(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func unsafe(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// TestA46_WhatIsOpen compares the routes that answer strangers with a file, and tries what could make others answer.
func TestA46_WhatIsOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc, _, err := b.rest().Describe()
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, r := range b.routes() {
		key := r.Method + " " + r.Path
		a := b.as("", r.Method, api.Concrete(r.Path), "")
		described := doc["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)["security"] != nil
		if described != (a.status != http.StatusForbidden) {
			t.Errorf("%s answers a stranger with %d, and is described otherwise", key, a.status)
		}
		if a.status != http.StatusForbidden {
			open = append(open, key)
		}
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(strings.Join(open, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "open to everybody", open, golden(t))
	// All at once: if one of them opened a door, all of them would.
	query := "?token=" + b.tokens["root"] + "&access_token=" + b.tokens["root"] + "&admin=1&_xsrf=x&_method=GET"
	headers := []string{
		"X-Forwarded-User", "root", "X-Remote-User", "root", "X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "X-Original-URL", "/hub/api/health",
		"X-Rewrite-URL", "/hub/health", "X-HTTP-Method-Override", "GET", "Proxy-Authorization", "token " + b.tokens["root"], "Sec-Fetch-Mode", "no-cors",
		"Sec-Fetch-Site", "same-origin", "Cookie", "jupyterhub-hub-login=root", "X-JupyterHub-Token", b.tokens["root"],
	}
	for _, r := range b.closed() {
		if a := b.as("", r.Method, api.Concrete(r.Path)+query, "", headers...); a.status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, a.status, a.body)
		}
	}
}

// TestF33_BadTokensAtEachRoute shows tokens that are none, no longer, or somebody's who is gone.
func TestF33_BadTokensAtEachRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	expired, _, err := b.Hub.IssueToken(t.Context(), b.root, hub.NewToken{ExpiresIn: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	revoked := b.Token(b.root)
	id := b.as(revoked, http.MethodGet, "/user", "").object()["token_id"].(string)
	b.as("root", http.MethodDelete, "/users/"+b.root.Name+"/tokens/"+id, "").want(http.StatusNoContent)
	gone := b.Token(b.User("gone", true))
	b.as("root", http.MethodDelete, "/users/gone", "").want(http.StatusNoContent)
	b.as("root", http.MethodPost, "/users/gone", `{"admin": true}`).want(http.StatusCreated) // another of the same name
	s := b.Start("bob", "")
	stopped := b.ServerToken(s)
	b.as("root", http.MethodDelete, "/users/bob/server", "")
	b.Await(s.ID, hub.Stopped)
	for name, token := range map[string]string{
		"garbage": "0123456789abcdef", "expired": expired, "revoked": revoked, "of a deleted administrator": gone, "of a stopped server": stopped,
		"nearly": b.tokens["root"][1:], "longer": b.tokens["root"] + "0", "hostile": "' OR 1=1 --",
	} {
		for _, r := range b.closed() {
			if a := b.as(token, r.Method, api.Concrete(r.Path), ""); a.status != http.StatusForbidden || strings.Contains(a.body, "scopes") {
				t.Errorf("%s %s with a token that is %s: %d %s", r.Method, r.Path, name, a.status, a.body)
			}
		}
	}
}

// TestA10_AllOtherScopesAtEachRoute gives an administrator's token every scope that does not open the route, and the right one for something else.
func TestA10_AllOtherScopesAtEachRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tokens := map[string]string{} // by scopes
	token := func(scopes []string) string {
		key := strings.Join(scopes, " ")
		if tokens[key] == "" {
			tokens[key] = b.Token(b.root, scopes...)
		}
		return tokens[key]
	}
	tried := 0
	for _, r := range b.routes() {
		if len(r.Scopes) == 0 {
			continue
		}
		var others []string
		for name := range scope.All() {
			opens := slices.ContainsFunc(scope.Expand([]string{name}, scope.Owner{User: "root"}).Names(), func(held string) bool {
				bare, _, _ := strings.Cut(held, "!")
				return slices.Contains(r.Scopes, bare)
			})
			if !opens && name != scope.Self && name != scope.Inherit {
				others = append(others, name)
			}
		}
		want := http.StatusForbidden
		if slices.ContainsFunc(scope.Identify(scope.Owner{User: "root"}), func(raw string) bool {
			name, _, _ := strings.Cut(raw, "!")
			return slices.Contains(r.Scopes, name)
		}) {
			want = http.StatusNotFound // every token may read who its owner is
		}
		a := b.as(token(others), r.Method, api.Concrete(r.Path), "{}").want(want)
		for _, s := range r.Scopes {
			if want == http.StatusForbidden && !strings.Contains(a.body, s) {
				t.Errorf("%s %s does not say that it needs %s: %s", r.Method, r.Path, s, a.body)
			}
		}
		elsewhere := []string{r.Scopes[0] + "!user=bob", r.Scopes[0] + "!server=bob/lab", r.Scopes[0] + "!group=chemistry", r.Scopes[0] + "!service=other"}
		if r.About == "some" { // of which there would be a list
			elsewhere = elsewhere[1:2]
		}
		for _, raw := range elsewhere {
			if a := b.as(token([]string{raw}), r.Method, api.Concrete(r.Path), "{}"); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
				t.Errorf("%s %s with %s: %d %s", r.Method, r.Path, raw, a.status, a.body)
			}
			tried++
		}
	}
	if tried < 100 {
		t.Errorf("only %d were tried", tried)
	}
}

// TestA03_EachWriteNeedsThePageToken sends what a browser sends by itself when another site has it make a request: cookies, and nothing else that is right.
func TestA03_EachWriteNeedsThePageToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	root, bob, old := b.Browser("root"), b.Browser("bob"), b.Browser("root")
	former := b.Cookie(old, "/hub/", "_xsrf")
	if err := get(t, old, b.Public.URL+"/hub/logout"); err != nil {
		t.Fatal(err)
	}
	right := b.Cookie(root, "/hub/", "_xsrf")
	tokens := map[string]string{
		"none": "", "of another user": b.Cookie(bob, "/hub/", "_xsrf"), "of an ended session": former, "of a visitor": b.Cookie(b.visitor(), "/hub/", "_xsrf"),
		"cut": right[1:], "longer": right + "0", "the session's ID": b.Cookie(root, "/hub/", "jupyterhub-session-id"),
	}
	writes := 0
	for _, r := range b.closed() {
		if !unsafe(r.Method) {
			continue
		}
		writes++
		path := api.Concrete(r.Path)
		for name, token := range tokens {
			for _, headers := range [][]string{
				{"Content-Type", "application/json", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"},
				{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors"},
			} {
				if token != "" {
					headers = append(headers, "X-XSRFToken", token)
				}
				if a := b.browse(root, r.Method, path, "", headers...); a.status != http.StatusForbidden {
					t.Errorf("%s %s with a page token that is %s, %v: %d %s", r.Method, r.Path, name, headers, a.status, a.body)
				}
			}
		}
	}
	if writes < 20 {
		t.Errorf("only %d writes", writes)
	}
	b.browse(root, http.MethodPost, "/users", `{"usernames": ["made"]}`, "Content-Type", "application/json", "X-XSRFToken", right).want(http.StatusCreated)
}

// visitor is a browser in which nobody is logged in, with a page token.
func (b *bench) visitor() *http.Client {
	c := b.Browser("")
	if err := get(b.t, c, b.Public.URL+"/hub/login"); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func get(t *testing.T, c *http.Client, address string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// TestA04_HowBrowsersSayTheyAsk goes through all that a browser says of a request by itself. Without a page token only reading passes, and only where the browser
// says that it opens a page, shows something of the same origin, or opens a websocket.
func TestA04_HowBrowsersSayTheyAsk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.Browser("alice")
	for _, mode := range []string{"", "navigate", "no-cors", "cors", "same-origin", "websocket", "nested-navigate", "NAVIGATE", "no-cors, navigate"} {
		for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none"} {
			for _, kind := range []string{"", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
				headers := []string{"Content-Type", kind}
				for name, value := range map[string]string{"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site} {
					if value != "" {
						headers = append(headers, name, value)
					}
				}
				want := http.StatusForbidden
				if mode == "" || mode == "navigate" || mode == "websocket" || mode == "no-cors" && site == "same-origin" {
					want = http.StatusOK
				}
				if a := b.browse(alice, http.MethodGet, "/user", "", headers...); a.status != want {
					t.Errorf("GET with %v: %d, want %d", headers, a.status, want)
				}
				for _, method := range []string{http.MethodPost, http.MethodDelete} {
					if a := b.browse(alice, method, "/users/alice/server", "", headers...); a.status != http.StatusForbidden {
						t.Errorf("%s with %v: %d", method, headers, a.status)
					}
				}
			}
		}
	}
}

// TestA05_LogoutHoldsInEveryTab: another tab's requests after the logout must not bring the login back, on no hub.
func TestA05_LogoutHoldsInEveryTab(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.Replica()
	a, err := api.New(api.Options{Hub: other.Hub, Sessions: other.Sessions, Logger: other.Log})
	if err != nil {
		t.Fatal(err)
	}
	other.Serve(a.Mount, nil)
	tab := b.Browser("alice")
	login := b.Cookie(tab, "/hub/", "jupyterhub-hub-login")
	kept := "jupyterhub-hub-login=" + login + "; jupyterhub-session-id=" + b.Cookie(tab, "/hub/", "jupyterhub-session-id")
	ask := func(base string) answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/hub/api/user", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", kept)
		return b.send(b.Public.Client(), req)
	}
	for _, base := range []string{b.Public.URL, other.Public.URL} {
		ask(base).want(http.StatusOK)
	}
	if err := get(t, tab, b.Public.URL+"/hub/logout"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, base := range []string{b.Public.URL, other.Public.URL} {
			a := ask(base).want(http.StatusForbidden)
			for _, c := range a.header.Values("Set-Cookie") {
				if strings.Contains(c, "hub-login=") {
					t.Errorf("a cookie is made anew: %s", c)
				}
			}
		}
	}
}

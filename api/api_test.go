package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
)

func sorted(s []string) []string { slices.Sort(s); return s }

func TestNewNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := api.New(api.Options{}); err == nil {
		t.Error("an API without a hub is accepted")
	}
}

func TestRootAndHealthNeedNoCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"", "/"} {
		a := b.as("", http.MethodGet, path, "").want(http.StatusOK)
		same(t, "root", a.object(), map[string]any{"version": hub.Version})
		same(t, "cross-origin", a.header.Get("Access-Control-Allow-Origin"), "*")
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		b.as("", method, "/health", "").want(http.StatusOK).empty()
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/nothing", "/users/", "/users/alice/", "/users/alice/server/", "/user/", "/users/alice/servers", "/oauth2x"} {
		b.as("root", http.MethodGet, path, "").want(http.StatusNotFound)
		b.as("", http.MethodGet, path, "").want(http.StatusNotFound)
	}
	for path, allowed := range map[string]string{
		"/user":                  "OPTIONS, GET",
		"/users":                 "OPTIONS, GET, POST",
		"/users/alice":           "OPTIONS, GET, POST, PATCH, DELETE",
		"/users/alice/server":    "OPTIONS, GET, POST, PUT, PATCH, DELETE",
		"/users/alice/servers/":  "OPTIONS, GET, POST, PUT, PATCH, DELETE",
		"/users/alice/servers/x": "OPTIONS, GET, POST, PUT, PATCH, DELETE",
		"/users/alice/tokens":    "OPTIONS, GET, POST",
		"/users/alice/tokens/a1": "OPTIONS, GET, DELETE",
		"/users/alice/activity":  "OPTIONS, POST",
	} {
		a := b.as("root", http.MethodTrace, path, "").want(http.StatusMethodNotAllowed)
		same(t, path, a.header.Get("Allow"), allowed)
	}
	if a := b.as("root", http.MethodHead, "/users", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", a.status)
	}
	for _, path := range []string{"", "/users", "/users/alice/server", "/no/such/path"} {
		a := b.as("", http.MethodOptions, path, "").want(http.StatusOK)
		a.empty()
		same(t, "headers", a.header.Get("Access-Control-Allow-Headers"), "accept, content-type, authorization")
		same(t, "no other site", a.header.Get("Access-Control-Allow-Origin"), "")
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("alice", http.MethodGet, "/info", "").want(http.StatusForbidden)
	b.as("", http.MethodGet, "/info", "").want(http.StatusForbidden)
	info := b.as("root", http.MethodGet, "/info", "").want(http.StatusOK).object()
	same(t, "version", info["version"], any(hub.Version))
	same(t, "spawner", info["spawner"], any(map[string]any{"class": "fake", "version": "1"}))
	same(t, "keys", keys(info), "authenticator nomadhub_version python spawner sys_executable version")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, header := range map[string]string{
		"nothing": "", "unknown": "token 0123456789", "basic": "Basic YWxpY2U6eA==", "two values": "token " + b.tokens["alice"] + " x", "no scheme": b.tokens["alice"],
	} {
		a := b.as("", http.MethodGet, "/user", "", "Authorization", header).want(http.StatusForbidden)
		if a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: the answer asks for credentials, which browsers do with a window of their own", name)
		}
	}
	for _, scheme := range []string{"token", "Token", "bearer", "Bearer", "BEARER"} {
		b.as("", http.MethodGet, "/user", "", "Authorization", scheme+" "+b.tokens["alice"]).want(http.StatusOK)
	}
	if a := b.as("", http.MethodGet, "/user?token="+b.tokens["alice"], ""); a.status != http.StatusForbidden {
		t.Error("a token in the address is accepted")
	}
}

func (b *bench) browse(c *http.Client, method, path, body string, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.Public.URL+"/hub/api"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return b.send(c, req)
}

func TestBrowsersSpeakByCookieAndPageToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.Browser("alice")
	page := b.Cookie(c, "/hub/", "_xsrf")
	who := b.browse(c, http.MethodGet, "/user", "").want(http.StatusOK).object()
	same(t, "no token, and nothing of one", []any{who["session_id"], who["token_id"]}, []any{nil, nil})

	b.browse(c, http.MethodGet, "/user", "", "Sec-Fetch-Mode", "navigate").want(http.StatusOK)
	b.browse(c, http.MethodGet, "/user", "", "Sec-Fetch-Mode", "cors").want(http.StatusForbidden)
	b.browse(c, http.MethodGet, "/user", "", "Sec-Fetch-Mode", "cors", "X-XSRFToken", page).want(http.StatusOK)
	b.browse(c, http.MethodGet, "/user?_xsrf="+page, "", "Sec-Fetch-Mode", "cors").want(http.StatusOK)
	b.browse(c, http.MethodGet, "/user", "", "Sec-Fetch-Mode", "cors", "X-XSRFToken", page+"0").want(http.StatusForbidden)

	b.browse(c, http.MethodPost, "/users/alice/tokens", "{}", "Content-Type", "application/json").want(http.StatusForbidden)
	b.browse(c, http.MethodPost, "/users/alice/tokens", "{}", "Content-Type", "application/json", "X-XSRFToken", page).want(http.StatusCreated)
	b.browse(c, http.MethodPost, "/users/alice/tokens", "", "X-XSRFToken", page).want(http.StatusCreated)
	b.browse(c, http.MethodPost, "/users/alice/tokens", "", "Content-Type", "application/x-www-form-urlencoded", "X-XSRFToken", page).want(http.StatusForbidden)
	// A token in the header is as good without cookies, and a bad one falls back to them.
	b.browse(c, http.MethodGet, "/user", "", "Authorization", "token nonsense").want(http.StatusOK)
	b.browse(b.Browser(""), http.MethodGet, "/user", "", "Authorization", "token "+b.tokens["bob"]).want(http.StatusOK)
}

// TestWhoMayNotLearnsNothing checks that what is hidden and what does not exist are told in the same words.
func TestWhoMayNotLearnsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, r := range []struct{ method, path string }{
		{http.MethodGet, ""}, {http.MethodPost, "/activity"}, {http.MethodPost, "/server"}, {http.MethodDelete, "/server"},
		{http.MethodGet, "/server"}, {http.MethodGet, "/servers/x"}, {http.MethodGet, "/server/progress"}, {http.MethodGet, "/tokens"},
		{http.MethodDelete, "/tokens/a1"}, {http.MethodGet, "/tokens/a1"},
	} {
		hidden := b.as("alice", r.method, "/users/bob"+r.path, "{}").want(http.StatusNotFound).problem()
		absent := b.as("alice", r.method, "/users/nobody"+r.path, "{}").want(http.StatusNotFound).problem()
		same(t, r.method+r.path, hidden, absent)
	}
	for _, r := range []struct{ method, path string }{
		{http.MethodPost, ""}, {http.MethodPatch, ""}, {http.MethodDelete, ""},
	} {
		for _, name := range []string{"alice", "bob", "nobody"} {
			m := b.as("alice", r.method, "/users/"+name+r.path, "{}").want(http.StatusForbidden).problem()
			if !strings.Contains(m, "users") {
				t.Errorf("%s: the message does not name the scope: %s", r.method, m)
			}
		}
	}
	// JupyterHub hides behind 403 here.
	b.as("alice", http.MethodPost, "/users/bob/tokens", "").want(http.StatusForbidden)
	b.as("alice", http.MethodPost, "/users/nobody/tokens", "").want(http.StatusForbidden)
	b.as("root", http.MethodPost, "/users/nobody/tokens", "").want(http.StatusForbidden)
}

func TestBodiesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	huge := `{"note": "` + strings.Repeat("x", 2<<20) + `"}`
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/users", ""},
		{http.MethodPost, "/users", "{}"},
		{http.MethodPost, "/users", `{"usernames": []}`},
		{http.MethodPost, "/users", `{"usernames": "carol"}`},
		{http.MethodPost, "/users", `{"usernames": [1]}`},
		{http.MethodPost, "/users", `{"usernames": ["carol"], "admin": "yes"}`},
		{http.MethodPost, "/users", `{"usernames": ["carol"], "admn": true}`},
		{http.MethodPost, "/users", `{"usernames": ["carol", "a/b"]}`},
		{http.MethodPost, "/users", `["carol"]`},
		{http.MethodPost, "/users", `{"usernames": ["carol"]} {}`},
		{http.MethodPost, "/users", `{"usernames": ["carol"]`},
		{http.MethodPost, "/users/carol", `{"admin": 1}`},
		{http.MethodPost, "/users/carol", `{"color": "red"}`},
		{http.MethodPost, "/users/carol", `{"name": "dora"}`},
		{http.MethodPost, "/users/a%2Fb", ""},
		{http.MethodPatch, "/users/bob", ``},
		{http.MethodPatch, "/users/bob", `null`},
		{http.MethodPatch, "/users/bob", `[]`},
		{http.MethodPatch, "/users/bob", `{"admin": null, "x": 1}`},
		{http.MethodPatch, "/users/bob", `{"name": "alice"}`},
		{http.MethodPatch, "/users/bob", `{"name": "a/b"}`},
		{http.MethodPatch, "/users/bob", `{"name": ""}`},
		{http.MethodPatch, "/users/bob", `{"name": 5}`},
		{http.MethodPatch, "/users/bob", `{"groups": ["g"]}`},
		{http.MethodPatch, "/users/bob", `{"roles": ["admin"]}`},
		{http.MethodPatch, "/users/bob", `{"auth_state": {}}`},
		{http.MethodPost, "/users/bob/tokens", huge},
		{http.MethodPost, "/users/bob/tokens", `{"note": 1}`},
		{http.MethodPost, "/users/bob/tokens", `{"expires_in": "1h"}`},
		{http.MethodPost, "/users/bob/tokens", `{"expires_in": 1.5}`},
		{http.MethodPost, "/users/bob/tokens", `{"expires_in": -1}`},
		{http.MethodPost, "/users/bob/tokens", `{"expires_in": 9223372036854775807}`},
		{http.MethodPost, "/users/bob/tokens", `{"scopes": "self"}`},
		{http.MethodPost, "/users/bob/tokens", `{"scopes": ["no:such"]}`},
		{http.MethodPost, "/users/bob/tokens", `{"scopes": ["admin:users"]}`},
		{http.MethodPost, "/users/bob/tokens", `{"roles": ["king"]}`},
		{http.MethodPost, "/users/bob/tokens", `{"roles": ["admin"]}`},
		{http.MethodPost, "/users/bob/tokens", `{"roles": ["token"], "scopes": ["self"]}`},
		{http.MethodPost, "/users/bob/tokens", `[]`},
		{http.MethodPost, "/users/bob/server", `[]`},
		{http.MethodPost, "/users/bob/server", `"gpu"`},
		{http.MethodPost, "/users/bob/server", `{`},
		{http.MethodDelete, "/users/bob/server", `{"remove": "yes"}`},
		{http.MethodDelete, "/users/bob/server", `{"remove": true}`},
		{http.MethodPost, "/users/bob/activity", ``},
		{http.MethodPost, "/users/bob/activity", `[]`},
		{http.MethodPost, "/users/bob/activity", `{"servers": {}}`},
		{http.MethodPost, "/users/bob/activity", `{"servers": {"": null}}`},
		{http.MethodPost, "/users/bob/activity", `{"servers": {"": {}}}`},
		{http.MethodPost, "/users/bob/activity", `{"servers": {"none": {"last_activity": "2020-01-01T00:00:00Z"}}}`},
		{http.MethodPost, "/users/bob/activity", `{"last_activity": "yesterday"}`},
		{http.MethodPost, "/users/bob/activity", `{"last_activity": 5}`},
		{http.MethodPost, "/users/bob/activity", `{"last_activity": "2999-01-01T00:00:00Z"}`},
	} {
		if a := b.as("root", c.method, c.path, c.body); a.status != http.StatusBadRequest {
			t.Errorf("%s %s %.80s: got %d, want 400: %s", c.method, c.path, c.body, a.status, a.body)
		} else {
			a.problem()
		}
	}
}

package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

const graderToken, adminServiceToken = "0123456789abcdef-grader", "0123456789abcdef-admin"

// withServices is a bench whose configuration defines a plain service and one that is an administrator.
func withServices(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	err := b.Hub.SetServices(t.Context(), []hub.ConfiguredService{
		{Service: hub.Service{Name: "grader", URL: "http://127.0.0.1:1", Display: true, Info: map[string]any{"by": "staff"}}, Token: graderToken},
		{Service: hub.Service{Name: "robot", Admin: true}, Token: adminServiceToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestServicesKnowThemselves(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	m := b.as(graderToken, http.MethodGet, "/user", "").want(http.StatusOK).object()
	if id, _ := m["token_id"].(string); !strings.HasPrefix(id, "a") {
		t.Errorf("the token's ID is %v", m["token_id"])
	}
	delete(m, "token_id")
	same(t, "a service without a role", m, map[string]any{"kind": "service", "name": "grader", "admin": false, "session_id": nil, "scopes": []any{}})

	m = b.as(adminServiceToken, http.MethodGet, "/user", "").want(http.StatusOK).object()
	if scopes, _ := m["scopes"].([]any); m["admin"] != true || len(scopes) < 40 {
		t.Errorf("an administrator is %v", m)
	}
}

// TestServicesWithoutRolesMayNothing tries what users may do with what is their own: a service is no user without a name.
func TestServicesWithoutRolesMayNothing(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	for _, at := range []string{
		"GET /users", "GET /users/", "GET /users/alice", "GET /users/grader", "POST /users/grader", "GET /services", "GET /services/grader", "GET /groups", "GET /info",
		"POST /users/alice/server", "POST /users//server", "GET /users//tokens", "POST /users/alice/tokens", "POST /users/grader/tokens", "POST /users/alice/activity",
		"DELETE /services/grader",
	} {
		method, path, _ := strings.Cut(at, " ")
		if a := b.as(graderToken, method, path, ""); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", at, a.status, a.body)
		}
	}
}

// TestServicesActAsThemselves lets an administrator of a service do what an administrator does.
func TestServicesActAsThemselves(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	b.as(adminServiceToken, http.MethodPost, "/users/carol", "").want(http.StatusCreated)
	b.as(adminServiceToken, http.MethodPost, "/users/dora", `{"admin": true}`).want(http.StatusCreated)
	m := b.as(adminServiceToken, http.MethodPost, "/users/alice/tokens", "{}").want(http.StatusCreated).object()
	same(t, "the note says who", m["note"], any("Requested via api by service robot"))
	b.as(adminServiceToken, http.MethodPost, "/users/alice/server", "").want(http.StatusCreated)
	b.as(adminServiceToken, http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent)
	b.as(adminServiceToken, http.MethodDelete, "/users/carol", "").want(http.StatusNoContent)
	b.as(adminServiceToken, http.MethodPost, "/users/robot/activity", `{}`).want(http.StatusNotFound)
}

func TestServicesAreRead(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	list := b.as("root", http.MethodGet, "/services", "").want(http.StatusOK).object()
	same(t, "names", keys(list), "grader robot")
	m := b.as("root", http.MethodGet, "/services/grader", "").want(http.StatusOK).object()
	same(t, "the same in the list", len(list["grader"].(map[string]any)), len(m))
	delete(m, "healthy") // is found out meanwhile
	same(t, "grader", m, map[string]any{
		"kind": "service", "name": "grader", "admin": false, "roles": []any{}, "url": "http://127.0.0.1:1", "prefix": "/services/grader/", "command": []any{},
		"pid": 0.0, "info": map[string]any{"by": "staff"}, "display": true,
	})
	robot := list["robot"].(map[string]any)
	same(t, "robot", []any{robot["url"], robot["prefix"], robot["admin"], robot["roles"], robot["healthy"]}, []any{"", "", true, []any{"admin"}, nil})
	b.as("root", http.MethodGet, "/services/nobody", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/services/", "").want(http.StatusNotFound)
	b.as("alice", http.MethodGet, "/services", "").want(http.StatusForbidden)
	b.as("alice", http.MethodGet, "/services/grader", "").want(http.StatusForbidden)
	b.as("", http.MethodGet, "/services", "").want(http.StatusForbidden)
}

// TestServicesAreShownAsFarAsScopesGo reads with tokens that hold a part.
func TestServicesAreShownAsFarAsScopesGo(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	token := func(scopes ...string) string { return b.Token(b.root, scopes...) }
	narrow := token("list:services!service=grader")
	same(t, "a list that is narrowed", b.as(narrow, http.MethodGet, "/services", "").want(http.StatusOK).object(),
		map[string]any{"grader": map[string]any{"kind": "service", "name": "grader", "admin": false}})
	b.as(narrow, http.MethodGet, "/services/grader", "").want(http.StatusOK)
	b.as(narrow, http.MethodGet, "/services/robot", "").want(http.StatusNotFound)
	b.as(narrow, http.MethodGet, "/services/nobody", "").want(http.StatusNotFound)
	roles := b.as(token("read:roles:services"), http.MethodGet, "/services/robot", "").want(http.StatusOK).object()
	same(t, "roles alone", roles, map[string]any{"kind": "service", "name": "robot", "admin": true, "roles": []any{"admin"}})
	b.as(token("read:services"), http.MethodGet, "/services", "").want(http.StatusForbidden)
	b.as(token("list:services"), http.MethodPost, "/services/new", "{}").want(http.StatusForbidden)
	b.as(token("list:services"), http.MethodDelete, "/services/grader", "").want(http.StatusForbidden)
}

func TestServicesAreMadeAndRemoved(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.EscapedPath()+" of "+r.Host)
	}))
	t.Cleanup(backend.Close)
	const secret = "a-token-of-a-new-service"
	m := b.as("root", http.MethodPost, "/services/new", `{"name": "other", "url": "`+backend.URL+`", "api_token": "`+secret+`", "info": {"a": [1]}, "admin": false}`).
		want(http.StatusCreated).object()
	same(t, "the answer", []any{m["kind"], m["name"], m["url"], m["prefix"], m["display"], m["info"]},
		[]any{"service", "new", backend.URL, "/services/new/", true, map[string]any{"a": []any{1.0}}})
	b.as("root", http.MethodPost, "/services/new", `{}`).want(http.StatusConflict)
	same(t, "it speaks", b.as(secret, http.MethodGet, "/user", "").want(http.StatusOK).object()["name"], any("new"))
	b.Eventually("the service is routed, with its whole path", func() bool {
		return b.visit("/services/new/a%2Fb") == "/services/new/a%2Fb of "+b.Public.Listener.Addr().String()
	})
	b.Eventually("it is known to answer", func() bool {
		return b.as("root", http.MethodGet, "/services/new", "").want(http.StatusOK).object()["healthy"] == true
	})

	b.as("root", http.MethodDelete, "/services/new", "").want(http.StatusOK).empty()
	b.as("root", http.MethodDelete, "/services/new", "").want(http.StatusNotFound)
	b.as(secret, http.MethodGet, "/user", "").want(http.StatusForbidden)
	b.Eventually("the route is gone", func() bool { _, ok := b.Router.Table().Lookup("/services/new/"); return !ok })
	b.as("root", http.MethodDelete, "/services/grader", "").want(http.StatusMethodNotAllowed)
	b.as(graderToken, http.MethodGet, "/user", "").want(http.StatusOK)
}

// visit reads what is at a path of the proxy.
func (b *bench) visit(path string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.Public.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

func TestServicesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	b := withServices(t)
	maker := b.Token(b.root, "admin:services", "read:users!user=alice")
	for _, c := range []struct{ name, who, service, body string }{
		{"no body", "root", "x", ""},
		{"null", "root", "x", "null"},
		{"no object", "root", "x", `["x"]`},
		{"an unknown key", "root", "x", `{"colour": "red"}`},
		{"a wrong type", "root", "x", `{"admin": "yes"}`},
		{"a command", "root", "x", `{"command": ["true"]}`},
		{"an odd name", "root", "a%20b", `{}`},
		{"a path for a name", "root", "..%2Fx", `{}`},
		{"no address", "root", "x", `{"url": "ftp://10.0.0.5"}`},
		{"an address with a user", "root", "x", `{"url": "http://a:b@10.0.0.5:1"}`},
		{"another's address", "root", "x", `{"url": "http://127.0.0.1:1"}`},
		{"a short token", "root", "x", `{"api_token": "1234567"}`},
		{"a token that no header can hold", "root", "x", `{"api_token": "12345678\n"}`},
		{"another's token", "root", "x", `{"api_token": "` + graderToken + `"}`},
		{"a server's client ID", "root", "x", `{"oauth_client_id": "jupyterhub-user-alice"}`},
		{"another's client ID", "root", "x", `{"oauth_client_id": "service-grader", "oauth_redirect_uri": "/services/x/cb"}`},
		{"a redirect to nowhere", "root", "x", `{"oauth_redirect_uri": "//evil.example.org/"}`},
		{"a script as redirect", "root", "x", `{"oauth_redirect_uri": "javascript:alert(1)"}`},
		{"an unknown scope", "root", "x", `{"oauth_client_allowed_scopes": ["no:such"]}`},
		{"more than the maker has, by its client", maker, "x", `{"oauth_client_allowed_scopes": ["read:users"]}`},
		{"more than the maker has, by its flag", maker, "x", `{"admin": true}`},
	} {
		a := b.as(c.who, http.MethodPost, "/services/"+c.service, c.body)
		if conflict := strings.HasPrefix(c.name, "another's"); a.status != http.StatusBadRequest && (!conflict || a.status != http.StatusConflict) {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if strings.Contains(a.body, graderToken) {
			t.Errorf("%s: the answer shows a token", c.name)
		}
	}
	same(t, "none was made", keys(b.as("root", http.MethodGet, "/services", "").object()), "grader robot")
	b.as(maker, http.MethodPost, "/services/x", `{"oauth_client_allowed_scopes": ["read:users!user=alice"]}`).want(http.StatusCreated)
}

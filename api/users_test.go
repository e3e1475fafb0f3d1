package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

func TestWhoami(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := b.Start("alice", "")
	t.Run("all that a user may", func(t *testing.T) {
		m := b.as("alice", http.MethodGet, "/user", "").want(http.StatusOK).object()
		same(t, "keys", keys(m), "admin created groups kind last_activity name pending roles scopes server servers session_id token_id user_info")
		same(t, "kind", m["kind"], any("user"))
		same(t, "server", m["server"], any("/user/alice/"))
		scopes := fmt.Sprint(m["scopes"])
		for _, want := range []string{"access:servers!user=alice", "servers!user=alice", "tokens!user=alice"} {
			if !strings.Contains(scopes, want) {
				t.Errorf("%s is not in %s", want, scopes)
			}
		}
		if strings.Contains(scopes, "self") || strings.Contains(scopes, "inherit") || strings.Contains(scopes, "!user ") {
			t.Errorf("the scopes are not expanded: %s", scopes)
		}
		if id, _ := m["token_id"].(string); !strings.HasPrefix(id, "a") {
			t.Errorf("the token's ID is %v", m["token_id"])
		}
	})
	t.Run("a server's own token", func(t *testing.T) {
		m := b.as(b.ServerToken(server), http.MethodGet, "/user", "").want(http.StatusOK).object()
		same(t, "keys", keys(m), "admin groups kind last_activity name scopes session_id token_id user_info")
		same(t, "scopes", m["scopes"], any([]any{
			"access:servers!server=alice/", "read:users:activity!user=alice", "read:users:groups!user=alice", "read:users:name!user=alice",
			"users:activity!user=alice",
		}))
	})
	t.Run("a token without any scope", func(t *testing.T) {
		token := b.as("alice", http.MethodPost, "/users/alice/tokens", `{"scopes": []}`).want(http.StatusCreated).object()["token"].(string)
		m := b.as(token, http.MethodGet, "/user", "").want(http.StatusOK).object()
		same(t, "keys", keys(m), "admin groups kind name scopes session_id token_id user_info")
		same(t, "groups", m["groups"], any([]any{}))
		same(t, "session", m["session_id"], nil)
	})
	t.Run("an administrator's", func(t *testing.T) {
		m := b.as("root", http.MethodGet, "/user", "").want(http.StatusOK).object()
		same(t, "admin", m["admin"], any(true))
		if scopes := fmt.Sprint(m["scopes"]); !strings.Contains(scopes, " admin:users ") {
			t.Errorf("the scopes are %s", scopes)
		}
	})
	t.Run("whose owner is gone", func(t *testing.T) {
		token := b.Token(b.User("shortlived", false))
		b.as("root", http.MethodDelete, "/users/shortlived", "").want(http.StatusNoContent).empty()
		b.as(token, http.MethodGet, "/user", "").want(http.StatusForbidden)
	})
}

func TestFieldsFollowScopes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inGroup("alice", "physics")
	b.Start("alice", "")
	// Every token may also read its owner's name, so the tokens are a stranger's.
	for scope, want := range map[string]string{
		"read:users":                     "admin created groups kind last_activity name pending roles server user_info",
		"read:users!user=alice":          "admin created groups kind last_activity name pending roles server user_info",
		"read:users:name":                "admin kind name user_info",
		"read:users:groups":              "groups kind name",
		"read:users:activity":            "kind last_activity name",
		"read:roles:users":               "admin kind name roles",
		"read:servers":                   "admin kind name servers user_info",
		"read:servers!server=alice/":     "",
		"admin:users":                    "admin auth_state created groups kind last_activity name pending roles server user_info",
		"admin:servers":                  "admin kind name servers user_info",
		"servers!user=alice":             "admin kind name servers user_info",
		"read:users!group=physics":       "admin created groups kind last_activity name pending roles server user_info",
		"read:users:activity!user=alice": "kind last_activity name",
	} {
		m := b.as(b.Token(b.root, scope), http.MethodGet, "/users/alice", "")
		if scope == "read:servers!server=alice/" { // one server does not reveal its user
			m.want(http.StatusNotFound)
			continue
		}
		same(t, scope, keys(m.want(http.StatusOK).object()), want)
	}
	state := b.as("root", http.MethodGet, "/users/alice", "").object()["servers"].(map[string]any)[""].(map[string]any)["state"]
	if state == nil {
		t.Error("an administrator does not see a server's state")
	}
	if m := b.as("alice", http.MethodGet, "/users/alice", "").object(); m["servers"].(map[string]any)[""].(map[string]any)["state"] != nil {
		t.Error("a user sees the state of their server")
	}
}

// inGroup logs a user in whose provider says which groups they are in.
func (b *bench) inGroup(name string, groups ...string) hub.User {
	b.t.Helper()
	_, u, err := b.Hub.Login(b.t.Context(), auth.Identity{Provider: "test", Subject: name, Name: name, Groups: groups}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func TestUserModel(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.URLs = hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.example.org"}, "http://127.0.0.1:1")
	})
	b.inGroup("alice", "b", "a")
	b.as("root", http.MethodPost, "/users/alice/servers/r%20d", `{"gpu": 1}`).want(http.StatusCreated).empty()
	m := b.as("root", http.MethodGet, "/users/alice", "").want(http.StatusOK).object()
	same(t, "groups", m["groups"], any([]any{"a", "b"}))
	same(t, "the default server does not run", m["server"], nil)
	same(t, "nothing is pending", m["pending"], nil)
	same(t, "roles", m["roles"], any([]any{"user"}))
	s := m["servers"].(map[string]any)["r d"].(map[string]any)
	for _, key := range []string{"started", "last_activity", "state"} {
		if s[key] == nil && key != "last_activity" {
			t.Errorf("%s is missing in %v", key, s)
		}
		delete(s, key)
	}
	same(t, "server", s, map[string]any{
		"name": "r d", "display_name": "r d", "full_name": "alice/r d", "pending": nil, "ready": true, "stopped": false,
		"url": "/user/alice/r%20d/", "progress_url": "/hub/api/users/alice/servers/r%20d/progress",
		"full_url":          "https://hub.example.org/user/alice/r%20d/",
		"full_progress_url": "https://hub.example.org/hub/api/users/alice/servers/r%20d/progress",
		"last_used":         nil, // not JupyterHub's: nobody has used it yet
		"user_options":      map[string]any{"gpu": 1.0},
	})
	b.as("root", http.MethodDelete, "/users/alice/servers/r%20d", "").want(http.StatusNoContent).empty()
	m = b.as("root", http.MethodGet, "/users/alice", "").object()
	same(t, "only active servers", m["servers"], any(map[string]any{}))
	for query, shown := range map[string]bool{"include_stopped_servers": true, "include_stopped_servers=1": true, "include_stopped_servers=0": false, "include_stopped_servers=False": false} {
		list := b.as("root", http.MethodGet, "/users/alice?"+query, "").object()["servers"].(map[string]any)
		same(t, query, len(list) == 2, shown)
		if shown {
			same(t, "the default server was never started", []any{list[""].(map[string]any)["name"], list[""].(map[string]any)["stopped"]}, []any{"", true})
			same(t, "started", list["r d"].(map[string]any)["started"], nil)
			same(t, "stopped", list["r d"].(map[string]any)["stopped"], any(true))
		}
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Start("bob", "")
	slow := b.User("slow", false)
	b.Fake.OnStart = func(scheduler.Spec) {} // never gets a place
	if _, err := b.Hub.StartServer(t.Context(), slow.Name, "", nil); err != nil {
		t.Fatal(err)
	}
	b.as("alice", http.MethodGet, "/users", "").want(http.StatusForbidden)
	for query, want := range map[string][]string{
		"":                               {"alice", "bob", "root", "slow"},
		"?sort=name":                     {"alice", "bob", "root", "slow"},
		"?sort=-name":                    {"slow", "root", "bob", "alice"},
		"?sort=id":                       {"alice", "bob", "root", "slow"},
		"?sort=-id":                      {"slow", "root", "bob", "alice"},
		"?name_filter=O":                 {"bob", "root", "slow"},
		"?name_filter=%25":               {},
		"?state=ready":                   {"bob"},
		"?state=active":                  {"bob", "slow"},
		"?state=inactive":                {"alice", "root"},
		"?state=active&sort=-name":       {"slow", "bob"},
		"?limit=2":                       {"alice", "bob"},
		"?limit=-2&offset=-1":            {"bob", "root"},
		"?limit=0":                       {"alice"},
		"?limit=100000":                  {"alice", "bob", "root", "slow"},
		"?offset=100":                    {},
		"?name_filter=" + "%00":          {},
		"?state=inactive&name_filter=al": {"alice"},
	} {
		same(t, query, names(b.as("root", http.MethodGet, "/users"+query, "").want(http.StatusOK).list()), want)
	}
	for _, query := range []string{"?state=asleep", "?sort=height", "?sort=", "?sort=-", "?limit=x", "?offset=1.5", "?limit=99999999999999999999", "?offset=-9223372036854775808"} {
		b.as("root", http.MethodGet, "/users"+query, "").want(http.StatusBadRequest)
	}
	list := b.as("root", http.MethodGet, "/users?state=active&sort=name", "").list()
	same(t, "ready", list[0]["server"], any("/user/bob/"))
	same(t, "pending", list[1]["pending"], any("spawn"))
	same(t, "not ready", list[1]["server"], nil)
}

func TestListUsersWithin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inGroup("bob", "physics")
	b.inGroup("alice", "physics")
	page := []string{"Accept", "application/jupyterhub-pagination+json"}
	for scopes, want := range map[string][]string{
		"list:users!user=alice":                         {"alice"},
		"list:users!group=physics":                      {"alice", "bob"},
		"list:users!group=physics list:users!user=root": {"alice", "bob", "root"},
		"list:users!group=none":                         {},
	} {
		token := b.Token(b.root, strings.Fields(scopes)...)
		same(t, scopes, names(b.as(token, http.MethodGet, "/users?sort=name", "").want(http.StatusOK).list()), want)
	}
	token := b.Token(b.root, "list:users!group=physics")
	m := b.as(token, http.MethodGet, "/users?limit=1&offset=1&sort=name", "", page...).object()
	same(t, "pages of what may be seen", m["_pagination"].(map[string]any)["total"], any(2.0))
	b.as(b.Token(b.root, "list:users!server=alice/"), http.MethodGet, "/users", "").want(http.StatusForbidden)
	same(t, "fields", keys(b.as(b.Token(b.root, "list:users"), http.MethodGet, "/users", "").list()[0]), "admin kind name user_info")
}

func TestPagesOfUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf(`"u%02d"`, i))
	}
	b.as("root", http.MethodPost, "/users", `{"usernames": [`+strings.Join(names, ",")+`]}`).want(http.StatusCreated)
	accept := []string{"Accept", "application/json, Application/JupyterHub-Pagination+JSON"}

	first := b.as("root", http.MethodGet, "/users?sort=name&name_filter=u", "", accept...).want(http.StatusOK).object()
	p := first["_pagination"].(map[string]any)
	next := p["next"].(map[string]any)
	same(t, "first page", []any{p["offset"], p["limit"], p["total"], next["offset"], next["limit"], float64(len(first["items"].([]any)))},
		[]any{0.0, 50.0, 60.0, 50.0, 50.0, 50.0})
	at := next["url"].(string)
	if !strings.HasPrefix(at, b.Servers.URL+"/hub/api/users?") {
		t.Fatalf("the next page is at %s", at)
	}
	last := b.as("root", http.MethodGet, strings.TrimPrefix(at, b.Servers.URL+"/hub/api"), "", accept...).want(http.StatusOK).object()
	same(t, "last page", len(last["items"].([]any)), 10)
	same(t, "no further page", last["_pagination"].(map[string]any)["next"], nil)

	same(t, "without the header, all at once", len(b.as("root", http.MethodGet, "/users", "").list()), 63)
	same(t, "a quality is not understood, as in JupyterHub",
		len(b.as("root", http.MethodGet, "/users", "", "Accept", accept[1]+";q=1").list()), 63)
}

// TestNextPageIsWhereTheClientIs checks that the address of the next page has the name by which the client reached us.
func TestNextPageIsWhereTheClientIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.URLs = hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.example.org"}, "http://127.0.0.1:1")
	})
	for _, c := range []struct{ host, proto, want string }{
		{"10.0.0.7:8081", "", "http://10.0.0.7:8081/"},
		{"hub.example.org", "", "https://hub.example.org/"},
		{"other.example.org", "https", "https://other.example.org/"},
		{"other.example.org", "javascript", "http://other.example.org/"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Servers.URL+"/hub/api/users?limit=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Accept", "application/jupyterhub-pagination+json")
		req.Header.Set("X-Forwarded-Proto", c.proto)
		req.Header.Set("Authorization", "token "+b.tokens["root"])
		m := b.send(b.Servers.Client(), req).want(http.StatusOK).object()
		next := m["_pagination"].(map[string]any)["next"].(map[string]any)["url"].(string)
		if !strings.HasPrefix(next, c.want+"hub/api/users?") {
			t.Errorf("%+v: the next page is at %s", c, next)
		}
	}
}

func TestCreateUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("alice", http.MethodPost, "/users", `{"usernames": ["carol"]}`).want(http.StatusForbidden)
	list := b.as("root", http.MethodPost, "/users", `{"usernames": ["Carol", "alice", "dora"]}`).want(http.StatusCreated).list()
	same(t, "created", names(list), []string{"carol", "dora"})
	same(t, "model", keys(list[0]), "admin auth_state created groups kind last_activity name pending roles server servers user_info")
	b.as("root", http.MethodPost, "/users", `{"usernames": ["carol", "dora"]}`).want(http.StatusConflict)

	b.as("root", http.MethodPost, "/users/emil", "").want(http.StatusCreated)
	b.as("root", http.MethodPost, "/users/emil", "").want(http.StatusConflict)
	same(t, "admin", b.as("root", http.MethodPost, "/users/chief", `{"admin": true}`).want(http.StatusCreated).object()["admin"], any(true))
	b.as("root", http.MethodPost, "/users/no%20one", `{"name": "no one"}`).want(http.StatusCreated)

	b.as("root", http.MethodPatch, "/users/emil", `{"admin": true}`).want(http.StatusOK)
	same(t, "now an administrator", b.as("root", http.MethodGet, "/users/emil", "").object()["roles"], any([]any{"admin", "user"}))
	m := b.as("root", http.MethodPatch, "/users/emil", `{"admin": false, "name": "emil"}`).want(http.StatusOK).object()
	same(t, "no longer", []any{m["admin"], m["auth_state"]}, []any{false, nil})
	b.as("root", http.MethodPatch, "/users/nobody", `{"admin": true}`).want(http.StatusNotFound)
}

// TestOnlyAdministratorsMakeAdministrators: no scope is enough.
func TestOnlyAdministratorsMakeAdministrators(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	deputy := b.User("deputy", true)
	b.tokens["deputy"] = b.Token(deputy, "admin:users")
	b.as("deputy", http.MethodPost, "/users/carol", `{"admin": true}`).want(http.StatusForbidden) // or the token could make one that does more than it
	b.as("deputy", http.MethodPost, "/users/carol", `{}`).want(http.StatusCreated)
	b.as(b.Token(deputy, "inherit"), http.MethodPatch, "/users/carol", `{"admin": true}`).want(http.StatusOK)
	if _, err := b.Hub.SetAdmin(t.Context(), "deputy", false); err != nil {
		t.Fatal(err)
	}
	b.as("deputy", http.MethodPatch, "/users/bob", `{"admin": true}`).want(http.StatusForbidden)
	narrowed := b.Token(b.root, "admin:users!user=bob")
	b.as(narrowed, http.MethodPatch, "/users/bob", `{}`).want(http.StatusOK)
	b.as(narrowed, http.MethodPatch, "/users/alice", `{}`).want(http.StatusNotFound)
	b.as(narrowed, http.MethodPost, "/users", `{"usernames": ["x"]}`).want(http.StatusForbidden)
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, api.Options{SlowStop: soon})
	b.as("root", http.MethodDelete, "/users/root", "").want(http.StatusBadRequest)
	b.as("root", http.MethodDelete, "/users/nobody", "").want(http.StatusNotFound)
	b.as("alice", http.MethodDelete, "/users/alice", "").want(http.StatusForbidden)

	one, two := b.Start("alice", ""), b.Start("alice", "two")
	gate := make(chan struct{})
	b.Fake.OnStop = func(scheduler.Spec) { <-gate }
	a := b.as("root", http.MethodDelete, "/users/alice", "").want(http.StatusBadRequest)
	if !strings.Contains(a.body, "still stopping") {
		t.Errorf("the message is %s", a.body)
	}
	b.as("root", http.MethodGet, "/users/alice", "").want(http.StatusOK)
	close(gate)
	b.Await(one.ID, hub.Stopped)
	b.Await(two.ID, hub.Stopped)
	b.Start("alice", "")
	b.as("root", http.MethodDelete, "/users/alice", "").want(http.StatusNoContent).empty()
	b.as("root", http.MethodGet, "/users/alice", "").want(http.StatusNotFound)
	if running, err := b.Fake.List(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("servers of nobody are left: %v %v", running, err)
	}
}

func TestActivity(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := b.Start("alice", "")
	own := b.ServerToken(server)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	stamp := at.Format("2006-01-02T15:04:05.000000Z")
	body := `{"last_activity": "` + stamp + `", "servers": {"": {"last_activity": "` + stamp + `"}}, "new_key": 1}`
	b.as(own, http.MethodPost, "/users/alice/activity", body).want(http.StatusOK).empty()
	b.as(own, http.MethodPost, "/users/bob/activity", body).want(http.StatusNotFound)
	b.as("", http.MethodPost, "/users/alice/activity", body).want(http.StatusForbidden)
	b.as("root", http.MethodPost, "/users/nobody/activity", body).want(http.StatusNotFound)
	b.as(b.Token(b.alice, "read:users!user"), http.MethodPost, "/users/alice/activity", body).want(http.StatusForbidden)
	b.as(own, http.MethodPost, "/users/alice/activity", `{"last_activity": "2001-01-01"}`).want(http.StatusOK) // older: taken, not stored

	// A moment of the future that is within the clocks' error counts as now. Whoever reads sees it at once.
	later := time.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)
	b.as(own, http.MethodPost, "/users/alice/activity", `{"servers": {"": {"last_activity": "`+later+`"}}}`).want(http.StatusOK)
	s := b.as("alice", http.MethodGet, "/users/alice", "").object()["servers"].(map[string]any)[""].(map[string]any)
	text, _ := s["last_activity"].(string)
	if seen, err := time.Parse(time.RFC3339Nano, text); err != nil || time.Since(seen) > 10*time.Minute || seen.After(time.Now()) {
		t.Errorf("the server was last active at %s", text)
	}
}

package web_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/web"
)

// acts are all of the program.
func acts() httpd.Acts {
	all := api.Acts()
	maps.Copy(all, web.Acts())
	maps.Copy(all, oauth.Acts())
	return all
}

// entry waits for an entry of the audit log that is as wanted, and returns it.
func (b *bench) entry(q hub.AuditQuery, wanted func(hub.AuditEntry) bool) hub.AuditEntry {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		entries, err := b.hub.AuditLog(b.t.Context(), q)
		check(b.t, err)
		if i := slices.IndexFunc(entries, wanted); i >= 0 {
			return entries[i]
		}
		select {
		case <-deadline:
			b.t.Fatalf("there is no such entry among %+v", entries)
		case <-tick.C:
		}
	}
}

func about(action, target string, result hub.AuditResult) func(hub.AuditEntry) bool {
	return func(e hub.AuditEntry) bool { return e.Action == action && e.Target == target && e.Result == result }
}

// TestAuditLogHasEveryActAndNoSecret: who did what to whom from where is written down for API, pages and logins alike, and no secret that travelled is.
func TestAuditLogHasEveryActAndNoSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	admin, alice := b.loggedIn("admin"), b.loggedIn("alice")
	visitor := b.visit()
	form := visitor.get("/hub/login").form("login")
	visitor.submit(form, credentials("alice", "hunter2-the-secret")).want(http.StatusForbidden)
	visitor.submit(form, credentials("my-Passw0rd-typed-as-name", "x")).want(http.StatusForbidden)

	made := alice.submit(alice.get("/hub/token").form("create"), url.Values{"expires_in": {"0"}, "note": {"n"}}).want(http.StatusOK)
	node := made.find(func(n *html.Node) bool { return attribute(n, "id") == "secret" })
	if node == nil {
		t.Fatal("no secret is shown")
	}
	secret := node.FirstChild.Data
	for path, want := range map[string]int{"users/alice/server": http.StatusCreated, "users/bob": http.StatusForbidden, "users/alice/activity": http.StatusOK} {
		body := `{"password": "in-the-options", "last_activity": "2026-01-01T00:00:00Z"}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.site.URL+"/hub/api/"+path, strings.NewReader(body))
		check(t, err)
		req.Header.Set("Authorization", "token "+secret)
		res, err := b.site.Client().Do(req)
		check(t, err)
		check(t, res.Body.Close())
		if res.StatusCode != want {
			t.Errorf("POST %s: status %d, want %d", path, res.StatusCode, want)
		}
	}
	admin.submit(admin.get("/hub/admin").form("add"), url.Values{"name": {"Bob"}}).want(http.StatusSeeOther)
	alice.get("/hub/logout").want(http.StatusFound)

	login := b.entry(hub.AuditQuery{}, about("login", "user/alice", hub.AuditDone))
	if login.Kind != hub.ActorUser || login.Actor != "alice" || login.Address != "127.0.0.1" || !strings.Contains(string(login.Detail), `"provider":"door"`) {
		t.Errorf("the login is %+v with %s", login, login.Detail)
	}
	failed := b.entry(hub.AuditQuery{}, about("login", "user/alice", hub.AuditRefused))
	if failed.Actor != "" || failed.Address != "127.0.0.1" {
		t.Errorf("the failed login is %+v", failed)
	}
	b.entry(hub.AuditQuery{}, about("login", "user", hub.AuditRefused))
	start := b.entry(hub.AuditQuery{Actions: []string{"server.start"}}, about("server.start", "server/alice", hub.AuditDone))
	if start.Actor != "alice" || start.Token == 0 || start.Owner != "alice" || start.OwnerID == "" {
		t.Errorf("the start is %+v", start)
	}
	refused := b.entry(hub.AuditQuery{}, about("user.create", "user/bob", hub.AuditRefused))
	if refused.Actor != "alice" || refused.Token != start.Token {
		t.Errorf("the refused act is %+v", refused)
	}
	if added := b.entry(hub.AuditQuery{}, about("user.create", "user/bob", hub.AuditDone)); added.Actor != "admin" || added.Token != 0 {
		t.Errorf("the user was added by %+v", added)
	}
	b.entry(hub.AuditQuery{}, about("token.create", "user/alice", hub.AuditDone))
	b.entry(hub.AuditQuery{}, about("logout", "user/alice", hub.AuditDone))

	all, err := b.hub.AuditLog(t.Context(), hub.AuditQuery{})
	check(t, err)
	text, err := json.Marshal(all)
	check(t, err)
	for _, private := range []string{secret, "hunter2", "Passw0rd", "passw0rd", "in-the-options"} {
		if strings.Contains(string(text), private) {
			t.Errorf("the log holds %q", private)
		}
	}
	if strings.Contains(string(text), "activity") {
		t.Error("what servers report by themselves is in the log")
	}
}

// TestEveryChangingRouteHasAName: every page that changes something has a name in the audit log.
func TestEveryChangingRouteHasAName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	known, changing := acts(), 0
	router := chi.NewRouter()
	b.web.Mount(router)
	err := chi.Walk(router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
			return nil
		}
		changing++
		if _, ok := known[method+" "+path]; !ok {
			t.Errorf("%s %s has no name for the audit log. Add it to web/audit_acts.go.", method, path)
		}
		return nil
	})
	check(t, err)
	if changing < 20 {
		t.Errorf("only %d routes change anything; the list is broken", changing)
	}
}

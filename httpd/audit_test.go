package httpd_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// auditMemory remembers what it is told.
type auditMemory struct {
	mu      sync.Mutex
	entries []hub.AuditEntry
}

func (m *auditMemory) Audit(e hub.AuditEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, e)
}

// audited is a hub with some routes, whose audit log is remembered.
func audited(memory *auditMemory, trusted ...string) http.Handler {
	group := httpd.Group{Render: httpd.RenderJSON, Log: slog.New(slog.DiscardHandler)}
	do := func(f httpd.HandlerFunc) http.HandlerFunc { return group.Do(f) }
	alice := hub.User{ID: "u1", Name: "alice"}
	api := func(r chi.Router) {
		known := r.With(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, httpd.WithPrincipal(r, hub.Principal{User: alice, Token: &hub.Token{ID: 7}}))
			})
		})
		known.Post("/users/{name}/server", do(func(w http.ResponseWriter, r *http.Request) error {
			httpd.Concerns(r, alice)
			httpd.Note(r, "remove", true)
			w.WriteHeader(http.StatusAccepted)
			return nil
		}))
		known.Get("/users/{name}/server", do(func(http.ResponseWriter, *http.Request) error { return nil }))
		known.Post("/boom", func(http.ResponseWriter, *http.Request) { panic("boom") })
		known.Post("/refused", do(func(http.ResponseWriter, *http.Request) error { return hub.Errorf(hub.Forbidden, "No.") }))
		known.Post("/quiet", do(func(http.ResponseWriter, *http.Request) error { return nil }))
		known.Delete("/new/{secret}", do(func(http.ResponseWriter, *http.Request) error { return nil }))
	}
	none := func(chi.Router) {}
	return httpd.NewRouters(httpd.Parts{
		URLs: hub.NewURLs("/base/", nil, "http://127.0.0.1:8081"), Pages: none, API: api, OAuth: none, Proxy: http.NotFoundHandler(),
		RenderPage: httpd.RenderJSON, Log: slog.New(slog.DiscardHandler), Auditor: memory, Trusted: trusted,
		Acts: httpd.Acts{
			"POST /api/users/{name}/server": {Name: "server.start", Target: "server/{name}/{server}"},
			"POST /api/boom":                {Name: "boom", Target: "user/{self}"}, "POST /api/refused": {Name: "refused"}, "POST /api/quiet": {},
		},
	}).Public
}

func send(t *testing.T, h http.Handler, method, path string, headers ...string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{"password":"hunter2"}`))
	r.RemoteAddr = "192.0.2.1:4711"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func TestRequestsThatChangeSomethingAreWrittenDown(t *testing.T) {
	t.Parallel()
	m := &auditMemory{}
	h := audited(m)
	for _, c := range []struct {
		method, path                 string
		action, target, owner, about string
		result                       hub.AuditResult
	}{
		{"POST", "/base/hub/api/users/ALICE/server", "server.start", "server/alice", "alice", `"remove":true`, hub.AuditDone},
		{"POST", "/base/hub/api/boom", "boom", "user/alice", "", `"status":500`, hub.AuditFailed},
		{"POST", "/base/hub/api/refused", "refused", "", "", `"status":403`, hub.AuditRefused},
		{"DELETE", "/base/hub/api/new/s3cret", "DELETE /api/new/{secret}", "", "", `"status":200`, hub.AuditDone},
		{"GET", "/base/hub/api/users/alice/server", "", "", "", "", ""},
		{"POST", "/base/hub/api/quiet", "", "", "", "", ""},
		{"POST", "/base/hub/api/nothing", "", "", "", "", ""},
		{"PUT", "/base/hub/api/refused", "", "", "", "", ""},
	} {
		m.entries = nil
		send(t, h, c.method, c.path)
		if c.action == "" {
			if len(m.entries) != 0 {
				t.Errorf("%s %s: written down as %+v", c.method, c.path, m.entries)
			}
			continue
		}
		if len(m.entries) != 1 {
			t.Errorf("%s %s: %d entries", c.method, c.path, len(m.entries))
			continue
		}
		e := m.entries[0]
		if e.Action != c.action || e.Target != c.target || e.Owner != c.owner || e.Result != c.result || e.Actor != "alice" || e.Token != 7 ||
			e.Kind != hub.ActorUser || !strings.Contains(string(e.Detail), c.about) {
			t.Errorf("%s %s: %+v with %s", c.method, c.path, e, e.Detail)
		}
		if text, err := json.Marshal(e); err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "s3cret") {
			t.Errorf("%s %s: a secret is written down: %s, %v", c.method, c.path, text, err)
		}
	}
}

// TestF36_ForgedAddressesAreNotWrittenDown: from where somebody acted is what the connection says, or a proxy that is trusted, and never what the client claims.
func TestF36_ForgedAddressesAreNotWrittenDown(t *testing.T) {
	t.Parallel()
	forged := []string{"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9", "True-Client-Ip", "203.0.113.9"}
	for name, c := range map[string]struct {
		trusted []string
		want    string
	}{
		"nobody is trusted": {nil, "192.0.2.1"}, "others are trusted": {[]string{"198.51.100.0/24"}, "192.0.2.1"}, "the proxy is trusted": {[]string{"192.0.2.0/24"}, "203.0.113.9"},
	} {
		m := &auditMemory{}
		send(t, audited(m, c.trusted...), http.MethodPost, "/base/hub/api/refused", forged...)
		if len(m.entries) != 1 || m.entries[0].Address != c.want {
			t.Errorf("%s: %+v, want the address %s", name, m.entries, c.want)
		}
	}
}

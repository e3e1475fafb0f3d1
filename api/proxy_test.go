package api_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
)

func TestProxyRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	odd := b.User("joe b@x", false)
	b.Start(odd.Name, "")
	another := httptest.NewServer(http.NotFoundHandler()) // two servers cannot be at one address
	t.Cleanup(another.Close)
	b.Fake.OnStart = func(spec scheduler.Spec) { b.Up(spec.ID, another.Listener.Addr().String()) }
	s := b.Start("alice", "l b")
	b.as("alice", http.MethodGet, "/proxy", "").want(http.StatusForbidden)
	routes := b.as("root", http.MethodGet, "/proxy", "").want(http.StatusOK).object()
	same(t, "paths", keys(routes), "/ /user/alice/l%20b/ /user/joe%20b@x/")
	same(t, "the hub", routes["/"], any(map[string]any{"routespec": "/", "target": b.Servers.URL, "data": map[string]any{"hub": true}}))
	s = b.server("alice", s.Name)
	same(t, "a named server", routes["/user/alice/l%20b/"], any(map[string]any{
		"routespec": "/user/alice/l%20b/", "target": "http://" + s.Address, "data": map[string]any{"user": "alice", "server_name": "l b"},
	}))
	same(t, "a default server", routes["/user/joe%20b@x/"].(map[string]any)["data"], any(map[string]any{"user": "joe b@x", "server_name": ""}))

	same(t, "a part of them", keys(b.as("root", http.MethodGet, "/proxy?offset=1&limit=1", "").want(http.StatusOK).object()), "/user/alice/l%20b/")
	page := b.as("root", http.MethodGet, "/proxy?limit=2", "", "Accept", "application/jupyterhub-pagination+json").want(http.StatusOK).object()
	same(t, "a page", keys(page["items"].(map[string]any)), "/ /user/alice/l%20b/")
	about := page["_pagination"].(map[string]any)
	same(t, "of how many", []any{about["total"], about["next"].(map[string]any)["offset"]}, []any{3.0, 2.0})
	same(t, "beyond the end", keys(b.as("root", http.MethodGet, "/proxy?offset=100", "").want(http.StatusOK).object()), "")
	b.as("root", http.MethodGet, "/proxy?offset=x", "").want(http.StatusBadRequest)
}

// board is where a hub publishes its routes, and what its proxy goes by. Routes can be lost there.
type board struct {
	*routing.Router

	list *static.List
	mu   sync.Mutex
	has  map[string]routing.Route
}

func newBoard(t *testing.T) *board {
	t.Helper()
	b := &board{list: static.NewList(), has: map[string]routing.Route{}}
	var err error
	b.Router, err = routing.NewRouter(routing.RouterOptions{
		Sources: []routing.NamedSource{{Name: "board", Source: b.list}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return b
}

func (b *board) change(how func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	how()
	b.list.Set(slices.Collect(maps.Values(b.has)))
}

func (b *board) Publish(_ context.Context, of routing.Binding) error {
	b.change(func() { b.has[of.Server] = of.Route() })
	return nil
}

func (b *board) Withdraw(_ context.Context, server string, _ int64) error {
	b.change(func() { delete(b.has, server) })
	return nil
}

func (b *board) TakeActivity() []routing.Activity { return nil }

func TestCheckRoutes(t *testing.T) {
	t.Parallel()
	routes := newBoard(t)
	b := newBench(t, func(o *hub.Options) { o.Publisher, o.Routes = routes, routes })
	s := b.Start("alice", "")
	b.as("root", http.MethodPost, "/proxy", "").want(http.StatusOK).empty()
	b.as("alice", http.MethodPost, "/proxy", "").want(http.StatusForbidden)
	routes.change(func() { clear(routes.has) })
	b.Eventually("the loss of the route", func() bool { _, has := routes.Table().Server(s.ID); return !has })
	b.as("root", http.MethodPost, "/proxy", "").want(http.StatusOK).empty()
	b.Eventually("the route", func() bool { _, has := routes.Table().Server(s.ID); return has })
	for body, status := range map[string]int{
		`{}`: 200, `{"api_url": "http://127.0.0.1:9"}`: 200, `{"auth_token": "x", "api_url": null}`: 200,
		``: 400, `[]`: 400, `"x"`: 400, `null`: 400, `{`: 400, `{"api_url": 5}`: 400, `{"auth_token": ["x"]}`: 400,
	} {
		a := b.as("root", http.MethodPatch, "/proxy", body).want(status)
		if status == http.StatusOK {
			a.empty()
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	var ended atomic.Int32
	b := newBenchWith(t, api.Options{Shutdown: func() { ended.Add(1) }})
	b.as("alice", http.MethodPost, "/shutdown", "").want(http.StatusForbidden)
	for _, body := range []string{`{"servers": "yes"}`, `{"proxy": 1}`, `{"servers": [true]}`, `{"servers": null}`, `{"proxy": null}`, `[]`, `{`} {
		b.as("root", http.MethodPost, "/shutdown", body).want(http.StatusBadRequest)
	}
	same(t, "not ended", ended.Load(), int32(0))
	a := b.as("root", http.MethodPost, "/shutdown", `{"proxy": false}`).want(http.StatusAccepted)
	same(t, "answer", a.object(), map[string]any{"message": "Shutting down Hub"})
	b.as("root", http.MethodPost, "/shutdown", "").want(http.StatusAccepted)
	same(t, "ended", ended.Load(), int32(2))
	newBench(t).as("root", http.MethodPost, "/shutdown", "").want(http.StatusServiceUnavailable)
}

// TestShutdownWithServers: what a request said counts when the hub ends, and its servers go on otherwise.
func TestShutdownWithServers(t *testing.T) {
	t.Parallel()
	for body, stopped := range map[string]bool{``: false, `{"servers": false}`: false, `{"servers": true}`: true} {
		b := newBenchWith(t, api.Options{Shutdown: func() {}})
		s := b.Start("alice", "")
		b.as("root", http.MethodPost, "/shutdown", body).want(http.StatusAccepted)
		b.Die()
		now, err := b.Store.ServerByID(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, body, now.State == hub.Stopped, stopped)
		st, err := b.Fake.Status(t.Context(), s.ID)
		same(t, body+": what runs", err == nil && st.State == scheduler.Running, !stopped)
	}
}

func TestOwnersOfCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.Start("alice", "")
	bobs := b.tokens["bob"]
	path := func(token string) string { return "/authorizations/token/" + token }
	m := b.as("alice", http.MethodGet, path(bobs), "").want(http.StatusOK).object()
	same(t, "who it is", keys(m), "admin groups kind name user_info")
	same(t, "name", m["name"], any("bob"))
	same(t, "as an administrator sees it", b.as("root", http.MethodGet, path(b.ServerToken(s)), "").want(http.StatusOK).object()["server"], any("/user/alice/"))
	for _, token := range []string{"x", strings.Repeat("0", 32), bobs + "0"} {
		b.as("alice", http.MethodGet, path(token), "").want(http.StatusNotFound)
	}
	b.as("", http.MethodGet, path(bobs), "").want(http.StatusForbidden)
	b.browse(b.Browser("alice"), http.MethodGet, path(bobs), "").want(http.StatusForbidden) // no cookie will do
	for _, p := range []string{"/authorizations/token", path(bobs)} {
		b.as("root", http.MethodPost, p, "{}").want(http.StatusNotFound)
	}
	b.as("", http.MethodPost, "/authorizations/token", "").want(http.StatusNotFound)

	cookie := b.Cookie(b.Browser("bob"), "/hub/", "jupyterhub-hub-login")
	const at = "/authorizations/cookie/jupyterhub-hub-login"
	same(t, "in the address", b.as("alice", http.MethodGet, at+"/"+cookie, "").want(http.StatusOK).object()["name"], any("bob"))
	same(t, "in the body", b.as("alice", http.MethodGet, at, cookie).want(http.StatusOK).object()["name"], any("bob"))
	for _, p := range []string{at, at + "/x", at + "/" + cookie + "0", "/authorizations/cookie/other/" + cookie, "/authorizations/cookie/_xsrf/x"} {
		b.as("alice", http.MethodGet, p, "").want(http.StatusNotFound)
	}
	b.as("", http.MethodGet, at+"/"+cookie, "").want(http.StatusForbidden)
}

func TestAdminAccessIsNotGiven(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("root", http.MethodPost, "/users/alice/admin-access", "").want(http.StatusForbidden)
	b.as("alice", http.MethodPost, "/users/bob/admin-access", "").want(http.StatusNotFound)
	b.as("root", http.MethodPost, "/users/nobody/admin-access", "").want(http.StatusNotFound)
}

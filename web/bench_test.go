package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/store"
	"github.com/nomadhub/nomadhub/web"
)

const patience = time.Minute

// bench is a whole hub behind a socket: pages, API and proxy on a real SQLite file; only the machines that run servers are faked.
type bench struct {
	t    *testing.T
	hub  *hub.Hub
	fake *schedulertest.Fake
	web  *web.Web
	keys *secret.KeyRing
	site *httptest.Server
	urls hub.URLs
}

// setup is what a test may change of the bench.
type setup struct {
	guesses *httpd.Guesses // nil: nobody who guesses is held back
	base    string
	apart   bool // over TLS, users on hosts of their own, cookies with the host prefix
	hub     hub.Options
	pages   web.Options
}

type routes struct{ *routing.Router }

func (routes) TakeActivity() []routing.Activity { return nil }

// door lets in everybody who knows the password "open", and is out of order for the user "outage".
type door struct{ id, label string }

func (d door) ID() string    { return d.id }
func (d door) Label() string { return d.label }

func (d door) Login(_ context.Context, name, password string) (auth.Identity, error) {
	switch {
	case name == "outage":
		return auth.Identity{}, auth.ErrUnavailable
	case password != "open":
		return auth.Identity{}, auth.ErrDenied
	}
	return auth.Identity{Provider: d.id, Subject: name, Name: name}, nil
}

// provider is elsewhere: it sends everybody back under the name in the query.
type provider struct {
	id, label string
	begun     atomic.Int64 // logins so far; the state of each is "s" and its number
}

func (p *provider) ID() string    { return p.id }
func (p *provider) Label() string { return p.label }

func (p *provider) Begin(_ context.Context, callback string) (string, auth.Flow, error) {
	state := fmt.Sprintf("s%d", p.begun.Add(1))
	return "https://id.example/authorize?state=" + state + "&redirect_uri=" + url.QueryEscape(callback), auth.Flow{State: state}, nil
}

func (p *provider) Finish(_ context.Context, r *http.Request, _ string, flow auth.Flow) (auth.Identity, error) {
	if q := r.URL.Query(); q.Get("state") != flow.State || q.Get("code") == "" {
		return auth.Identity{}, auth.ErrDenied
	}
	name := r.URL.Query().Get("code")
	return auth.Identity{Provider: p.id, Subject: name, Name: name}, nil
}

// links holds codes that work once.
type links struct {
	mu    sync.Mutex
	codes map[string]string
}

func (l *links) Redeem(code string) (auth.Identity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, ok := l.codes[code]
	if !ok {
		return auth.Identity{}, auth.ErrDenied
	}
	delete(l.codes, code)
	admin := true
	return auth.Identity{Provider: "link", Subject: name, Name: name, Admin: &admin}, nil
}

func newBench(t *testing.T, change ...func(*setup)) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	check(t, db.Migrate(t.Context()))
	registry := static.New()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "static", Source: registry}}, Logger: log})
	check(t, err)
	ring, err := secret.NewKeyRing(secret.Secret{Values: map[string]secret.Value{"k1": secret.Value(strings.Repeat("01", 32))}})
	check(t, err)

	b := &bench{t: t, fake: schedulertest.NewFake(), keys: ring}
	s := setup{
		base: "/",
		hub: hub.Options{
			Store: db, Scheduler: b.fake, Publisher: registry, Routes: routes{router}, Logger: log,
			Admission: hub.Admission{AllowAll: true, AdminUsers: []string{"admin"}, BlockedUsers: []string{"mallory"}}, Limits: hub.Limits{AllowNamed: true},
		},
		pages: web.Options{
			Logger: log, Version: "1.2.3", Authenticators: []auth.Authenticator{door{"door", "Door"}, &provider{id: "corp", label: "Corp"}},
			Link: &links{codes: map[string]string{"c0de": "admin"}},
		},
	}
	for _, c := range change {
		c(&s)
	}
	b.site = httptest.NewUnstartedServer(nil)
	b.urls = hub.NewURLs(s.base, nil, "http://127.0.0.1:8081")
	if s.apart {
		_, port, err := net.SplitHostPort(b.site.Listener.Addr().String())
		check(t, err)
		b.urls = hub.NewURLs(s.base, &url.URL{Scheme: "https", Host: "hub.localhost:" + port}, "http://127.0.0.1:8081").WithSubdomains().WithHostPrefix()
	}
	s.hub.URLs = b.urls
	b.hub, err = hub.New(s.hub)
	check(t, err)
	b.serve(s, router, log)
	b.run(router)
	return b
}

// serve puts the rims together as the program does.
func (b *bench) serve(s setup, router *routing.Router, log *slog.Logger) {
	b.t.Helper()
	sessions := &httpd.Sessions{Accounts: b.hub, Keys: b.keys, URLs: b.urls, Guesses: s.guesses}
	s.pages.Hub, s.pages.Sessions = b.hub, sessions
	var err error
	b.web, err = web.New(s.pages)
	check(b.t, err)
	rest, err := api.New(api.Options{Hub: b.hub, Sessions: sessions, Logger: log})
	check(b.t, err)
	grants, err := oauth.New(oauth.Options{Hub: b.hub, Sessions: sessions, Logger: log, RenderPage: b.web.RenderError, Consent: b.consent})
	check(b.t, err)
	ways := routing.Options{Router: router, Fallback: b.web.Fallback(), ErrorHandler: b.web.ProxyError, Logger: log}
	if s.apart {
		ways.Serves, ways.Foreign = b.urls.Serves, b.urls.Foreign
	}
	proxy, err := routing.NewProxy(ways)
	check(b.t, err)
	b.t.Cleanup(proxy.Close)
	both := httpd.NewRouters(httpd.Parts{
		URLs: b.urls, Pages: func(r chi.Router) { b.web.Mount(r) }, API: rest.Mount, OAuth: grants.Mount, Proxy: proxy, RenderPage: b.web.RenderError, Log: log,
		Auditor: b.hub, Acts: acts(),
	})
	b.site.Config.Handler = both.Public
	if s.apart {
		b.site.StartTLS()
	} else {
		b.site.Start()
	}
	b.t.Cleanup(b.site.Close)
}

// consent shows the provider's question in the hub's looks.
func (b *bench) consent(w http.ResponseWriter, r *http.Request, page oauth.ConsentPage) error {
	c := web.Consent{
		User: page.User, Owner: page.Owner, Service: page.Service, Description: page.Description, Action: page.Action, XSRF: page.XSRF, Home: page.Home,
	}
	for _, s := range page.Scopes {
		c.Scopes = append(c.Scopes, web.ConsentScope(s))
	}
	return b.web.ShowConsent(w, r, c)
}

// in is the same bench for a part of the test.
func (b *bench) in(t *testing.T) *bench {
	part := *b
	part.t = t
	return &part
}

func (b *bench) run(router *routing.Router) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = router.Run(ctx) })
	running.Go(func() {
		if err := b.hub.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			b.t.Errorf("the hub ended with %v", err)
		}
	})
	b.t.Cleanup(func() { cancel(); running.Wait() })
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// notebooks are servers that answer, each at an address of its own: the routes of two at one address would contradict each other.
type notebooks struct {
	mu   sync.Mutex
	open func() (address string)
}

func newNotebooks(t *testing.T) *notebooks {
	var all []*httptest.Server
	n := &notebooks{}
	n.open = func() string {
		n.mu.Lock()
		defer n.mu.Unlock()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "notebook at "+r.URL.Path)
		}))
		all = append(all, srv)
		return srv.Listener.Addr().String()
	}
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, srv := range all {
			srv.Close()
		}
	})
	return n
}

// runServers has every server that is started get a place and answer.
func (b *bench) runServers() {
	n := newNotebooks(b.t)
	b.fake.OnStart = func(s scheduler.Spec) {
		go func() { b.fake.Place(s.ID, n.open()); b.fake.Run(s.ID) }()
	}
}

// await waits until the user's server is in the state.
func (b *bench) await(user, server string, want hub.ServerState) hub.Server {
	b.t.Helper()
	s, err := b.hub.Server(b.t.Context(), user, server)
	check(b.t, err)
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	s, err = b.hub.AwaitServer(ctx, s.ID, func(s hub.Server) bool { return s.State == want })
	if err != nil {
		b.t.Fatalf("waited for %s/%s to be %s: %v; it is %+v", user, server, want, err, s)
	}
	return s
}

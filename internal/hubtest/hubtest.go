// Package hubtest is a whole hub in the test's own process, for tests of the parts that speak HTTP: the real core on a real SQLite file, the real routers,
// sessions and proxy on real sockets. Only the scheduler is the one in memory, and servers are whatever the test says.
package hubtest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/store"
)

// Patience bounds every wait for something that has to happen.
const Patience = time.Minute

// Bench is a hub and the two addresses at which it is reached.
type Bench struct {
	Hub      *hub.Hub
	Store    *store.Store
	Fake     *schedulertest.Fake // by default its servers answer at once
	Router   *routing.Router
	Proxy    *routing.Proxy
	Sessions *httpd.Sessions
	Log      *slog.Logger

	Public  *httptest.Server // for browsers
	Servers *httptest.Server // for users' servers

	t    testing.TB
	Acts httpd.Acts // what the audit log calls requests

	registry *static.Registry
	services *static.List
	stop     func()
	apart    bool // see NewApart
}

// routes are what the hub needs of router and proxy.
type routes struct {
	*routing.Router
	*routing.Proxy
}

// New opens a hub and runs it until the test ends. change may set what it is made of.
func New(t testing.TB, change ...func(*hub.Options)) *Bench {
	t.Helper()
	return open(t, false, change)
}

func open(t testing.TB, apart bool, change []func(*hub.Options)) *Bench {
	t.Helper()
	b := &Bench{t: t, apart: apart, Fake: schedulertest.NewFake(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), registry: static.New()}
	b.Store = openStore(t)
	notebook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path + " of a notebook"))
	}))
	t.Cleanup(notebook.Close)
	b.Fake.OnStart = func(spec scheduler.Spec) { b.Up(spec.ID, notebook.Listener.Addr().String()) }
	b.open(change)
	return b
}

// NewApart is New for a hub that keeps its users apart in every way: over TLS, each user on a host below hub.localhost, cookies with the host prefix.
func NewApart(t testing.TB, change ...func(*hub.Options)) *Bench {
	t.Helper()
	return open(t, true, change)
}

// Replica opens another hub on the same database, cluster and routes, with the same keys.
func (b *Bench) Replica(change ...func(*hub.Options)) *Bench {
	b.t.Helper()
	r := &Bench{t: b.t, Fake: b.Fake.Reopen(), Log: b.Log, Store: b.Store, registry: b.registry}
	r.open(change)
	return r
}

// open makes the hub out of what there is, and runs it.
func (b *Bench) open(change []func(*hub.Options)) {
	b.t.Helper()
	b.Public, b.Servers = httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	var err error
	b.services = static.NewList()
	sources := []routing.NamedSource{{Name: "static", Source: b.registry}, {Name: "services", Source: b.services}}
	if b.Router, err = routing.NewRouter(routing.RouterOptions{Sources: sources, Logger: b.Log}); err != nil {
		b.t.Fatal(err)
	}
	urls := b.urls()
	proxy := routing.Options{Router: b.Router, Fallback: http.NotFoundHandler(), Logger: b.Log}
	if b.apart {
		proxy.Serves, proxy.Foreign = urls.Serves, urls.Foreign
	}
	if b.Proxy, err = routing.NewProxy(proxy); err != nil {
		b.t.Fatal(err)
	}
	o := hub.Options{
		Store: b.Store, Scheduler: b.Fake, Publisher: b.registry, Routes: routes{b.Router, b.Proxy}, Logger: b.Log,
		URLs:      urls,
		Admission: hub.Admission{AllowAll: true, BlockedUsers: []string{"blocked"}}, Limits: hub.Limits{AllowNamed: true},
		ServiceRoutes: b.services.Set,
	}
	for _, c := range change {
		c(&o)
	}
	if b.Hub, err = hub.New(o); err != nil {
		b.t.Fatal(err)
	}
	b.Sessions = &httpd.Sessions{Accounts: b.Hub, Keys: newKeys(b.t), URLs: o.URLs}
	b.run()
}

// urls are the addresses of the hub, whose sockets are there already.
func (b *Bench) urls() hub.URLs {
	servers := "http://" + b.Servers.Listener.Addr().String()
	if !b.apart {
		return hub.NewURLs("/", nil, servers)
	}
	_, port, err := net.SplitHostPort(b.Public.Listener.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	return hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.localhost:" + port}, servers).WithSubdomains().WithHostPrefix()
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func newKeys(t testing.TB) *secret.KeyRing {
	t.Helper()
	ring, err := secret.NewKeyRing(secret.Secret{Values: map[string]secret.Value{"k1": secret.Value(strings.Repeat("5a", secret.MinKeySize))}})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func (b *Bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = b.Router.Run(ctx) })
	running.Go(func() {
		if err := b.Hub.Run(ctx); err != nil {
			b.t.Errorf("the hub ended with %v", err)
		}
	})
	b.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	b.t.Cleanup(b.stop)
}

// Die ends this hub and cuts all its connections, as far as others can tell. Its database stays, and so does what it started.
func (b *Bench) Die() {
	for _, s := range []*httptest.Server{b.Public, b.Servers} {
		_ = s.Listener.Close()
		s.CloseClientConnections()
	}
	b.stop()
}

// Up places a server at the address and says that it runs.
func (b *Bench) Up(id, address string) {
	b.Fake.Place(id, address)
	b.Fake.Run(id)
}

// Serve opens both addresses. Below /hub/ there are the parts, and pages of the bench's own: /hub/enter/NAME logs in, /hub/logout logs out, and /hub/login says so.
func (b *Bench) Serve(api, oauth func(chi.Router)) {
	b.t.Helper()
	none := func(chi.Router) {}
	p := httpd.Parts{URLs: b.Hub.URLs(), Pages: b.pages, API: none, OAuth: none, Proxy: b.Proxy, RenderPage: httpd.RenderJSON, Log: b.Log, Auditor: b.Hub, Acts: b.Acts}
	if api != nil {
		p.API = api
	}
	if oauth != nil {
		p.OAuth = oauth
	}
	routers := httpd.NewRouters(p)
	b.Public.Config.Handler, b.Servers.Config.Handler = routers.Public, routers.Servers
	if b.apart {
		b.Public.StartTLS()
	} else {
		b.Public.Start()
	}
	b.Servers.Start()
	b.t.Cleanup(func() {
		b.Public.CloseClientConnections()
		b.Public.Close()
		b.Servers.CloseClientConnections()
		b.Servers.Close()
	})
}

func (b *Bench) pages(r chi.Router) {
	group := httpd.Group{Render: httpd.RenderJSON, Log: b.Log}
	r.Get("/login", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Please log in.")) })
	r.Get("/enter/{name}", group.Do(func(w http.ResponseWriter, r *http.Request) error {
		name, err := httpd.Param(r, "name")
		if err != nil {
			return err
		}
		s, _, err := b.login(name, b.Sessions.Client(r))
		if err != nil {
			return err
		}
		b.Sessions.Begin(w, r, s)
		return nil
	}))
	r.Get("/logout", group.Do(func(w http.ResponseWriter, r *http.Request) error {
		p, err := b.Sessions.Browser(r)
		if err == nil {
			err = b.Hub.Logout(r.Context(), *p.Session)
		}
		b.Sessions.End(w, r)
		return err
	}))
}

func (b *Bench) login(name string, from hub.Browser) (hub.Session, hub.User, error) {
	return b.Hub.Login(b.t.Context(), auth.Identity{Provider: "test", Subject: name, Name: name}, from, hub.LoginOptions{})
}

// User makes sure that there is a user of the name.
func (b *Bench) User(name string, admin bool) hub.User {
	b.t.Helper()
	if _, _, err := b.login(name, hub.Browser{}); err != nil {
		b.t.Fatal(err)
	}
	u, err := b.Hub.SetAdmin(b.t.Context(), name, admin)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// Token makes a token of the user; without scopes it may do what the user may.
func (b *Bench) Token(u hub.User, scopes ...string) string {
	b.t.Helper()
	token, _, err := b.Hub.IssueToken(b.t.Context(), u, hub.NewToken{Scopes: scopes})
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// Start starts a server and waits until it is ready.
func (b *Bench) Start(user, server string) hub.Server {
	b.t.Helper()
	s, err := b.Hub.StartServer(b.t.Context(), user, server, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.Await(s.ID, hub.Ready)
}

// Await waits for a server to be in that state.
func (b *Bench) Await(id string, state hub.ServerState) hub.Server {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	s, err := b.Hub.AwaitServer(ctx, id, func(s hub.Server) bool { return s.State == state })
	if err != nil {
		b.t.Fatalf("waited for the server to be %s, and got %v; it is %+v", state, err, s)
	}
	return s
}

// ServerToken is what a running server was given to speak with.
func (b *Bench) ServerToken(s hub.Server) string {
	b.t.Helper()
	spec, ok := b.Fake.Spec(s.ID)
	if !ok {
		b.t.Fatalf("the scheduler does not run %s", s.ID)
	}
	return spec.Secrets["JUPYTERHUB_API_TOKEN"]
}

// Browser is a client that keeps cookies and does not follow redirects, logged in as the user unless that is "".
func (b *Bench) Browser(user string) *http.Client {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	c := &http.Client{
		Jar: encodedJar{jar}, Timeout: 2 * Patience, Transport: b.Public.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if user == "" {
		return c
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.Public.URL+"/hub/enter/"+hub.EscapePath(user), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.t.Fatalf("login as %s: %s", user, res.Status)
	}
	return c
}

// encodedJar compares the paths of cookies with percent-encoded ones, as browsers do. The standard library's jar decodes one side only.
type encodedJar struct{ *cookiejar.Jar }

func encoded(u *url.URL) *url.URL {
	e := *u
	e.Path, e.RawPath = u.EscapedPath(), ""
	return &e
}

func (j encodedJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(encoded(u)) }

func (j encodedJar) SetCookies(u *url.URL, c []*http.Cookie) { j.Jar.SetCookies(encoded(u), c) }

// Cookie returns the browser's cookie of that name for a path below the public address, or "".
func (b *Bench) Cookie(c *http.Client, path, name string) string {
	b.t.Helper()
	u, err := url.Parse(b.Public.URL + path)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range c.Jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// Eventually waits until done.
func (b *Bench) Eventually(what string, done func() bool) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(Patience)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

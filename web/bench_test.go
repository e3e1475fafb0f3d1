package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
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
	"golang.org/x/net/html"

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

const patience = 20 * time.Second

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
	base  string
	hub   hub.Options
	pages web.Options
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
type provider struct{ id, label string }

func (p provider) ID() string    { return p.id }
func (p provider) Label() string { return p.label }

func (p provider) Begin(_ context.Context, callback string) (string, auth.Flow, error) {
	return "https://id.example/authorize?state=s1&redirect_uri=" + url.QueryEscape(callback), auth.Flow{State: "s1"}, nil
}

func (p provider) Finish(_ context.Context, r *http.Request, _ string, flow auth.Flow) (auth.Identity, error) {
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
			Logger: log, Version: "1.2.3", Authenticators: []auth.Authenticator{door{"door", "Door"}, provider{"corp", "Corp"}},
			Link: &links{codes: map[string]string{"c0de": "admin"}},
		},
	}
	for _, c := range change {
		c(&s)
	}
	b.urls = hub.NewURLs(s.base, nil, "http://127.0.0.1:8081")
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
	sessions := &httpd.Sessions{Accounts: b.hub, Keys: b.keys, URLs: b.urls}
	s.pages.Hub, s.pages.Sessions = b.hub, sessions
	var err error
	b.web, err = web.New(s.pages)
	check(b.t, err)
	rest, err := api.New(api.Options{Hub: b.hub, Sessions: sessions, Logger: log})
	check(b.t, err)
	grants, err := oauth.New(oauth.Options{Hub: b.hub, Sessions: sessions, Logger: log, RenderPage: b.web.RenderError, Consent: b.consent})
	check(b.t, err)
	proxy, err := routing.NewProxy(routing.Options{Router: router, Fallback: b.web.Fallback(), ErrorHandler: b.web.ProxyError, Logger: log})
	check(b.t, err)
	b.t.Cleanup(proxy.Close)
	both := httpd.NewRouters(httpd.Parts{
		URLs: b.urls, Pages: func(r chi.Router) { b.web.Mount(r) }, API: rest.Mount, OAuth: grants.Mount, Proxy: proxy, RenderPage: b.web.RenderError, Log: log,
	})
	b.site = httptest.NewServer(both.Public)
	b.t.Cleanup(b.site.Close)
}

// consent shows the provider's question in the hub's looks.
func (b *bench) consent(w http.ResponseWriter, r *http.Request, page oauth.ConsentPage) error {
	c := web.Consent{
		User: page.User, Owner: page.Owner, Description: page.Description, Action: page.Action, XSRF: page.XSRF, Home: page.Home,
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

// visitor is a browser: it keeps cookies, says that its requests come from our own pages, and lets the test follow redirects itself.
type visitor struct {
	b      *bench
	client *http.Client
	header http.Header
}

func (b *bench) visit() *visitor {
	jar, err := cookiejar.New(nil)
	check(b.t, err)
	return &visitor{
		b:      b,
		client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}},
	}
}

// loggedIn is a browser in which somebody is logged in.
func (b *bench) loggedIn(name string) *visitor {
	b.t.Helper()
	v := b.visit()
	v.login(name, "")
	return v
}

func (v *visitor) login(name, next string) answer {
	v.b.t.Helper()
	path := v.b.urls.Login()
	if next != "" {
		path += "?next=" + url.QueryEscape(next)
	}
	page := v.get(path)
	a := v.submit(page.form("login"), url.Values{"username": {name}, "password": {"open"}})
	if a.status != http.StatusFound {
		v.b.t.Fatalf("login of %q: status %d\n%s", name, a.status, a.body)
	}
	return a
}

// with is the same browser sending other headers.
func (v *visitor) with(key, value string) *visitor {
	other := *v
	other.header = v.header.Clone()
	if value == "" {
		other.header.Del(key)
	} else {
		other.header.Set(key, value)
	}
	return &other
}

// answer is what came back, parsed if it is a page.
type answer struct {
	t        *testing.T
	status   int
	header   http.Header
	body     string
	page     *html.Node
	location string
	url      *url.URL
}

func (v *visitor) do(method, path string, form url.Values) answer {
	v.b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.b.t.Context(), method, v.b.site.URL+path, body)
	check(v.b.t, err)
	for k, values := range v.header {
		req.Header[k] = values
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(req)
	check(v.b.t, err)
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	check(v.b.t, err)
	a := answer{t: v.b.t, status: res.StatusCode, header: res.Header, body: string(content), location: res.Header.Get("Location"), url: req.URL}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		a.page, err = html.Parse(bytes.NewReader(content))
		check(v.b.t, err)
	}
	return a
}

func (v *visitor) get(path string) answer { return v.do(http.MethodGet, path, nil) }

func (v *visitor) post(path string, form url.Values) answer { return v.do(http.MethodPost, path, form) }

// follow goes where redirects lead.
func (v *visitor) follow(a answer) answer {
	v.b.t.Helper()
	for hops := 0; a.status/100 == 3; hops++ {
		if hops > 10 {
			v.b.t.Fatalf("redirects without end at %s", a.location)
		}
		a = v.get(a.location)
	}
	return a
}

// submit sends a form of a page with some fields filled in.
func (v *visitor) submit(f form, fill url.Values) answer {
	v.b.t.Helper()
	values := url.Values{}
	for k, old := range f.fields {
		values[k] = old
	}
	for k, changed := range fill {
		values[k] = changed
	}
	return v.post(f.action, values)
}

// form is a form as it stands in a page.
type form struct {
	action string
	fields url.Values
}

// form finds the form with this ID, or the one around the element with this ID.
func (a answer) form(id string) form {
	a.t.Helper()
	n := a.find(func(n *html.Node) bool { return attribute(n, "id") == id })
	for n != nil && n.Data != "form" {
		n = n.Parent
	}
	if n == nil {
		a.t.Fatalf("%s has no form %q:\n%s", a.url, id, a.body)
	}
	f := form{action: attribute(n, "action"), fields: url.Values{}}
	walk(n, func(n *html.Node) {
		if n.Data == "input" && attribute(n, "name") != "" && attribute(n, "type") != "checkbox" {
			f.fields.Add(attribute(n, "name"), attribute(n, "value"))
		}
	})
	return f
}

func (a answer) find(match func(*html.Node) bool) (found *html.Node) {
	if a.page == nil {
		a.t.Fatalf("%s is no page but %s: %s", a.url, a.header.Get("Content-Type"), a.body)
	}
	walk(a.page, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && match(n) {
			found = n
		}
	})
	return found
}

func (a answer) has(id string) bool {
	return a.find(func(n *html.Node) bool { return attribute(n, "id") == id }) != nil
}

// text is what a person reads on the page.
func (a answer) text() string {
	var words strings.Builder
	walk(a.page, func(n *html.Node) {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			words.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(words.String()), " ")
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := range n.ChildNodes() {
		walk(c, visit)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%s", a.url, a.status, status, a.body)
	}
	return a
}

func (a answer) to(location string) answer {
	a.t.Helper()
	if a.location != location {
		a.t.Fatalf("%s: leads to %q, want %q (status %d)\n%s", a.url, a.location, location, a.status, a.body)
	}
	return a
}

func (a answer) says(words string) answer {
	a.t.Helper()
	if text := a.text(); !strings.Contains(text, words) {
		a.t.Fatalf("%s does not say %q but:\n%s", a.url, words, text)
	}
	return a
}

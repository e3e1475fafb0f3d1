package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/store"
)

// fakeHub is the hub's core, its API and its database in this process, with a scheduler in memory whose servers are there at once: what is
// left is the hub's own work.
type fakeHub struct {
	hub     *hub.Hub
	db      *store.Store
	counted *countingStore
	fake    *schedulertest.Fake
	asked   *countingScheduler
	starter
	placed  atomic.Int64
	options fakeOptions
	// What a whole one has beside its API.
	public  string // URL of what browsers ask
	metrics *prometheus.Registry
	secrets sync.Map // of servers, by their users' names

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// knownRoutes are what the hub needs of router and proxy.
type knownRoutes struct {
	*routing.Router
	*routing.Proxy
}

// fakeOptions say what a [fakeHub] is made of.
type fakeOptions struct {
	dir   string // for SQLite
	dsn   string // "": SQLite in the folder
	users int
	port  int // of the addresses at which servers are said to be
	// whole adds what a hub does beside its API: pages with a login that believes everybody, OAuth, the audit log, and metrics.
	whole  bool
	change []func(*hub.Options)
}

// database is where the hub keeps what it knows.
func (o fakeOptions) database() string {
	return cmp.Or(o.dsn, "sqlite://"+filepath.Join(o.dir, "hub.db"))
}

// newFakeHub opens one with that many users, on SQLite in the folder. Its options can be changed.
func newFakeHub(ctx context.Context, dir string, users int, change ...func(*hub.Options)) (*fakeHub, error) {
	return newFake(ctx, fakeOptions{dir: dir, users: users, port: 8888, change: change})
}

func newFake(ctx context.Context, o fakeOptions) (*fakeHub, error) {
	f := &fakeHub{fake: schedulertest.NewFake(), options: o}
	if o.whole {
		f.metrics = prometheus.NewRegistry()
	}
	var err error
	if f.db, err = store.Open(ctx, store.Options{DSN: o.database()}); err != nil {
		return nil, err
	}
	ctx, f.cancel = context.WithCancel(ctx)
	if err := f.open(ctx, o.users); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fakeHub) keepSecret(env, secrets map[string]string) {
	if f.options.whole {
		f.secrets.Store(env["JUPYTERHUB_USER"], secrets["JUPYTERHUB_API_TOKEN"])
	}
}

func (f *fakeHub) open(ctx context.Context, users int) error {
	if err := f.db.Migrate(ctx); err != nil {
		return err
	}
	var err error
	if f.token, err = seed(ctx, f.db, users); err != nil {
		return err
	}
	notebook, err := f.serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })) // all servers are this one
	if err != nil {
		return err
	}
	f.fake.OnStart = func(spec scheduler.Spec) {
		f.fake.Place(spec.ID, fakePlace(f.placed.Add(1), f.options.port))
		f.fake.Run(spec.ID)
	}
	log := slog.New(slog.DiscardHandler)
	registry := static.New()
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "static", Source: registry}}, Logger: log})
	if err != nil {
		return err
	}
	proxy, err := routing.NewProxy(routing.Options{Router: router, Fallback: http.NotFoundHandler(), Logger: log, Registerer: f.registerer()})
	if err != nil {
		return err
	}
	f.counted, f.asked = &countingStore{Store: f.db, counts: &counts{}}, &countingScheduler{Scheduler: f.fake, counts: &counts{}, given: f.keepSecret}
	o := hub.Options{
		Store: f.counted, Scheduler: f.asked, Publisher: registry, Routes: knownRoutes{router, proxy}, Logger: log,
		URLs: hub.NewURLs("/", nil, "http://127.0.0.1:1"), Admission: hub.Admission{AllowAll: true},
		Limits: hub.Limits{ConcurrentStarts: 1_000_000, QueuedStarts: 1_000_000}, Probe: probeAt(strings.TrimPrefix(notebook, "http://")), Registerer: f.registerer(),
	}
	for _, change := range f.options.change {
		change(&o)
	}
	if f.hub, err = hub.New(o); err != nil {
		return err
	}
	if err := f.listen(ctx, proxy, log); err != nil {
		return err
	}
	f.running.Go(func() { _ = router.Run(ctx) })
	f.running.Go(func() { _ = f.hub.Run(ctx) })
	return nil
}

// registerer is where metrics are registered; nil: nowhere.
func (f *fakeHub) registerer() prometheus.Registerer {
	if f.metrics == nil {
		return nil // and no interface that holds a nil
	}
	return f.metrics
}

// fakePlace is the address of the n-th server, another one for each, since no two that run may have the same.
func fakePlace(n int64, port int) string {
	return fmt.Sprintf("127.%d.%d.%d:%d", n>>14&0x7f+1, n>>7&0x7f, n&0x7f+1, port)
}

// probeAt asks one server, whichever was meant.
func probeAt(address string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
}

func (f *fakeHub) listen(ctx context.Context, proxy *routing.Proxy, log *slog.Logger) error {
	keys, err := secret.NewKeyRing(secret.Secret{Values: map[string]secret.Value{"k1": secret.Value(strings.Repeat("5a", secret.MinKeySize))}})
	if err != nil {
		return err
	}
	sessions := &httpd.Sessions{Accounts: f.hub, Keys: keys, URLs: f.hub.URLs()}
	// What takes longer is answered with 202, as to a script that asks for a whole class.
	rest, err := api.New(api.Options{Hub: f.hub, Sessions: sessions, Logger: log, SlowSpawn: time.Millisecond})
	if err != nil {
		return err
	}
	none := func(chi.Router) {}
	parts := httpd.Parts{
		URLs: f.hub.URLs(), Pages: none, API: rest.Mount, OAuth: none, Proxy: proxy, RenderPage: httpd.RenderJSON, Log: log, Registerer: f.registerer(),
	}
	if f.options.whole {
		if err := f.makeWhole(&parts, sessions); err != nil {
			return err
		}
	}
	routers := httpd.NewRouters(parts)
	servers, err := f.serve(ctx, routers.Servers)
	if err != nil {
		return err
	}
	f.starter = newStarter(servers, f.token)
	f.public, err = f.serve(ctx, routers.Public)
	return err
}

// serve answers until ctx ends, as a hub does, and returns where.
func (f *fakeHub) serve(ctx context.Context, h http.Handler) (url string, err error) {
	bound, err := httpd.Bind(ctx, httpd.Listener{Name: "fake", Address: "127.0.0.1:0", Handler: h})
	if err != nil {
		return "", err
	}
	f.running.Go(func() { _ = httpd.Serve(ctx, slog.New(slog.DiscardHandler), 0, bound...) })
	return bound[0].URL(), nil
}

func (f *fakeHub) close() {
	f.cancel()
	f.running.Wait()
	if f.client != nil {
		f.client.CloseIdleConnections()
	}
	_ = f.db.Close()
}

// starter asks an API for servers.
type starter struct {
	url    string // of the API
	token  string
	client *http.Client
}

func newStarter(url, token string) starter {
	return starter{url, token, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}}}
}

// ask makes a request for a user's server, and returns the status.
func (s starter) ask(ctx context.Context, method string, user int) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/hub/api/users/"+userName(user)+"/server", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "token "+s.token)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// askAll asks for the servers of the users from first to last, all at once, and returns when all were accepted.
func (s starter) askAll(ctx context.Context, method string, first, last int) error {
	return inParallel(ctx, last-first, last-first, func(ctx context.Context, i int) error {
		status, err := s.ask(ctx, method, first+i)
		if err == nil && status >= http.StatusBadRequest {
			err = fmt.Errorf("%s for %s was answered with %d", method, userName(first+i), status)
		}
		return err
	})
}

// awaitState waits until so many servers are in that state.
func awaitState(ctx context.Context, db hub.ServerStore, state hub.ServerState, want int) error {
	for {
		counts, err := db.CountServers(ctx)
		if err != nil || counts[state] == want {
			return err
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%v, and %d should be %s: %w", counts, want, state, ctx.Err())
		}
	}
}

// startedOnce fails unless each of those servers was handed to the scheduler once, and runs.
func (f *fakeHub) startedOnce(ctx context.Context, want int) error {
	servers, _, err := f.db.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Ready}})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range servers {
		if n := f.fake.Starts(s.ID); n != 1 {
			errs = append(errs, fmt.Errorf("the server of %s was started %d times", s.UserName, n))
		}
	}
	running, err := f.fake.List(ctx)
	if len(running) != want || len(servers) != want {
		errs = append(errs, fmt.Errorf("%d servers run and %d are ready, and %d were asked for", len(running), len(servers), want))
	}
	return errors.Join(err, errors.Join(errs...))
}

// newUser is a user as a login makes one.
func newUser(name string, admin bool) hub.User {
	return hub.User{ID: uuid.Must(uuid.NewV7()).String(), Name: name, Admin: admin, Created: time.Now()}
}

// seed makes users and an administrator, whose token it returns.
func seed(ctx context.Context, db *store.Store, users int) (token string, err error) {
	admin := newUser(adminName, true)
	if err := db.CreateUser(ctx, admin); err != nil {
		return "", err
	}
	if err := addUsers(ctx, db, 0, users); err != nil {
		return "", err
	}
	token, _, err = hub.IssueToken(ctx, db, scope.Standard(), admin, hub.NewToken{})
	return token, err
}

// addUsers makes the users from first to last, that one not included.
func addUsers(ctx context.Context, db *store.Store, first, last int) error {
	const batch = 500 // the hub's own writes wait meanwhile
	for from := first; from < last; from += batch {
		err := db.InTx(ctx, func(tx hub.Store) error {
			for i := from; i < min(last, from+batch); i++ {
				if err := tx.CreateUser(ctx, newUser(userName(i), false)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("make users: %w", err)
		}
	}
	return nil
}

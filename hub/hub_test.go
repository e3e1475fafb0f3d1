package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

const patience = time.Minute

// bench is a hub on a real SQLite file and a fake scheduler.
type bench struct {
	t      *testing.T
	store  *store.Store
	fake   *schedulertest.Fake
	router *routing.Router
	hub    *hub.Hub
	clock  *atomic.Int64 // how far the hub's clock is ahead, in nanoseconds
	stop   func()        // ends the hub, as a shutdown does
}

type routes struct{ *routing.Router }

func (routes) TakeActivity() []routing.Activity { return nil }

func newBench(t *testing.T, change ...func(*hub.Options)) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return openBench(t, db, schedulertest.NewFake(), change...)
}

// openBench starts a hub on what is there, as a restart does.
func openBench(t *testing.T, db *store.Store, fake *schedulertest.Fake, change ...func(*hub.Options)) *bench {
	t.Helper()
	return openBenchOn(t, db, fake, static.New(), change...)
}

// openBenchOn starts a hub that shares the registry of routes with others, as replicas share Consul.
func openBenchOn(t *testing.T, db *store.Store, fake *schedulertest.Fake, registry *static.Registry, change ...func(*hub.Options)) *bench {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "static", Source: registry}}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	clock := &atomic.Int64{}
	o := hub.Options{
		Now:   func() time.Time { return time.Now().Add(time.Duration(clock.Load())) },
		Store: db, Scheduler: fake, Publisher: registry, Routes: routes{router}, Logger: log,
		URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081"), Admission: hub.Admission{AllowAll: true}, Limits: hub.Limits{AllowNamed: true},
	}
	for _, c := range change {
		c(&o)
	}
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = router.Run(ctx) })
	running.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("the hub ended with %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &bench{t: t, store: db, fake: fake, router: router, hub: h, clock: clock, stop: stop}
}

func (b *bench) login(name string) hub.User {
	b.t.Helper()
	_, u, err := b.hub.Login(b.t.Context(), auth.Identity{Provider: "test", Subject: name, Name: name}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func (b *bench) start(user, server string) hub.Server {
	b.t.Helper()
	s, err := b.hub.StartServer(b.t.Context(), user, server, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) await(id string, what string, done func(hub.Server) bool) hub.Server {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	s, err := b.hub.AwaitServer(ctx, id, done)
	if err != nil {
		b.t.Fatalf("waited for %s, and got %v; the server is %+v", what, err, s)
	}
	return s
}

// reach waits for a state, also beside the test's own goroutine.
func (b *bench) reach(id string, want hub.ServerState) (hub.Server, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), long)
	defer cancel()
	return b.hub.AwaitServer(ctx, id, func(s hub.Server) bool { return s.State == want })
}

func (b *bench) awaitState(id string, want hub.ServerState) hub.Server {
	b.t.Helper()
	return b.await(id, string(want), func(s hub.Server) bool { return s.State == want })
}

// notebook answers as a server does.
func notebook(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/api") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"version": "2"}`))
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// placeAt has every server that is started get a place at once.
func (b *bench) placeAt(address string) {
	b.fake.OnStart = func(s scheduler.Spec) { go func() { b.fake.Place(s.ID, address); b.fake.Run(s.ID) }() }
}

func TestStartToReadyAndStop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	u := b.login("alice")
	s := b.start("alice", "")
	ready := b.awaitState(s.ID, hub.Ready)
	route, ok := b.router.Table().Lookup("/user/alice/lab")
	if !ok || route.Server != s.ID || route.Address != ready.Address {
		t.Errorf("route is %+v, %v", route, ok)
	}
	spec, _ := b.fake.Spec(s.ID)
	if spec.Secrets["JUPYTERHUB_API_TOKEN"] == "" || spec.Env["JUPYTERHUB_API_TOKEN"] != "" {
		t.Error("the token is not where secrets belong")
	}
	p, err := b.hub.TokenPrincipal(t.Context(), spec.Secrets["JUPYTERHUB_API_TOKEN"])
	if err != nil || p.User.ID != u.ID {
		t.Fatalf("the server's token is %+v, %v", p, err)
	}
	if _, err := b.hub.StartServer(t.Context(), "alice", "", nil); hub.KindOf(err) != hub.Conflict {
		t.Errorf("starting what runs gives %v", err)
	}
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)
	if _, err := b.hub.TokenPrincipal(t.Context(), spec.Secrets["JUPYTERHUB_API_TOKEN"]); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("the token of a stopped server gives %v", err)
	}
	if err := b.router.AwaitNoRoute(t.Context(), s.ID, s.Generation); err != nil {
		t.Error(err)
	}
	if left, _ := b.fake.List(t.Context()); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

func TestF06_SameStartManyTimesAtOnceIsOneStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	var wg sync.WaitGroup
	gate := make(chan struct{})
	var mu sync.Mutex
	ids := map[string]int{}
	for range 20 {
		wg.Go(func() {
			<-gate
			s, err := b.hub.StartServer(t.Context(), "alice", "", nil)
			if err != nil && hub.KindOf(err) != hub.Conflict {
				t.Errorf("start: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[s.ID]++
		})
	}
	close(gate)
	wg.Wait()
	if len(ids) != 1 {
		t.Fatalf("starts made %d servers", len(ids))
	}
	for id := range ids {
		s := b.awaitState(id, hub.Ready)
		if s.Generation != 1 || b.fake.Starts(id) != 1 {
			t.Errorf("generation %d, %d starts", s.Generation, b.fake.Starts(id))
		}
	}
}

func TestF07_StopDuringStartWins(t *testing.T) {
	t.Parallel()
	b := newBench(t) // nothing places it, so the start never ends by itself
	b.login("alice")
	s := b.start("alice", "")
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.StartServer(t.Context(), "alice", "", nil); err != nil && hub.KindOf(err) != hub.Conflict {
		t.Errorf("start during stop gives %v", err)
	}
	got := b.await(s.ID, "stopped", func(s hub.Server) bool { return s.State == hub.Stopped || s.Generation > 1 })
	if got.Failure != nil {
		t.Errorf("a stop that was asked for is called a failure: %+v", got.Failure)
	}
}

func TestFailuresAreSentences(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cause  func(b *bench, t *testing.T)
		change func(*hub.Options)
		want   string
	}{
		{name: "refused", cause: func(b *bench, _ *testing.T) {
			b.fake.FailStart(&scheduler.RejectedError{Reason: "The job asks for a driver that no machine has."})
		}, want: "driver that no machine has"},
		{name: "died at start", cause: func(b *bench, _ *testing.T) {
			b.fake.OnStart = func(s scheduler.Spec) {
				b.fake.Print(s.ID, "Traceback", "ModuleNotFoundError")
				b.fake.Kill(s.ID, "The server ended with exit code 1.")
			}
		}, want: "exit code 1"},
		{name: "no room", cause: func(b *bench, _ *testing.T) {
			b.fake.OnStart = func(s scheduler.Spec) {
				b.fake.Block(s.ID, "64 GB asked, none of 2 nodes has them.")
				b.clock.Add(int64(time.Hour))
				go b.fake.Resync()
			}
		}, want: "64 GB asked"},
		{name: "never answers", cause: func(b *bench, t *testing.T) { b.placeAt(silent(t)) },
			change: func(o *hub.Options) { o.Notebook.AnswerTimeout = 3 * time.Second }, want: "did not answer within"},
		{name: "purged by an operator", cause: func(b *bench, _ *testing.T) {
			b.fake.OnStart = func(s scheduler.Spec) {
				go func() { b.fake.Place(s.ID, "127.0.0.1:1"); b.fake.Forget(s.ID); b.fake.Resync() }()
			}
		}, want: "removed by somebody else"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *hub.Options) {
				if tt.change != nil {
					tt.change(o)
				}
			})
			tt.cause(b, t)
			b.login("alice")
			s := b.start("alice", "")
			got := b.await(s.ID, "failure", func(s hub.Server) bool { return s.State == hub.Stopped && s.Failure != nil })
			if !strings.Contains(got.Failure.Message, tt.want) {
				t.Errorf("the failure says %q", got.Failure.Message)
			}
			if tt.name == "died at start" && !slices.Contains(got.Failure.Log, "ModuleNotFoundError") {
				t.Errorf("the log is %q", got.Failure.Log)
			}
			events, err := b.hub.Progress(t.Context(), "alice", "")
			if err != nil {
				t.Fatal(err)
			}
			told := slices.Collect(events)
			if last := told[len(told)-1]; !last.Failed || !strings.Contains(last.Message, tt.want) {
				t.Errorf("progress ends with %+v", last)
			}
			b.fake.FailStart(nil)
			b.fake.OnStart = nil
			if again := b.start("alice", ""); again.Generation != 2 {
				t.Errorf("the way on leads to generation %d", again.Generation)
			}
		})
	}
}

// silent accepts connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(done); srv.CloseClientConnections(); srv.Close() })
	return srv.Listener.Addr().String()
}

func TestRestartFindsRunningServers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.stop()

	next := openBench(t, b.store, b.fake.Reopen())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := next.hub.AwaitRoutes(ctx); err != nil {
		t.Fatalf("after the restart there is no route: %v", err)
	}
	if _, ok := next.router.Table().Lookup("/user/alice/lab"); !ok {
		t.Error("AwaitRoutes came back before the route was there")
	}
	if got := next.awaitState(s.ID, hub.Ready); got.Generation != 1 || next.fake.Starts(s.ID) != 1 {
		t.Errorf("the restart made generation %d, %d starts", got.Generation, next.fake.Starts(s.ID))
	}
}

func TestRestartNoticesWhatDiedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.stop()
	b.fake.Kill(s.ID, "The server ran out of memory.")

	next := openBench(t, b.store, b.fake.Reopen())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := next.hub.AwaitRoutes(ctx); err != nil {
		t.Errorf("the hub waits for the route of a server that has died: %v", err)
	}
	got := next.awaitState(s.ID, hub.Stopped)
	if got.Failure == nil || !strings.Contains(got.Failure.Message, "out of memory") {
		t.Errorf("the failure is %+v", got.Failure)
	}
}

func TestSchedulerAwayDelaysAndHeals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	b.fake.FailStart(scheduler.ErrUnavailable)
	s := b.start("alice", "")
	events, err := b.hub.Progress(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if strings.Contains(e.Message, "cannot be reached") {
			b.fake.FailStart(nil)
		}
	}
	b.awaitState(s.ID, hub.Ready)
}

func TestSilenceNeverEndsAServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.fake.FailList(errors.New("no route to the scheduler"))
	b.fake.Lose(s.ID, true)
	b.fake.Resync()
	got, err := b.hub.Server(t.Context(), "alice", "")
	if err != nil || got.State != hub.Ready {
		t.Errorf("the server is %s, %v", got.State, err)
	}
	if _, ok := b.router.Table().Lookup("/user/alice/"); !ok {
		t.Error("the route is gone")
	}
}

func TestRemoveDeletesTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "big one")
	b.awaitState(s.ID, hub.Ready)
	if _, ok := b.router.Table().Lookup("/user/alice/big%20one/lab"); !ok {
		t.Error("the named server has no route")
	}
	if _, err := b.hub.StopServer(t.Context(), "alice", "big one", true); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, err := b.hub.Server(ctx, "alice", "big one"); hub.KindOf(err) == hub.NotFound {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("the record is still there: %v", err)
		}
	}
}

func TestBadInputToStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.NamedServers = 1 })
	b.login("alice")
	tests := []struct {
		name, user, server string
		options            string
		want               hub.Kind
	}{
		{"nobody", "bob", "", "", hub.NotFound},
		{"slash in the name", "alice", "a/b", "", hub.Invalid},
		{"dot dot", "alice", "..", "", hub.Invalid},
		{"too long", "alice", strings.Repeat("x", 101), "", hub.Invalid},
		{"options that are no object", "alice", "", "[1]", hub.Invalid},
		{"options without end", "alice", "", `{"a":"` + strings.Repeat("x", 70<<10) + `"}`, hub.Invalid},
	}
	for _, tt := range tests {
		var options json.RawMessage
		if tt.options != "" {
			options = json.RawMessage(tt.options)
		}
		if _, err := b.hub.StartServer(t.Context(), tt.user, tt.server, options); err == nil || hub.KindOf(err) != tt.want {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	b.start("alice", "one")
	if _, err := b.hub.StartServer(t.Context(), "alice", "two", nil); hub.KindOf(err) != hub.Invalid {
		t.Errorf("over the limit of named servers: %v", err)
	}
}

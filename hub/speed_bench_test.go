package hub_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// everywhere shows each server at once, so that what is measured is the hub and its database.
type everywhere struct{ routing.Publisher }

func (everywhere) AwaitRoute(context.Context, string, int64, string) error { return nil }
func (everywhere) TakeActivity() []routing.Activity                        { return nil }
func (everywhere) Publish(context.Context, routing.Binding) error          { return nil }
func (everywhere) Withdraw(context.Context, string, int64) error           { return nil }

// answering is a server that answers.
type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{}}, nil
}

// fileStore is an empty database in a file.
func fileStore(b *testing.B) *store.Store {
	b.Helper()
	db, err := store.Open(b.Context(), store.Options{DSN: "sqlite://" + filepath.Join(b.TempDir(), "hub.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}

// alone is a hub of which nothing is in the way.
func alone(b *testing.B, db hub.Store, s scheduler.Scheduler, r prometheus.Registerer, change ...func(*hub.Options)) *hub.Hub {
	b.Helper()
	o := hub.Options{
		Store: db, Scheduler: s, Publisher: everywhere{}, Routes: everywhere{}, Logger: slog.New(slog.DiscardHandler), Registerer: r,
		URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081"), Limits: hub.Limits{ConcurrentStarts: 1_000_000, QueuedStarts: 1_000_000},
		Probe: &http.Client{Transport: answering{}},
	}
	for _, c := range change {
		c(&o)
	}
	h, err := hub.New(o)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// running runs a hub until the function that it returns is called.
func running(b *testing.B, h *hub.Hub) (end func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := h.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	return sync.OnceFunc(func() { cancel(); done.Wait() })
}

// crowd starts or stops servers of users, some of them at the same time, and waits until all are there or gone.
func crowd(b *testing.B, users int, of func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < users; i = int(next.Add(1)) - 1 {
				if err := of(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkStartAndStop is the hub's own work and its database's for a server that is there at once: processor time and allocations for each.
func BenchmarkStartAndStop(b *testing.B) {
	const users = 500
	for b.Loop() {
		db, fake := fileStore(b), schedulertest.NewFake()
		var placed atomic.Int64
		fake.OnStart = func(s scheduler.Spec) {
			n := placed.Add(1)
			fake.Place(s.ID, fmt.Sprintf("10.0.%d.%d:8888", n>>8&0xff, n&0xff))
			fake.Run(s.ID)
		}
		ids := make([]string, users)
		for i := range users {
			if err := db.CreateUser(b.Context(), hub.User{ID: uuid.Must(uuid.NewV7()).String(), Name: fmt.Sprint("user-", i), Created: time.Now()}); err != nil {
				b.Fatal(err)
			}
		}
		h := alone(b, db, fake, nil)
		end := running(b, h)
		phase := func(name string, state hub.ServerState, ask func(name string) (hub.Server, error)) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := cputime.Used(b)
			crowd(b, users, func(i int) error {
				s, err := ask(fmt.Sprint("user-", i))
				if err == nil {
					ids[i] = s.ID
					_, err = h.AwaitSeen(b.Context(), s, func(s hub.Server) bool { return s.State == state })
				}
				return err
			})
			used := cputime.Used(b) - begun
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(used.Microseconds())/users, "cpu-µs/"+name)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/users, "allocs/"+name)
		}
		phase("start", hub.Ready, func(name string) (hub.Server, error) { return h.StartServer(b.Context(), name, "", nil) })
		phase("stop", hub.Stopped, func(name string) (hub.Server, error) { return h.StopServer(b.Context(), name, "", false) })
		end()
	}
}

// manyRunning fills a database and a scheduler with servers that run.
func manyRunning(b *testing.B, many int) (*store.Store, *schedulertest.Fake) {
	b.Helper()
	db, fake := fileStore(b), schedulertest.NewFake()
	began := time.Now().Add(-time.Hour)
	err := db.InTx(b.Context(), func(tx hub.Store) error {
		for i := range many {
			u := hub.User{ID: uuid.Must(uuid.NewV7()).String(), Name: fmt.Sprintf("user-%d", i), Created: began, Groups: []string{"course"}}
			s := hub.Server{
				ID: uuid.Must(uuid.NewV7()).String(), UserID: u.ID, State: hub.Ready, Generation: 1, Instance: "i-" + u.ID,
				Address: fmt.Sprintf("10.%d.%d.%d:8888", i>>16, i>>8&0xff, i&0xff), Profile: "small", Options: []byte(`{"profile":"small"}`),
				Created: began, Started: began, Queued: began, Admitted: began, LastActivity: began, LastUsed: began,
				Held: &hub.Held{MemoryMB: 1024, CPU: 500, Image: "quay.io/jupyter/scipy-notebook:2026-01-01", Pool: "default", Node: "node-1"},
			}
			if err := tx.CreateUser(b.Context(), u); err != nil {
				return err
			}
			if err := tx.CreateServer(b.Context(), s); err != nil {
				return err
			}
			run := hub.UsageRun{ID: s.ID, ServerID: s.ID, UserID: u.ID, UserName: u.Name, Generation: 1, Instance: s.Instance, MemoryMB: 1024, Held: s.Held, Began: began}
			if err := tx.OpenRun(b.Context(), run); err != nil {
				return err
			}
			fake.Adopt(scheduler.Spec{ID: s.ID, Generation: 1}, scheduler.Status{State: scheduler.Running, Instance: s.Instance, Address: s.Address, Began: began})
		}
		return tx.TouchUsage(b.Context(), began)
	})
	if err != nil {
		b.Fatal(err)
	}
	return db, fake
}

// showsAll are routes that show each of the running servers, as those of a hub do that runs for a while.
type showsAll struct {
	everywhere
	table *routing.Table
}

func (s showsAll) Table() *routing.Table { return s.table }

// showing shows all servers of the database.
func showing(b *testing.B, db hub.Store) hub.Routes {
	b.Helper()
	rows, _, err := db.Servers(b.Context(), hub.ServerQuery{})
	if err != nil {
		b.Fatal(err)
	}
	routes := make([]routing.Route, len(rows))
	for i, s := range rows {
		routes[i] = routing.Route{Server: s.ID, Prefix: "/user/" + s.UserName + "/", Generation: s.Generation, Instance: s.Instance, Address: s.Address}
	}
	return showsAll{table: routing.NewTable(routes)}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// awaitSwept waits until the hub has compared all servers with what runs so many times.
func awaitSwept(b *testing.B, r *prometheus.Registry, times uint64) {
	b.Helper()
	for swept := uint64(0); swept < times; {
		families, err := r.Gather()
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "nomadhub_sweep_duration_seconds" {
				swept = f.GetMetric()[0].GetHistogram().GetSampleCount()
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-b.Context().Done():
			b.Fatal("the hub looked at no servers")
		}
	}
}

// BenchmarkRestart is what a hub takes that finds servers running: processor time until it has waited for their routes and compared all of them with what runs, and
// what it goes on holding for each.
func BenchmarkRestart(b *testing.B) {
	const servers = 10_000
	db, fake := manyRunning(b, servers)
	shown := showing(b, db)
	var least time.Duration
	var held uint64
	for b.Loop() {
		before, registry := heapInUse(), prometheus.NewRegistry()
		begun := cputime.Used(b)
		h := alone(b, db, fake, registry, func(o *hub.Options) { o.Routes = shown })
		end := running(b, h)
		if err := h.AwaitRoutes(b.Context()); err != nil {
			b.Fatal(err)
		}
		awaitSwept(b, registry, 1)
		if used := cputime.Used(b) - begun; least == 0 || used < least {
			least = used
		}
		if n := hub.Workers(h); n > 0 {
			b.Errorf("%d servers are worked on", n)
		}
		if after := heapInUse(); after > before {
			held = (after - before) / servers
		}
		end()
		runtime.KeepAlive(h)
	}
	b.ReportMetric(float64(least.Microseconds())/1000, "cpu-ms")
	b.ReportMetric(float64(held), "heap-B/server")
}

// BenchmarkSweep compares 10,000 servers that are as they should be with what runs.
func BenchmarkSweep(b *testing.B) {
	db, fake := manyRunning(b, 10_000)
	h := alone(b, db, fake, nil, func(o *hub.Options) { o.Routes = showing(b, db) })
	perCore(b, func() error { return h.Sweep(b.Context()) })
}

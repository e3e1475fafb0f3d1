package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrSuperseded means that the awaited run of a server has been replaced by a newer one and will never be routed.
var ErrSuperseded = errors.New("routing: a newer run of this server is routed")

// NamedSource is a source with the name under which logs and metrics speak of it.
type NamedSource struct {
	Name   string
	Source Source
}

// RouterOptions are what a [Router] is made of.
type RouterOptions struct {
	// Sources are merged in this order: where two contradict each other on a prefix or an address, the earlier is right. At least one.
	Sources    []NamedSource
	Logger     *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
}

// Router keeps the table that is made of what its sources say. Reading it is one atomic load.
type Router struct {
	log     *slog.Logger
	sources []*feed
	ledger  *ledger // of Run
	current atomic.Pointer[version]
	waiting waiting
	wake    chan struct{} // a feed has news; holds at most one token, so that a burst makes one table
	ready   chan struct{} // closed when every source has answered once
}

// version is a table and a way to hear that it was replaced.
type version struct {
	table    *Table
	replaced chan struct{}
}

// NewRouter makes a router with an empty table. It does nothing before Run.
func NewRouter(o RouterOptions) (*Router, error) {
	if len(o.Sources) == 0 {
		return nil, errors.New("routing: a router needs at least one source")
	}
	r := &Router{log: orDefault(o.Logger), ledger: newLedger(), wake: make(chan struct{}, 1), ready: make(chan struct{})}
	r.current.Store(&version{table: r.ledger.table, replaced: make(chan struct{})})
	names := make(map[string]bool)
	for _, s := range o.Sources {
		if s.Source == nil || s.Name == "" || names[s.Name] {
			return nil, fmt.Errorf("routing: source %q needs a name of its own and must not be nil", s.Name)
		}
		names[s.Name] = true
		r.sources = append(r.sources, &feed{name: s.Name, source: s.Source, log: r.log.With("source", s.Name)})
	}
	return r, register(o.Registerer, routerMetrics(r)...)
}

func orDefault(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// Run follows the sources until ctx ends, and then returns nil. It must be called once.
func (r *Router) Run(ctx context.Context) error {
	var feeds sync.WaitGroup
	defer feeds.Wait()
	for _, f := range r.sources {
		feeds.Go(func() { f.follow(ctx, r.poke) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			r.update()
		}
	}
}

func (r *Router) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// update makes a table of what changed in the newest snapshots and swaps it in if it differs. Only Run calls it.
func (r *Router) update() {
	var all []news
	ready := true
	for i, f := range r.sources {
		changed, answered := f.take()
		ready = ready && answered
		for number, routes := range changed {
			all = append(all, news{place{list: i, part: number}, routes})
		}
	}
	changes := r.ledger.apply(all)
	next := r.ledger.table
	if len(changes.added)+len(changes.removed) > 0 {
		r.logSwap(next, changes)
	}
	if !changes.none() {
		old := r.current.Swap(&version{table: next, replaced: make(chan struct{})})
		close(old.replaced)
		r.waiting.tell(changes)
	}
	if ready && !r.Ready() {
		close(r.ready)
		r.log.Info("routing is ready", "routes", next.Len())
	}
}

// Table returns the table of this moment.
func (r *Router) Table() *Table { return r.current.Load().table }

// Ready tells whether every source has answered at least once.
func (r *Router) Ready() bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

// WaitReady returns when every source has answered once, or with the context's error.
func (r *Router) WaitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the first routes: %w", context.Cause(ctx))
	}
}

// Await returns when done says yes to the current table, or with the context's error. It asks again whenever the table is replaced; who waits
// for one server is better served by AwaitRoute, which other servers do not wake.
func (r *Router) Await(ctx context.Context, done func(*Table) bool) error {
	for {
		v := r.current.Load()
		if done(v.table) {
			return nil
		}
		select {
		case <-v.replaced:
		case <-ctx.Done():
			return fmt.Errorf("wait for a route: %w", context.Cause(ctx))
		}
	}
}

// AwaitRoute returns when this run of the server is routed. An empty instance stands for any of the generation. It fails with
// ErrSuperseded when a newer generation is routed, and with the context's error.
func (r *Router) AwaitRoute(ctx context.Context, server string, generation int64, instance string) error {
	return r.awaitServer(ctx, server, func(t *Table) (bool, error) {
		route, ok := t.Server(server)
		if ok && route.Generation > generation {
			return true, ErrSuperseded
		}
		return ok && route.Generation == generation && (instance == "" || route.Instance == instance), nil
	})
}

// AwaitNoRoute returns when the server has no route of this generation or an older one.
func (r *Router) AwaitNoRoute(ctx context.Context, server string, generation int64) error {
	return r.awaitServer(ctx, server, func(t *Table) (bool, error) {
		route, ok := t.Server(server)
		return !ok || route.Generation > generation, nil
	})
}

// SourceStatus is how one source is doing.
type SourceStatus struct {
	Name     string
	Answered bool          // it has yielded a snapshot
	Routes   int           // in its last good snapshot
	Age      time.Duration // for how long that snapshot has not been known to be right; 0: it is right
	Err      error         // why, or nil
}

// Status reports on every source, in merge order.
func (r *Router) Status() []SourceStatus {
	now := time.Now()
	status := make([]SourceStatus, len(r.sources))
	for i, f := range r.sources {
		status[i] = f.status(now)
	}
	return status
}

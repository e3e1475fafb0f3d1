package schedulertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Fake is a scheduler in memory. Servers do nothing by themselves: the test places, runs and ends them. All methods are safe for
// concurrent use.
type Fake struct {
	// OnStart, if set, is called once for each accepted start, before Start returns, and may use the knobs below.
	OnStart func(spec scheduler.Spec)
	// OnStop, if set, is called once for each server that Stop or a newer generation ends, before that call returns.
	OnStop func(spec scheduler.Spec)

	world *world
}

var (
	_ scheduler.Scheduler = (*Fake)(nil)
	_ scheduler.LogTailer = (*Fake)(nil)
)

// world is what several Fakes may share: the cluster.
type world struct {
	changing sync.Mutex // held over a whole Start or Stop with its hooks, so that hooks never overlap

	mu        sync.Mutex // held for the fields below, never while a hook runs
	servers   map[string]*fakeServer
	starts    map[string]int
	placed    uint64
	watchers  []*fakeWatcher
	deaf      bool
	sign      time.Time
	failStart error
	failStop  error
	failList  error
	plans     planner
	volumes   fakeVolumes
}

type fakeServer struct {
	spec   scheduler.Spec
	status scheduler.Status
	log    []string
	usage  scheduler.Usage
	events []scheduler.Event // all that was told; bounded by maxEvents
}

// NewFake returns an empty Fake.
func NewFake() *Fake {
	return &Fake{world: &world{servers: make(map[string]*fakeServer), starts: make(map[string]int)}}
}

// Reopen returns another Fake on the same servers and with the same hooks, as a second or restarted hub has.
func (f *Fake) Reopen() *Fake { return &Fake{OnStart: f.OnStart, OnStop: f.OnStop, world: f.world} }

// Start implements scheduler.Scheduler.
func (f *Fake) Start(ctx context.Context, spec scheduler.Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	f.world.changing.Lock()
	defer f.world.changing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	older, accepted, err := f.world.admit(spec)
	if err != nil || !accepted {
		return err
	}
	if older != nil {
		f.end(older)
	}
	f.world.insert(spec)
	if f.OnStart != nil {
		f.OnStart(spec)
	}
	return nil
}

// admit decides whether a start is accepted, and which older server it replaces.
func (w *world) admit(spec scheduler.Spec) (older *fakeServer, accepted bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failStart != nil {
		return nil, false, w.failStart
	}
	current := w.servers[spec.ID]
	switch {
	case current == nil:
		return nil, true, nil
	case current.spec.Generation == spec.Generation:
		return nil, false, nil
	case current.spec.Generation > spec.Generation:
		return nil, false, scheduler.ErrStale
	}
	return current, true, nil
}

func (w *world) insert(spec scheduler.Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[spec.ID] = &fakeServer{
		spec:   spec,
		status: scheduler.Status{ID: spec.ID, Generation: spec.Generation, State: scheduler.Pending},
	}
	w.starts[spec.ID]++
	w.tell(w.servers[spec.ID], "The server was accepted.")
}

// end removes a server and tells so. The caller holds changing.
func (f *Fake) end(s *fakeServer) {
	if f.OnStop != nil {
		f.OnStop(s.spec)
	}
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if f.world.servers[s.spec.ID] != s { // an operator's Forget came first
		return
	}
	if s.status.State != scheduler.Dead {
		s.status.State, s.status.Reason = scheduler.Dead, "The server was stopped."
		f.world.tell(s, s.status.Reason)
	}
	delete(f.world.servers, s.spec.ID)
}

// Stop implements scheduler.Scheduler.
func (f *Fake) Stop(ctx context.Context, id string, generation int64) error {
	f.world.changing.Lock()
	defer f.world.changing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f.world.mu.Lock()
	s, err := f.world.servers[id], f.world.failStop
	f.world.mu.Unlock()
	if err != nil || s == nil || s.spec.Generation > generation {
		return err
	}
	f.end(s)
	return nil
}

// Status implements scheduler.Scheduler.
func (f *Fake) Status(ctx context.Context, id string) (scheduler.Status, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return scheduler.Status{}, err
	}
	s := f.world.servers[id]
	if s == nil {
		return scheduler.Status{}, scheduler.ErrNotFound
	}
	return s.status, nil
}

// List implements scheduler.Scheduler; it is sorted by ID.
func (f *Fake) List(ctx context.Context) ([]scheduler.Status, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return nil, err
	}
	all := make([]scheduler.Status, 0, len(f.world.servers))
	for _, s := range f.world.servers {
		all = append(all, s.status)
	}
	slices.SortFunc(all, func(a, b scheduler.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// LogTail implements scheduler.LogTailer with the lines given to Print.
func (f *Fake) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	s := f.world.servers[id]
	if s == nil {
		return nil, cmpErr(ctx.Err(), scheduler.ErrNotFound)
	}
	return slices.Clone(s.log[max(0, len(s.log)-n):]), ctx.Err()
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// newInstance names an instance that never was before.
func (w *world) newInstance() string {
	w.placed++
	return fmt.Sprintf("instance-%d", w.placed)
}

package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// watcher remembers what a watch yields.
type watcher struct {
	mu      sync.Mutex
	resyncs int
	errs    []error
	newest  map[string]int64 // by server, the newest generation told
	back    []scheduler.Event
	ends    map[string]scheduler.Cause // by server, why it was told to have ended
}

func watchAll(t *testing.T, s *nomad.Scheduler) *watcher {
	t.Helper()
	w := &watcher{newest: map[string]int64{}, ends: map[string]scheduler.Cause{}}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for event, err := range s.Watch(ctx) {
			w.take(event, err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	w.awaitResyncs(t, 1)
	return w
}

func (w *watcher) take(event scheduler.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.errs = append(w.errs, err)
	case event.Resync:
		w.resyncs++
	case event.Generation < w.newest[event.ID] && event.Status != nil && event.Status.State != scheduler.Dead:
		w.back = append(w.back, event)
	default:
		w.newest[event.ID] = max(w.newest[event.ID], event.Generation)
		if event.Status != nil && event.Status.State == scheduler.Dead {
			w.ends[event.ID] = event.Status.Cause
		}
	}
}

func (w *watcher) awaitCause(t *testing.T, id string, cause scheduler.Cause) {
	t.Helper()
	await(t, fmt.Sprintf("%s is told to have ended because of %q", id, cause), func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if got, ok := w.ends[id]; !ok || got != cause {
			return fmt.Errorf("so far %v", w.ends)
		}
		return nil
	})
}

func (w *watcher) awaitResyncs(t *testing.T, n int) {
	t.Helper()
	await(t, fmt.Sprintf("there are %d resyncs", n), func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.resyncs < n {
			return fmt.Errorf("%d so far, errors %v", w.resyncs, w.errs)
		}
		return nil
	})
}

func (w *watcher) awaitTrouble(t *testing.T, part string) {
	t.Helper()
	await(t, fmt.Sprintf("%q is told", part), func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.ContainsFunc(w.errs, func(err error) bool { return strings.Contains(err.Error(), part) }) {
			return fmt.Errorf("so far %v", w.errs)
		}
		return nil
	})
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resyncs
}

func (w *watcher) awaitTold(t *testing.T, id string, generation int64) {
	t.Helper()
	await(t, fmt.Sprintf("generation %d of %s is told", generation, id), func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.newest[id] < generation {
			return fmt.Errorf("so far %v", w.newest)
		}
		return nil
	})
}

// finish fails if a generation went back.
func (w *watcher) finish(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.back) > 0 {
		t.Errorf("generations went back: %+v", w.back)
	}
}

// TestF09StreamFaults cuts and freezes the way between hub and Nomad. Each time the watch notices, connects again and says so, and nothing is taken for dead.
func TestF09StreamFaults(t *testing.T) {
	t.Parallel()
	server := startAgents(t, 1)[0]
	way := startFaults(t, server.address)
	direct, s := schedulerAt(t, server.address, "notebook-"), schedulerAt(t, way.address, "notebook-")
	w := watchAll(t, s)
	start := func(id string, generation int64) {
		t.Helper()
		if err := direct.Start(t.Context(), scheduler.Spec{ID: id, Generation: generation}); err != nil {
			t.Fatal(err)
		}
	}
	start("a", 1)
	w.awaitTold(t, "a", 1)

	resyncs := w.count()
	way.freezeOld()
	begun := time.Now()
	start("b", 1) // what the frozen stream holds back
	w.awaitResyncs(t, resyncs+1)
	t.Logf("a frozen stream was replaced after %s", time.Since(begun).Round(100*time.Millisecond))

	start("b", 2)
	w.awaitTold(t, "b", 2)
	resyncs = w.count()
	way.thaw() // what was held back comes now, and nobody listens
	way.cut()
	w.awaitResyncs(t, resyncs+1)
	start("b", 3)
	w.awaitTold(t, "b", 3)

	resyncs = w.count()
	way.freeze()
	begun = time.Now()
	w.awaitTrouble(t, "nothing answers")
	if age := time.Since(s.LastSign()); age < time.Second {
		t.Errorf("without contact the last sign is %s old", age)
	}
	t.Logf("lost contact was told after %s", time.Since(begun).Round(100*time.Millisecond))
	if listed, err := direct.List(t.Context()); err != nil || len(listed) != 2 || slices.ContainsFunc(listed, func(s scheduler.Status) bool { return s.State == scheduler.Dead }) {
		t.Errorf("List: %+v, %v", listed, err)
	}
	way.thaw()
	w.awaitResyncs(t, resyncs+1)
	start("a", 2)
	w.awaitTold(t, "a", 2)

	resyncs = w.count()
	server.kill()
	server.start()
	await(t, "the server is back", server.hasLeader)
	w.awaitResyncs(t, resyncs+1)
	await(t, "a generation is accepted", func() error { return direct.Start(t.Context(), scheduler.Spec{ID: "a", Generation: 3}) })
	w.awaitTold(t, "a", 3)
	w.finish(t)
}

// TestF08LeaderLost kills the leader of three servers, and freezes the next one, while servers are being started through one that follows.
func TestF08LeaderLost(t *testing.T) {
	t.Parallel()
	agents := startAgents(t, 3)
	leader := func() *agent {
		t.Helper()
		var found *agent
		await(t, "there is a leader", func() error {
			for _, a := range agents {
				address, err := a.client.Status().Leader()
				at := slices.IndexFunc(agents, func(b *agent) bool { return b.rpc == address })
				if err == nil && at >= 0 {
					found = agents[at]
					return nil
				}
			}
			return errors.New("nobody knows one")
		})
		return found
	}
	first := leader()
	follower, third := agents[(slices.Index(agents, first)+1)%3], agents[(slices.Index(agents, first)+2)%3]
	way := startFaults(t, follower.address)
	s := schedulerAt(t, way.address, "notebook-")
	w := watchAll(t, s)

	var starts sync.WaitGroup
	started := func(from, to int) {
		for i := from; i < to; i++ {
			starts.Go(func() { startUntilAccepted(t, s, fmt.Sprintf("server-%d", i)) })
		}
	}
	recovered := func(what string) {
		t.Helper()
		begun := time.Now()
		await(t, "reads work again", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := s.List(ctx)
			return err
		})
		t.Logf("%s: reads worked again after %s", what, time.Since(begun).Round(100*time.Millisecond))
		starts.Wait()
		t.Logf("%s: all starts were accepted after %s", what, time.Since(begun).Round(100*time.Millisecond))
	}
	started(0, 5)
	first.kill()
	started(5, 10)
	recovered("killed")
	first.start()
	await(t, "the killed server is back", first.hasLeader)

	second := leader()
	if second == follower { // a hub that talks to a frozen server has no contact, which is another test's
		way.lead(third.address)
	}
	second.signal(syscall.SIGSTOP)
	started(10, 15)
	recovered("frozen")
	second.signal(syscall.SIGCONT)
	for i := range 15 {
		w.awaitTold(t, fmt.Sprintf("server-%d", i), 1)
	}
	w.finish(t)
	await(t, "all servers agree", func() error { return registeredOnce(t, agents, 15) })
}

// startUntilAccepted starts a server as the hub does: again and again, with the same generation.
func startUntilAccepted(t *testing.T, s *nomad.Scheduler, id string) {
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := s.Start(ctx, scheduler.Spec{ID: id, Generation: 1})
		cancel()
		switch {
		case err == nil:
			return
		case t.Context().Err() != nil:
			return
		case !errors.Is(err, scheduler.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("start of %s: %v", id, err)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("the start of %s was never accepted", id)
}

// registeredOnce is nil if every server knows of so many jobs, each with one version.
func registeredOnce(t *testing.T, agents []*agent, n int) error {
	t.Helper()
	for _, a := range agents {
		jobs, _, err := a.client.Jobs().List(nil)
		if err != nil {
			return err
		}
		if len(jobs) != n {
			return fmt.Errorf("%s knows %d jobs", a.address, len(jobs))
		}
		for _, job := range jobs {
			versions, _, _, err := a.client.Jobs().Versions(job.ID, false, nil)
			if err != nil {
				return err
			}
			if len(versions) != 1 || !strings.HasPrefix(job.ID, "notebook-server-") {
				t.Errorf("%s was registered %d times", job.ID, len(versions))
			}
		}
	}
	return nil
}

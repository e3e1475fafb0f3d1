package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// These tests put what another replica does between two steps of this one.

// rivalStore does something after a server was read by name.
type rivalStore struct {
	hub.Store
	read func(hub.Server)
}

func (s rivalStore) ServerByName(ctx context.Context, userID, name string) (hub.Server, error) {
	v, err := s.Store.ServerByName(ctx, userID, name)
	if err == nil {
		s.read(v)
	}
	return v, err
}

// rivalScheduler does something before a call.
type rivalScheduler struct {
	*schedulertest.Fake
	start  func(ctx context.Context)
	status func(id string)
}

func (s rivalScheduler) Start(ctx context.Context, spec scheduler.Spec) error {
	if s.start != nil {
		s.start(ctx)
	}
	if ctx.Err() != nil {
		return scheduler.ErrUnavailable
	}
	return s.Fake.Start(ctx, spec)
}

func (s rivalScheduler) Status(ctx context.Context, id string) (scheduler.Status, error) {
	if s.status != nil {
		s.status(id)
	}
	return s.Fake.Status(ctx, id)
}

// rivalPublisher does something before a route is withdrawn.
type rivalPublisher struct {
	routing.Publisher
	withdraw func(generation int64)
}

func (p rivalPublisher) Withdraw(ctx context.Context, server string, generation int64) error {
	p.withdraw(generation)
	return p.Publisher.Withdraw(ctx, server, generation)
}

// change writes a server's row as another replica would.
func change(t *testing.T, store hub.Store, id string, how func(*hub.Server)) {
	t.Helper()
	s, err := store.ServerByID(context.WithoutCancel(t.Context()), id)
	if err != nil {
		t.Error(err)
		return
	}
	how(&s)
	if _, err := store.UpdateServer(context.WithoutCancel(t.Context()), s); err != nil {
		t.Error(err)
	}
}

func TestF07_RemoveNeverTakesAServerThatWasStartedMeanwhile(t *testing.T) {
	t.Parallel()
	var startMeanwhile atomic.Bool
	b := newBench(t, func(o *hub.Options) {
		db := o.Store
		o.Store = rivalStore{db, func(s hub.Server) {
			if startMeanwhile.CompareAndSwap(true, false) {
				change(t, db, s.ID, func(s *hub.Server) { s.State, s.Generation = hub.Starting, s.Generation+1 })
			}
		}}
	})
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "lab")
	if _, err := b.hub.StopServer(t.Context(), "alice", "lab", false); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)
	startMeanwhile.Store(true)
	got, err := b.hub.StopServer(t.Context(), "alice", "lab", true)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != hub.Stopping || !got.Remove {
		t.Errorf("the remove of a server that was just started left %+v; its job would run for nobody", got)
	}
}

func TestF07_StopCutsShortAStartThatHangs(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	begun := sync.OnceFunc(func() { close(hanging) })
	b := newBench(t, func(o *hub.Options) {
		o.Scheduler = rivalScheduler{Fake: o.Scheduler.(*schedulertest.Fake), start: func(ctx context.Context) { begun(); <-ctx.Done() }}
	})
	b.login("alice")
	s := b.start("alice", "")
	<-hanging
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	if got := b.awaitState(s.ID, hub.Stopped); got.Failure != nil {
		t.Errorf("the stop is called a failure: %+v", got.Failure)
	}
}

func TestF07_StartOnItsWayWhenTheRecordIsRemovedLeavesNothing(t *testing.T) {
	t.Parallel()
	begun := make(chan string, 1)
	ended := make(chan struct{})
	b := newBench(t, func(o *hub.Options) {
		fake, db := o.Scheduler.(*schedulertest.Fake), o.Store
		fake.OnStop = func(scheduler.Spec) { close(ended) }
		o.Scheduler = rivalScheduler{Fake: fake, start: func(context.Context) {
			if err := db.DeleteServer(context.WithoutCancel(t.Context()), <-begun); err != nil {
				t.Error(err)
			}
		}}
	})
	b.login("alice")
	s := b.start("alice", "lab")
	begun <- s.ID
	awaitClosed(t, ended, "the job of the server whose record is gone to be ended")
	until(t, "nothing to be left over", func() bool {
		left, err := b.fake.List(t.Context())
		return err == nil && len(left) == 0
	})
}

func TestF07_NoTokenForAServerThatWasStoppedMeanwhile(t *testing.T) {
	t.Parallel()
	looked := make(chan struct{})
	var looks atomic.Int64
	b := newBench(t, func(o *hub.Options) {
		db := o.Store
		o.Scheduler = rivalScheduler{Fake: o.Scheduler.(*schedulertest.Fake), status: func(id string) {
			switch looks.Add(1) {
			case 1:
				change(t, db, id, func(s *hub.Server) { s.State = hub.Stopped })
			case 2:
				close(looked)
			}
		}}
	})
	u := b.login("alice")
	s := b.start("alice", "")
	awaitClosed(t, looked, "a second look")
	tokens, err := b.hub.Tokens(t.Context(), u.ID)
	if err != nil || len(tokens) != 0 || b.fake.Starts(s.ID) != 0 {
		t.Errorf("a stopped server was given %d tokens and started %d times, %v", len(tokens), b.fake.Starts(s.ID), err)
	}
}

func TestF03_AStopThatWasFrozenLeavesTheNextRunAlone(t *testing.T) {
	t.Parallel()
	var b *bench
	var frozen atomic.Bool
	var id atomic.Pointer[string]
	b = newBench(t, func(o *hub.Options) {
		db, fake := o.Store, o.Scheduler.(*schedulertest.Fake)
		o.Publisher = rivalPublisher{o.Publisher, func(int64) {
			if !frozen.CompareAndSwap(true, false) {
				return
			}
			ctx := context.WithoutCancel(t.Context())
			if err := fake.Stop(ctx, *id.Load(), 1); err != nil { // the other replica stops it, and its user starts it anew
				t.Error(err)
			}
			change(t, db, *id.Load(), func(s *hub.Server) { s.State, s.Generation, s.Instance, s.Address = hub.Starting, 2, "", "" })
			if err := fake.Start(ctx, scheduler.Spec{ID: *id.Load(), Generation: 2}); err != nil {
				t.Error(err)
			}
		}}
	})
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	id.Store(&s.ID)
	frozen.Store(true)
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.await(s.ID, "the next run", func(s hub.Server) bool { return s.State == hub.Ready && s.Generation == 2 })
	if n := b.fake.Starts(s.ID); n != 2 {
		t.Errorf("%d starts: the frozen stop ended the next run", n)
	}
}

func awaitClosed(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-c:
	case <-ctx.Done():
		t.Fatalf("waited in vain for %s", what)
	}
}

// supersededRoutes says at once that the run will never be routed.
type supersededRoutes struct {
	routes
	asked *atomic.Int64
}

func (r supersededRoutes) AwaitRoute(context.Context, string, int64, string) error {
	r.asked.Add(1)
	return routing.ErrSuperseded
}

func TestARouteThatNeverComesIsNotAskedForWithoutPause(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	b := newBench(t, func(o *hub.Options) {
		o.Routes = supersededRoutes{o.Routes.(routes), &asked}
		o.Notebook.AnswerTimeout = 500 * time.Millisecond
	})
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	got := b.awaitState(s.ID, hub.Stopped)
	if got.Failure == nil || !strings.Contains(got.Failure.Message, "discovery") {
		t.Errorf("the failure is %+v", got.Failure)
	}
	if n := asked.Load(); n > 20 {
		t.Errorf("within half a second it was asked for %d times", n)
	}
}

// TestF05_ManyServersAreLookedAtAFewAtATime: a hub that finds thousands of servers at its start asks the scheduler and the database about all of them, not at once.
func TestF05_ManyServersAreLookedAtAFewAtATime(t *testing.T) {
	t.Parallel()
	const servers, atOnce = 120, 32
	var asking, asked atomic.Int64
	full, tooMany, gate, all := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	isFull, isTooMany := sync.OnceFunc(func() { close(full) }), sync.OnceFunc(func() { close(tooMany) })
	newBench(t, func(o *hub.Options) {
		fake := o.Scheduler.(*schedulertest.Fake)
		u := hub.User{ID: "u", Name: "alice", Created: time.Now()}
		if err := o.Store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		for i := range servers {
			s := hub.Server{ID: fmt.Sprintf("s%d", i), UserID: u.ID, Name: fmt.Sprint(i), State: hub.Ready, Generation: 1, Instance: "i", Address: "127.0.0.1:1"}
			if err := o.Store.CreateServer(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := fake.Start(t.Context(), scheduler.Spec{ID: s.ID, Generation: 1}); err != nil {
				t.Fatal(err)
			}
		}
		o.Scheduler = rivalScheduler{Fake: fake, status: func(string) {
			switch n := asking.Add(1); {
			case n == atOnce:
				isFull()
			case n > atOnce:
				isTooMany()
			}
			<-gate
			asking.Add(-1)
			if asked.Add(1) == servers {
				close(all)
			}
		}}
	})
	awaitClosed(t, full, "several questions at once")
	select {
	case <-tooMany:
		t.Errorf("more than %d questions at once", atOnce)
	case <-time.After(300 * time.Millisecond): // no sign of another one, while none was answered
	}
	close(gate)
	awaitClosed(t, all, "a question about every server")
}

// TestF07_AStartCutShortThatIsCarriedOutLateLeavesNothing: a scheduler that hangs may carry out a request long after the hub gave up on it, and here even after the
// record was removed.
func TestF07_AStartCutShortThatIsCarriedOutLateLeavesNothing(t *testing.T) {
	t.Parallel()
	hanging, ended := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(hanging) })
	b := newBench(t, func(o *hub.Options) {
		fake := o.Scheduler.(*schedulertest.Fake)
		fake.OnStop = func(scheduler.Spec) { close(ended) }
		o.Scheduler = rivalScheduler{Fake: fake, start: func(ctx context.Context) { begun(); <-ctx.Done() }}
	})
	u := b.login("alice")
	s := b.start("alice", "lab")
	<-hanging
	if _, err := b.hub.StopServer(t.Context(), "alice", "lab", true); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)
	if left, _, err := b.hub.Servers(t.Context(), hub.ServerQuery{UserIDs: []string{u.ID}}); err != nil || len(left) != 0 {
		t.Fatalf("the record is still there: %+v, %v", left, err)
	}
	if err := b.fake.Start(t.Context(), scheduler.Spec{ID: s.ID, Generation: s.Generation}); err != nil {
		t.Fatal(err)
	}
	awaitClosed(t, ended, "the late job to end")
}

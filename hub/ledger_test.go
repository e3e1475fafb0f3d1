package hub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/budget"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// runs are all runs of the ledger.
func (b *bench) runs() []hub.UsageRun {
	b.t.Helper()
	now := time.Now()
	runs, err := b.store.UsageRuns(context.WithoutCancel(b.t.Context()), hub.UsageQuery{From: now.Add(-100 * time.Hour), To: now.Add(100 * time.Hour)})
	if err != nil {
		b.t.Fatal(err)
	}
	return runs
}

// awaitRun waits for the only run to be as it should.
func (b *bench) awaitRun(what string, ok func(hub.UsageRun) bool) hub.UsageRun {
	b.t.Helper()
	var run hub.UsageRun
	b.eventually(what, func() bool {
		runs := b.runs()
		if len(runs) > 1 {
			b.t.Fatalf("there is more than one run: %+v", runs)
		}
		if len(runs) == 1 {
			run = runs[0]
		}
		return len(runs) == 1 && ok(run)
	})
	return run
}

func ended(r hub.UsageRun) bool { return !r.Ended.IsZero() }

func withResources(o *hub.Options) {
	o.Notebook.Resources = scheduler.Resources{CPU: 1000, MemoryMB: 2048}
	o.Usage.Interval, o.Usage.CoreMHz = 50*time.Millisecond, 2000
}

func TestARunIsInTheLedgerFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, withResources)
	b.placeAt(notebook(t))
	u := b.login("alice")
	u.Groups = []string{"course"}
	if err := b.store.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	s := b.start("alice", "lab")
	ready := b.awaitState(s.ID, hub.Ready)
	run := b.awaitRun("the run is open", func(r hub.UsageRun) bool { return r.Ended.IsZero() })
	if run.ServerID != s.ID || run.ServerName != "lab" || run.UserName != "alice" || run.Instance != ready.Instance || run.Generation != 1 ||
		run.MemoryMB != 2048 || run.Cores != 0.5 || len(run.Groups) != 1 || run.Began.Before(s.Started) {
		t.Errorf("the run is %+v", run)
	}
	if _, err := b.hub.StopServer(t.Context(), "alice", "lab", true); err != nil {
		t.Fatal(err)
	}
	b.eventually("the server is removed", func() bool {
		_, err := b.store.ServerByID(t.Context(), s.ID)
		return err != nil
	})
	run = b.awaitRun("the run has ended", ended)
	if run.Reason != "The server was stopped." || run.Ended.Before(run.Began) {
		t.Errorf("the run ended as %+v", run)
	}
	if err := b.hub.DeleteUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if left := b.runs(); len(left) != 1 || left[0].UserName != "alice" {
		t.Errorf("after its user is deleted the ledger has %+v", left)
	}
}

func TestTheSchedulersTimesAreTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t, withResources, func(o *hub.Options) { // the hub's clock is an hour ahead, so that its own times would show
		o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	})
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	st, err := b.fake.Status(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Microsecond)
	b.fake.Kill(s.ID, "The machine burned down.")
	after := time.Now()
	b.awaitState(s.ID, hub.Stopped)
	run := b.awaitRun("the run has ended", ended)
	if !run.Began.Equal(st.Began.Truncate(time.Microsecond)) || run.Ended.Before(before) || run.Ended.After(after) || run.Reason != "The machine burned down." {
		t.Errorf("the run is %+v, want from %v to %v", run, st.Began, before)
	}
}

// TestWhatEndsWhileNoHubWatches: the job is removed while the hub is down. Nobody knows when, so only what is certain is counted.
func TestWhatEndsWhileNoHubWatches(t *testing.T) {
	t.Parallel()
	b := newBench(t, withResources)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.awaitRun("the run is open", func(hub.UsageRun) bool { return true })
	b.stop()
	last := time.Now().Add(time.Hour).Round(time.Microsecond)
	if err := b.store.TouchUsage(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	b.fake.Forget(s.ID)
	next := openBench(t, b.store, b.fake.Reopen(), withResources, func(o *hub.Options) { // five hours later
		o.Now = func() time.Time { return time.Now().Add(5 * time.Hour) }
	})
	next.awaitState(s.ID, hub.Stopped)
	if run := next.awaitRun("the run has ended", ended); !run.Ended.Equal(last) {
		t.Errorf("the run ended at %v, want %v: %+v", run.Ended, last, run)
	}
}

// TestARunThatWasNeverWrittenIsAdded: the hub died between the start and the ledger.
func TestARunThatWasNeverWrittenIsAdded(t *testing.T) {
	t.Parallel()
	b := newBench(t, withResources)
	u := b.login("alice")
	b.stop()
	began := time.Now().Add(-10 * time.Hour).Round(time.Microsecond)
	s := hub.Server{
		ID: uuid.Must(uuid.NewV7()).String(), UserID: u.ID, State: hub.Ready, Generation: 3, Instance: "i", Address: notebook(t), Created: began, Started: began,
		Held: &hub.Held{MemoryMB: 1024, Devices: map[string]int{"nvidia/gpu": 2}},
	}
	if err := b.store.CreateServer(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	b.fake.Adopt(scheduler.Spec{ID: s.ID, Generation: 3}, scheduler.Status{State: scheduler.Running, Instance: "i", Address: s.Address, Began: began})
	next := openBench(t, b.store, b.fake.Reopen(), withResources)
	run := next.awaitRun("the run is added", func(hub.UsageRun) bool { return true })
	if !run.Began.Equal(began) || run.MemoryMB != 1024 || run.Devices != 2 || ended(run) {
		t.Errorf("the run is %+v", run)
	}
}

func TestAServerThatMovesHasTwoRunsInARow(t *testing.T) {
	t.Parallel()
	b := newBench(t, withResources)
	address := notebook(t)
	b.placeAt(address)
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.awaitRun("the run is open", func(hub.UsageRun) bool { return true })
	b.fake.Place(s.ID, address)
	b.eventually("the second run is open", func() bool { runs := b.runs(); return len(runs) == 2 && ended(runs[0]) })
	runs := b.runs()
	if !runs[0].Ended.Equal(runs[1].Began) || ended(runs[1]) {
		t.Errorf("the runs are %+v", runs)
	}
}

// untimedFake does not tell times, so that the hub's clock counts, which tests can move.
type untimedFake struct{ *schedulertest.Fake }

func (f untimedFake) Status(ctx context.Context, id string) (scheduler.Status, error) {
	st, err := f.Fake.Status(ctx, id)
	st.Began, st.Ended = time.Time{}, time.Time{}
	return st, err
}

func (f untimedFake) List(ctx context.Context) ([]scheduler.Status, error) {
	list, err := f.Fake.List(ctx)
	for i := range list {
		list[i].Began, list[i].Ended = time.Time{}, time.Time{}
	}
	return list, err
}

// limitedBench has a limit of memory for a day whose noon is now.
func limitedBench(t *testing.T, limit budget.Limit) *bench {
	t.Helper()
	now := time.Now().UTC()
	limit.Period = budget.Day
	b := newBench(t, withResources, func(o *hub.Options) {
		o.Usage.Limits = []budget.Limit{limit}
		o.Usage.Zone = time.FixedZone("test", 12*3600-(now.Hour()*3600+now.Minute()*60))
		o.Usage.Grace = time.Hour
		o.Scheduler = untimedFake{o.Scheduler.(*schedulertest.Fake)}
	})
	b.placeAt(notebook(t))
	u := b.login("alice")
	u.Groups = []string{"course"}
	if err := b.store.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLimitsWarnRefuseAndStop(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]budget.Limit{
		"of a user":        {Name: "daily"},
		"of group members": {Name: "daily", Groups: []string{"course"}},
		"of a group":       {Name: "daily", Groups: []string{"course"}, PerGroup: true},
	} {
		limit.Soft.MemoryHours, limit.Hard.MemoryHours = 2, 4 // of servers with 2 GiB
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := limitedBench(t, limit)
			s := b.start("alice", "")
			b.awaitState(s.ID, hub.Ready)
			b.ahead(65 * time.Minute)
			soft := b.await(s.ID, "a hint", warnedOf(hub.NoticeUsage))
			if !soft.Notice.Until.IsZero() || !strings.Contains(soft.Notice.Message, "of 4 GiB-hours of memory of this day") {
				t.Errorf("the hint is %+v", soft.Notice)
			}
			other := b.start("alice", "other") // it is only a hint
			b.awaitState(other.ID, hub.Ready)
			b.ahead(60 * time.Minute)
			warned := func(s hub.Server) bool { return s.Notice != nil && !s.Notice.Until.IsZero() }
			b.await(other.ID, "a warning of the other", warned)
			hard := b.await(s.ID, "a warning", warned)
			if left := hard.Notice.Until.Sub(hard.Notice.Time); left != time.Hour {
				t.Errorf("the warning is %+v", hard.Notice)
			}
			if _, err := b.hub.StartServer(t.Context(), "alice", "third", nil); hub.KindOf(err) != hub.Forbidden || !strings.Contains(err.Error(), "The next day begins on") {
				t.Errorf("a start over the limit gives %v", err)
			}
			if _, err := b.hub.RestartServer(t.Context(), hub.StartRequest{User: "alice"}); hub.KindOf(err) != hub.Forbidden {
				t.Errorf("a restart over the limit, which would give a new time of grace, gives %v", err)
			}
			if _, err := b.hub.MoveServer(t.Context(), "alice", ""); hub.KindOf(err) != hub.Forbidden {
				t.Errorf("a move over the limit gives %v", err)
			}
			b.ahead(61 * time.Minute)
			gone := b.awaitState(s.ID, hub.Stopped)
			if gone.Failure == nil || !strings.Contains(gone.Failure.Message, "GiB-hours") || len(gone.Failure.Evidence) < 3 {
				t.Errorf("it was stopped with %+v", gone.Failure)
			}
			b.awaitState(other.ID, hub.Stopped)
			b.ahead(12 * time.Hour) // a new day
			if _, err := b.hub.StartServer(t.Context(), "alice", "", nil); err != nil {
				t.Errorf("a start on the next day: %v", err)
			}
		})
	}
}

func TestLimitsOfOthersAreNotMine(t *testing.T) {
	t.Parallel()
	b := limitedBench(t, budget.Limit{Name: "x", Users: []string{"bob"}, Hard: budget.Amount{MemoryHours: 0.1}})
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	b.ahead(3 * time.Hour)
	if _, err := b.hub.StartServer(t.Context(), "alice", "more", nil); err != nil {
		t.Error(err)
	}
	states, err := b.hub.Budgets(t.Context(), hub.User{ID: s.UserID, Name: "alice"})
	if err != nil || len(states) != 0 {
		t.Errorf("the limits of alice are %+v, %v", states, err)
	}
}

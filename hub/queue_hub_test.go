package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// long is for what has to happen on a busy machine.
const long = 90 * time.Second

// until waits for a condition that nothing tells of.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	untilWithin(t, long, what, done)
}

func untilWithin(t *testing.T, atMost time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(atMost)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited for %s in vain", what)
		case <-tick.C:
		}
	}
}

// ask starts a server as a person does who waits.
func (b *bench) ask(user, server, options string) hub.Server {
	b.t.Helper()
	r := hub.StartRequest{User: user, Server: server, Queue: true}
	if options != "" {
		r.Options = json.RawMessage(options)
	}
	s, err := b.hub.Start(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func waits(s hub.Server) bool { return s.State == hub.Starting && s.Admitted.IsZero() }

func through(s hub.Server) bool { return s.State == hub.Starting && !s.Admitted.IsZero() }

func TestOverALimitPeopleWaitAndProgramsComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.ActiveServers = 1 })
	b.placeAt(notebook(t))
	for _, name := range []string{"alice", "bob", "carol"} {
		b.login(name)
	}
	first := b.ask("alice", "", "")
	b.awaitState(first.ID, hub.Ready)
	second := b.ask("bob", "", "")
	if !waits(second) || second.Wait == nil || !strings.Contains(second.Wait.Reason, "as many servers as it may") || second.Wait.Until.IsZero() {
		t.Fatalf("the second start is %+v, waiting for %+v", second, second.Wait)
	}
	if _, err := b.hub.StartServer(t.Context(), "carol", "", nil); hub.KindOf(err) != hub.TooMany {
		t.Errorf("a program over the limit gets %v", err)
	}
	place, err := b.hub.QueuePlace(t.Context(), second)
	if err != nil || place == nil || place.Position != 1 || place.Of != 1 {
		t.Errorf("its place is %+v, %v", place, err)
	}
	if b.fake.Starts(second.ID) != 0 {
		t.Error("the scheduler knows of a start that waits")
	}
	third := b.ask("carol", "", "")
	if again := b.ask("carol", "", ""); again.ID != third.ID || again.Generation != third.Generation {
		t.Errorf("asking twice is not asking once: %+v", again)
	}
	b.stopAndWait(first)
	b.awaitState(second.ID, hub.Ready)
	if now := b.await(third.ID, "the third", func(hub.Server) bool { return true }); !waits(now) {
		t.Errorf("the third is %+v", now)
	}
	if got := b.stopAndWait(third); got.Failure != nil {
		t.Errorf("who leaves the queue is told of the failure %+v", got.Failure)
	}
}

func TestProgressTellsThePlaceInTheQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.ActiveServers = 1 })
	b.placeAt(notebook(t))
	b.login("alice")
	b.login("bob")
	first := b.ask("alice", "", "")
	b.awaitState(first.ID, hub.Ready)
	second := b.ask("bob", "", "")
	events, err := b.hub.Progress(t.Context(), "bob", "")
	if err != nil {
		t.Fatal(err)
	}
	var told, last hub.ProgressEvent
	for e := range events {
		if e.Position > 0 && told.Position == 0 {
			told = e
			go b.hub.StopServer(t.Context(), "alice", "", false) // what comes of it is seen by what follows
		}
		last = e
	}
	if told.Position != 1 || told.Of != 1 || told.Waiting == nil || !strings.Contains(told.Message, "Number 1 of 1") {
		t.Errorf("the place was told as %+v", told)
	}
	if !last.Ready {
		t.Errorf("the end is %+v", last)
	}
	b.awaitState(second.ID, hub.Ready)
}

func TestOtherLimitsHoldAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.ConcurrentStarts = 1 })
	b.login("alice")
	b.login("bob")
	b.ask("alice", "", "") // nothing places it
	second := b.ask("bob", "", "")
	if !waits(second) {
		t.Fatalf("the second start is %+v", second)
	}
	b.hub.SetLimits(hub.Limits{AllowNamed: true, ConcurrentStarts: 2})
	b.await(second.ID, "its turn", through)
}

// twoHubs are two replicas on one Postgres and one cluster.
func twoHubs(t *testing.T, change ...func(*hub.Options)) [2]*bench {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake := schedulertest.NewFake()
	registry := static.New()
	one := openBenchOn(t, db, fake, registry, change...)
	return [2]*bench{one, openBenchOn(t, db, fake.Reopen(), registry, append(change, func(o *hub.Options) { o.Elect = never })...)}
}

// never is an election that this replica does not win.
func never(ctx context.Context, _ string, _ func(context.Context) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestLimitsHoldExactlyOverReplicas(t *testing.T) {
	t.Parallel()
	const people, starts, servers, students = 200, 12, 30, 5
	limits := hub.Limits{ConcurrentStarts: starts, ActiveServers: servers, Groups: map[string]hub.GroupLimits{"students": {ActiveServers: students}}}
	var mostStarting, mostActive, mostStudents atomic.Int64
	hubs := twoHubs(t, func(o *hub.Options) { o.Limits = limits })
	db := hubs[0].store
	for i := range people {
		u := hub.User{ID: fmt.Sprintf("u%03d", i), Name: fmt.Sprintf("u%03d", i), Created: time.Now()}
		if i%2 == 0 {
			u.Groups = []string{"students"}
		}
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			count, err1 := db.CountStarts(ctx)
			active, err2 := db.CountActive(ctx)
			groups, err3 := db.LoadOfGroups(ctx, []string{"students"})
			if err1 == nil && err2 == nil && err3 == nil {
				mostStarting.Store(max(mostStarting.Load(), int64(count.Starting)))
				mostActive.Store(max(mostActive.Load(), int64(active)))
				mostStudents.Store(max(mostStudents.Load(), int64(groups["students"].Active)))
			}
		}
	})
	gate := make(chan struct{})
	var asking sync.WaitGroup
	var refused atomic.Int64
	for i := range people {
		asking.Go(func() {
			<-gate
			r := hub.StartRequest{User: fmt.Sprintf("u%03d", i), Queue: i%4 != 0}
			if _, err := hubs[i%2].hub.Start(t.Context(), r); hub.KindOf(err) == hub.TooMany && !r.Queue {
				refused.Add(1)
			} else if err != nil {
				t.Errorf("start of %d: %v", i, err)
			}
		})
	}
	close(gate)
	asking.Wait()
	until(t, "the hub to be as full as it may", func() bool {
		count, err := db.CountStarts(t.Context())
		return err == nil && count.Starting == starts
	})
	place := func(s hub.Server) { hubs[0].fake.Place(s.ID, "127.0.0.1:1"); hubs[0].fake.Run(s.ID) }
	for range 3 { // those that start get a place and are stopped, so others follow
		starting, _, err := db.Servers(t.Context(), hub.ServerQuery{States: []hub.ServerState{hub.Starting}})
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range starting {
			if through(s) {
				place(s)
				if _, err := hubs[i%2].hub.StopServer(t.Context(), s.UserName, "", false); err != nil {
					t.Error(err)
				}
			}
		}
		until(t, "the next to start", func() bool {
			count, err := db.CountStarts(t.Context())
			return err == nil && (count.Starting == starts || count.Waiting == 0)
		})
	}
	stop()
	watching.Wait()
	if mostStarting.Load() > starts || mostActive.Load() > servers || mostStudents.Load() > students {
		t.Errorf("at most %d started, %d were active, %d of them students; allowed are %d, %d, %d",
			mostStarting.Load(), mostActive.Load(), mostStudents.Load(), starts, servers, students)
	}
	t.Logf("refused %d, at most %d starting, %d active, %d of students", refused.Load(), mostStarting.Load(), mostActive.Load(), mostStudents.Load())
}

func TestF12_AFullClusterIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.login("alice")
	b.fake.OnStart = func(s scheduler.Spec) { b.fake.Block(s.ID, "8 GB of memory asked, and none of 2 nodes has them.") }
	b.fake.PlanWith(func(scheduler.Spec) (scheduler.Forecast, error) {
		return scheduler.Forecast{Verdict: scheduler.FitsLater, Reason: "full", Resource: "memory", Pool: "gpu"}, nil
	})
	s := b.ask("alice", "", `{"profile": "large"}`)
	s = b.await(s.ID, "the wait to be told", func(s hub.Server) bool { return s.Wait != nil && s.Wait.Blocked })
	if s.Wait.Resource != "memory" || s.Wait.Pool != "gpu" || !strings.Contains(s.Wait.Reason, "8 GB") || s.Wait.Until.Sub(s.Queued) != time.Hour {
		t.Errorf("it waits for %+v", s.Wait)
	}
	if place, err := b.hub.QueuePlace(t.Context(), s); err != nil || place == nil || place.Position != 1 {
		t.Errorf("its place is %+v, %v", place, err)
	}
	b.clock.Add(int64(50 * time.Minute)) // far more than a place may take where there is room
	b.fake.Resync()
	b.fake.Unblock(s.ID)
	s = b.await(s.ID, "room", func(s hub.Server) bool { return s.Wait == nil })
	if s.State != hub.Starting {
		t.Fatalf("it is %s, %+v", s.State, s.Failure)
	}
	b.fake.Place(s.ID, notebook(t))
	b.fake.Run(s.ID)
	b.awaitState(s.ID, hub.Ready)
}

func TestF12_AFullClusterIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Notebook.QueueTimeout = 10 * time.Minute })
	b.login("alice")
	b.fake.OnStart = func(s scheduler.Spec) { b.fake.Block(s.ID, "8 GB asked, none free.") }
	s := b.ask("alice", "", "")
	b.await(s.ID, "the wait to be told", func(s hub.Server) bool { return s.Wait != nil })
	b.clock.Add(int64(11 * time.Minute))
	b.fake.Resync()
	got := b.await(s.ID, "the end", func(s hub.Server) bool { return s.State == hub.Stopped })
	if got.Failure == nil || !strings.Contains(got.Failure.Message, "within 10m0s. 8 GB asked") || got.Failure.Cause != scheduler.CauseExhausted {
		t.Errorf("the failure is %+v", got.Failure)
	}
	if left, _ := b.fake.List(t.Context()); len(left) != 0 {
		t.Errorf("the scheduler still has %+v", left)
	}
}

func TestAFullPoolHoldsUpItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	address := notebook(t)
	var fits atomic.Bool
	b.fake.OnStart = func(s scheduler.Spec) {
		if s.Workload.Placement.NodePool == "gpu" && !fits.Load() {
			b.fake.Block(s.ID, "No GPU is free.")
			return
		}
		b.fake.Place(s.ID, address)
		b.fake.Run(s.ID)
	}
	b.fake.PlanWith(func(s scheduler.Spec) (scheduler.Forecast, error) {
		if s.Workload.Placement.NodePool == "gpu" && !fits.Load() {
			return scheduler.Forecast{Verdict: scheduler.FitsLater, Resource: "nvidia/gpu", Pool: "gpu"}, nil
		}
		return scheduler.Forecast{Verdict: scheduler.FitsNow}, nil
	})
	const large = `{"profile": "large"}`
	var held []hub.Server
	for i := range 7 {
		name := fmt.Sprintf("user-%d", i)
		b.login(name)
		s := b.ask(name, "", large)
		s = b.await(s.ID, "what it waits for", func(s hub.Server) bool { return s.Wait != nil && s.Wait.Blocked })
		if waits(s) {
			held = append(held, s)
		}
	}
	if len(held) != 3 { // four wait in the cluster
		t.Fatalf("%d starts wait in the hub", len(held))
	}
	until(t, "the fifth to have its place", func() bool {
		place, err := b.hub.QueuePlace(t.Context(), held[0])
		return err == nil && place.Position == 5 && place.Of == 7 && place.Wait.Pool == "gpu"
	})
	b.login("cpu")
	b.awaitState(b.ask("cpu", "", `{"profile": "small"}`).ID, hub.Ready)
	fits.Store(true)
	for _, s := range held {
		b.await(s.ID, "going past those in the cluster", func(s hub.Server) bool { return s.State == hub.Ready })
	}
}

func TestQueueIsLeftAtItsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.ActiveServers, o.Notebook.QueueTimeout = 1, time.Minute })
	b.login("alice")
	b.login("bob")
	b.ask("alice", "", "")
	s := b.ask("bob", "", "")
	b.stop()
	next := openBench(t, b.store, b.fake.Reopen(), func(o *hub.Options) {
		o.Limits.ActiveServers = 1
		now := o.Now
		o.Now = func() time.Time { return now().Add(2 * time.Minute) }
	})
	got := next.await(s.ID, "the end", func(s hub.Server) bool { return s.State == hub.Stopped })
	if got.Failure == nil || !strings.Contains(got.Failure.Message, "not started within 1m0s. The hub runs as many servers as it may.") {
		t.Errorf("the failure is %+v", got.Failure)
	}
}

func TestRestartedHubGoesOnWithTheQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.ConcurrentStarts = 1 })
	b.login("alice")
	b.login("bob")
	first := b.ask("alice", "", "")
	second := b.ask("bob", "", "")
	b.stop()
	next := openBench(t, b.store, b.fake.Reopen(), func(o *hub.Options) { o.Limits.ConcurrentStarts = 1 })
	next.placeAt(notebook(t))
	if _, err := next.hub.StopServer(t.Context(), first.UserName, "", false); err != nil {
		t.Fatal(err)
	}
	next.awaitState(second.ID, hub.Ready)
}

func TestImagePullDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Notebook.AnswerTimeout = time.Minute })
	address := notebook(t)
	b.fake.OnStart = func(s scheduler.Spec) { b.fake.Prepare(s.ID, true); b.fake.Place(s.ID, silentPort(t)) }
	b.login("alice")
	s := b.ask("alice", "", "")
	b.await(s.ID, "a place", func(s hub.Server) bool { return s.Instance != "" })
	b.clock.Add(int64(30 * time.Minute))
	b.fake.Say(s.ID, "Still pulling.")
	b.fake.Prepare(s.ID, false)
	b.fake.Place(s.ID, address)
	b.fake.Run(s.ID)
	b.awaitState(s.ID, hub.Ready)
}

// silentPort is an address where nobody listens.
func silentPort(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:1"
}

func TestOutOfMemoryOffersMore(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.ask("alice", "", "")
	b.awaitState(s.ID, hub.Ready)
	b.fake.Use(s.ID, scheduler.Usage{MemoryBytes: 1000 << 20})
	b.fake.KillFor(s.ID, scheduler.CauseOutOfMemory, "The server used more than its 1 GB of memory.")
	got := b.await(s.ID, "the end", func(s hub.Server) bool { return s.State == hub.Stopped })
	if got.Failure == nil || got.Failure.Cause != scheduler.CauseOutOfMemory || string(got.Failure.Offer) != `{"profile":"large","image":"lab"}` {
		t.Fatalf("the failure is %+v", got.Failure)
	}
	if want := "The server used more than its 1 GB of memory. The most that was measured before its end was 1000 MB."; got.Failure.Message != want {
		t.Errorf("the reason is %q, want %q", got.Failure.Message, want)
	}
	again := b.ask("alice", "", string(got.Failure.Offer))
	b.awaitState(again.ID, hub.Ready)
	if spec, _ := b.fake.Spec(s.ID); spec.Home != again.UserID || again.ID != s.ID || again.Profile != "large" {
		t.Errorf("the larger one is %+v with the home %s", again, spec.Home)
	}
}

func TestRestartWithOtherOptions(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu, func(o *hub.Options) { o.Limits.ActiveServers = 1 })
	b.placeAt(notebook(t))
	b.login("alice")
	b.login("bob")
	s := b.ask("alice", "", "")
	b.awaitState(s.ID, hub.Ready)
	waiting := b.ask("bob", "", "")
	token := tokenOf(b, s.ID)
	if _, err := b.hub.RestartServer(t.Context(), hub.StartRequest{User: "alice", Options: json.RawMessage(`{"profile": "huge"}`)}); hub.KindOf(err) != hub.Invalid {
		t.Errorf("a restart with what there is not gives %v", err)
	}
	if _, err := b.hub.RestartServer(t.Context(), hub.StartRequest{User: "alice", Options: json.RawMessage(`{"profile": "large"}`)}); err != nil {
		t.Fatal(err)
	}
	events, err := b.hub.Progress(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	var last hub.ProgressEvent
	for e := range events {
		last = e
	}
	got := b.awaitState(s.ID, hub.Ready)
	if !last.Ready || got.Generation != 2 || got.Profile != "large" || got.Restart != nil {
		t.Errorf("after the restart it is %+v; progress ended with %+v", got, last)
	}
	if now := tokenOf(b, s.ID); now == token {
		t.Error("the next run has the token of the last")
	}
	if now, err := b.hub.Server(t.Context(), "bob", ""); err != nil || !waits(now) || now.ID != waiting.ID {
		t.Errorf("who waited took the place: %+v, %v", now, err)
	}
}

func tokenOf(b *bench, id string) string {
	spec, _ := b.fake.Spec(id)
	return spec.Secrets["JUPYTERHUB_API_TOKEN"]
}

func TestStopEndsARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.ask("alice", "", "")
	b.awaitState(s.ID, hub.Ready)
	hold := make(chan struct{})
	b.fake.OnStop = func(scheduler.Spec) { <-hold }
	if _, err := b.hub.RestartServer(t.Context(), hub.StartRequest{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if got := b.awaitState(s.ID, hub.Stopped); got.Generation != 1 {
		t.Errorf("the last wish was to stop, and it is %+v", got)
	}
}

func TestForecastsAskTheClusterOnce(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	stopped := func(o *hub.Options) { o.Now = func() time.Time { return begun } } // answers grow old, on a slow machine before all have asked
	b := newBench(t, withMenu, stopped)
	b.fake.PlanWith(func(s scheduler.Spec) (scheduler.Forecast, error) {
		if s.Workload.Placement.NodePool == "gpu" {
			return scheduler.Forecast{}, &scheduler.RejectedError{Reason: "No machine has a GPU."}
		}
		return scheduler.Forecast{Verdict: scheduler.FitsNow}, nil
	})
	var wg sync.WaitGroup
	for i := range 50 {
		b.hub.SetProfiles(plain{smallAndLarge()})
		name := fmt.Sprintf("user-%d", i)
		b.login(name)
		wg.Go(func() {
			got, err := b.hub.Forecasts(t.Context(), name, "")
			if err != nil || got["small"].Verdict != scheduler.FitsNow || got["large"].Verdict != scheduler.FitsNever ||
				got["large"].Reason != "No machine has a GPU." {
				t.Errorf("the forecasts are %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := len(b.fake.Planned()); n != 2 {
		t.Errorf("the cluster was asked %d times", n)
	}
}

// plain is a menu whose image is the same for all.
type plain struct{ menu }

func (p plain) Resolve(u profile.User, s profile.Server, options json.RawMessage) (profile.Resolved, error) {
	r, err := p.menu.Resolve(u, s, options)
	r.Workload.Image = "lab"
	return r, err
}

func TestF05_ServersThatRunCostNoGoroutine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.placeAt(notebook(t))
	b.login("alice")
	for i := range 5 {
		b.awaitState(b.ask("alice", fmt.Sprintf("lab-%d", i), "").ID, hub.Ready)
	}
	until(t, "the workers to go", func() bool { return hub.Workers(b.hub) == 0 })
}

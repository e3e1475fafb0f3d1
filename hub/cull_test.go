package hub_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// jupyter answers as jupyter-server does, to who may use the server by the hub's word.
type jupyter struct {
	b        *bench
	mu       sync.Mutex
	busy     bool
	silent   bool
	last     time.Time // of its only kernel
	asked    atomic.Int64
	refused  atomic.Int64
	lastUsed string // the token it was asked with
}

func (j *jupyter) set(change func(*jupyter)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(j)
}

func (j *jupyter) serve(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(j)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func (j *jupyter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, path, _ := strings.Cut(r.URL.Path, "/api")
	if path == "" {
		_, _ = w.Write([]byte(`{"version": "2"}`))
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lastUsed, _ = strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	p, err := j.b.hub.TokenPrincipal(r.Context(), j.lastUsed)
	switch user := strings.Split(r.URL.Path, "/")[2]; {
	case err != nil || !p.Can("access:servers", scope.Server(user, "")) || p.Can("read:servers", scope.Server(user, "")):
		j.refused.Add(1)
		http.Error(w, "no", http.StatusForbidden)
		return
	case r.URL.Query().Get("no_track_activity") == "":
		j.refused.Add(1)
		http.Error(w, "the question would count as activity", http.StatusBadRequest)
		return
	case j.silent:
		http.Error(w, "busy", http.StatusServiceUnavailable)
		j.asked.Add(1)
		return
	}
	state := map[bool]string{true: "busy", false: "idle"}[j.busy]
	answers := map[string]any{
		"/status":    map[string]any{"kernels": 1, "connections": 1, "last_activity": time.Now(), "started": j.last},
		"/kernels":   []any{map[string]any{"id": "k", "execution_state": state, "last_activity": j.last, "connections": 1}},
		"/terminals": []any{},
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answers[path])
	if path == "/terminals" {
		j.asked.Add(1)
	}
}

func (j *jupyter) awaitAsked(n int64) {
	j.b.t.Helper()
	from := j.asked.Load()
	j.b.eventually("the server is asked", func() bool { return j.asked.Load() >= from+n })
}

func (b *bench) eventually(what string, done func() bool) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(3 * patience); !done(); {
		select {
		case <-tick.C:
		case <-end:
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func culling(change ...func(*cull.Rules)) func(*hub.Options) {
	return func(o *hub.Options) {
		r := cull.Rules{
			Limits:  cull.Limits{IdleAfter: time.Hour, Counts: cull.Counts{BusyKernels: true, CPU: 0.5}},
			Warning: 10 * time.Minute, KeepFor: 2 * time.Hour, Interval: 50 * time.Millisecond,
		}
		for _, c := range change {
			c(&r)
		}
		o.Culling = &r
	}
}

// idleBench runs one server of alice that nobody uses.
func idleBench(t *testing.T, change ...func(*hub.Options)) (*bench, *jupyter, hub.Server) {
	t.Helper()
	j := &jupyter{last: time.Now()}
	b := newBench(t, append([]func(*hub.Options){culling()}, change...)...)
	j.b = b
	b.placeAt(j.serve(t))
	b.login("alice")
	s := b.start("alice", "")
	return b, j, b.awaitState(s.ID, hub.Ready)
}

func (b *bench) ahead(d time.Duration) { b.clock.Add(int64(d)) }

// over moves the clock past the end of the warning that stands, as time does: without a gap in which nobody watches what the proxies see.
func (b *bench) over(id string) {
	b.t.Helper()
	s, err := b.store.ServerByID(b.t.Context(), id)
	if err != nil || s.Notice == nil {
		b.t.Fatalf("there is no warning: %+v, %v", s.Notice, err)
	}
	now := func() time.Time { return time.Now().Add(time.Duration(b.clock.Load())) }
	b.ahead(s.Notice.Until.Sub(now()) - 20*time.Second)
	b.eventually("what the proxy saw is written", func() bool {
		_, seen, err := b.store.ActivityWatched(b.t.Context(), now(), time.Minute)
		return err == nil && now().Sub(seen) < 9*time.Second
	})
	b.ahead(20 * time.Second)
}

func warnedOf(kind hub.NoticeKind) func(hub.Server) bool {
	return func(s hub.Server) bool { return s.Notice != nil && s.Notice.Kind == kind }
}

func TestOtherRulesOfCullingHoldAtOnce(t *testing.T) {
	t.Parallel()
	b, _, s := idleBench(t, culling(func(r *cull.Rules) { r.IdleAfter, r.Interval = 0, 1000*time.Hour }))
	b.ahead(55 * time.Minute)
	rules := *b.hub.Culling()
	rules.IdleAfter, rules.Interval = time.Hour, 50*time.Millisecond
	b.hub.SetCulling(&rules)
	b.await(s.ID, "a warning by the new rules", warnedOf(hub.NoticeIdle))
}

func TestAnIdleServerIsWarnedAndStoppedWithEvidence(t *testing.T) {
	t.Parallel()
	b, j, s := idleBench(t)
	b.ahead(55 * time.Minute)
	warned := b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	if left := warned.Notice.Until.Sub(warned.Notice.Time); left < 9*time.Minute || left > 11*time.Minute || len(warned.Notice.Evidence) < 3 {
		t.Errorf("the notice is %+v", warned.Notice)
	}
	if _, err := b.hub.TokenPrincipal(t.Context(), j.lastUsed); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("the token of the question still opens the server: %v", err)
	}
	// F31: what a server claims about itself is taken as now at most, and is no use.
	alice, err := b.hub.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := b.hub.ReportActivity(t.Context(), alice, time.Now().Add(80*time.Minute), map[string]time.Time{"": time.Now().Add(80 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.over(s.ID)
	gone := b.awaitState(s.ID, hub.Stopped)
	if gone.Failure == nil || len(gone.Failure.Evidence) < 4 || gone.Notice != nil {
		t.Fatalf("it was stopped with %+v", gone.Failure)
	}
	if said := strings.Join(gone.Failure.Evidence, " "); !strings.Contains(said, "1 kernel, none at work") || !strings.Contains(said, "A warning was shown") {
		t.Errorf("the evidence is %q", said)
	}
	if gone.LastActivity.After(time.Now().Add(70*time.Minute + time.Minute)) {
		t.Errorf("activity in the future was believed: %v", gone.LastActivity)
	}
	if n := j.refused.Load(); n > 0 {
		t.Errorf("%d questions were refused", n)
	}
}

func TestAServerAtWorkIsNotCulled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jupyter){
		"a busy kernel":            func(j *jupyter) { j.busy = true },
		"a kernel with activity":   func(j *jupyter) { j.last = time.Now().Add(54 * time.Minute) },
		"a server without answers": func(j *jupyter) { j.silent = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, j, s := idleBench(t)
			j.set(change)
			b.ahead(55 * time.Minute)
			j.awaitAsked(3)
			now, err := b.store.ServerByID(t.Context(), s.ID)
			if err != nil || now.State != hub.Ready || now.Notice != nil {
				t.Fatalf("it is %s with the notice %+v, %v", now.State, now.Notice, err)
			}
			j.set(func(j *jupyter) { j.busy, j.silent, j.last = false, false, time.Time{} }) // the test can fail
			b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
		})
	}
}

// meteredFake says what servers use.
type meteredFake struct {
	*schedulertest.Fake
	cpu atomic.Int64 // hundredths of a core
}

func (f *meteredFake) Usage(context.Context, string) (scheduler.Usage, error) {
	return scheduler.Usage{CPU: float64(f.cpu.Load()) / 100}, nil
}

func TestProcessorTimeCountsAsUse(t *testing.T) {
	t.Parallel()
	meter := &meteredFake{}
	meter.cpu.Store(90)
	b, j, s := idleBench(t, func(o *hub.Options) {
		meter.Fake = o.Scheduler.(*schedulertest.Fake)
		o.Scheduler = meter
	})
	b.ahead(55 * time.Minute)
	j.awaitAsked(3)
	if now, err := b.store.ServerByID(t.Context(), s.ID); err != nil || now.Notice != nil {
		t.Fatalf("the notice is %+v, %v", now.Notice, err)
	}
	meter.cpu.Store(1)
	warned := b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	if said := strings.Join(warned.Notice.Evidence, " "); !strings.Contains(said, "0.01 cores") {
		t.Errorf("the evidence is %q", said)
	}
}

func TestTheOwnerKeepsAServer(t *testing.T) {
	t.Parallel()
	late := &lateStore{}
	b, j, s := idleBench(t, func(o *hub.Options) { late.Store, o.Store = o.Store, late })
	b.ahead(55 * time.Minute)
	b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	kept, err := b.hub.KeepServer(t.Context(), "alice", "")
	if err != nil || kept.Notice != nil || kept.KeepUntil.Before(time.Now().Add(2*time.Hour+50*time.Minute)) {
		t.Fatalf("kept: %+v, %v", kept, err)
	}
	b.ahead(110 * time.Minute)
	late.passes.Store(0)
	b.eventually("several passes are over", func() bool { return late.passes.Load() > 5 })
	if now, err := b.store.ServerByID(t.Context(), s.ID); err != nil || now.Notice != nil {
		t.Errorf("a kept server has the notice %+v, %v", now.Notice, err)
	}
	b.ahead(20 * time.Minute)
	b.await(s.ID, "a warning after that time", warnedOf(hub.NoticeIdle))
	if j.asked.Load() < 2 {
		t.Error("the server was not asked again")
	}
	b.over(s.ID)
	b.awaitState(s.ID, hub.Stopped)
	if _, err := b.hub.KeepServer(t.Context(), "alice", ""); hub.KindOf(err) != hub.Conflict {
		t.Errorf("keeping what is stopped gives %v", err)
	}
}

func TestAServerIsStoppedForItsAge(t *testing.T) {
	t.Parallel()
	b, j, s := idleBench(t, culling(func(r *cull.Rules) { r.IdleAfter, r.MaxAge = 0, 8*time.Hour }))
	j.set(func(j *jupyter) { j.busy = true })
	b.ahead(7*time.Hour + 55*time.Minute)
	b.await(s.ID, "a warning", warnedOf(hub.NoticeAge))
	b.over(s.ID)
	if gone := b.awaitState(s.ID, hub.Stopped); gone.Failure == nil || !strings.Contains(gone.Failure.Message, "no server may run for longer than 8 h") {
		t.Errorf("it was stopped with %+v", gone.Failure)
	}
}

// lateStore does something right before a transaction begins.
type lateStore struct {
	hub.Store
	before  atomic.Pointer[func()]
	passes  atomic.Int64
	watched atomic.Pointer[time.Time]
}

func (s *lateStore) InTx(ctx context.Context, fn func(hub.Store) error) error {
	if do := s.before.Swap(nil); do != nil {
		(*do)()
	}
	return s.Store.InTx(ctx, fn)
}

func (s *lateStore) CullCandidates(ctx context.Context, q hub.CullQuery) ([]hub.CullCandidate, error) {
	s.passes.Add(1)
	return s.Store.CullCandidates(ctx, q)
}

// TestF49_UseInTheLastMomentCounts: somebody uses the server through another replica after everything was decided, and before the stop is written.
func TestF49_UseInTheLastMomentCounts(t *testing.T) {
	t.Parallel()
	late := &lateStore{}
	b, _, s := idleBench(t, func(o *hub.Options) { late.Store, o.Store = o.Store, late })
	b.ahead(55 * time.Minute)
	b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	used := make(chan struct{})
	late.before.Store(new(func() {
		defer close(used)
		at := time.Now().Add(time.Duration(b.clock.Load()))
		if err := b.store.RecordActivity(t.Context(), []hub.ActivityUpdate{{ServerID: s.ID, Time: at, Used: at}}); err != nil {
			t.Error(err)
		}
	}))
	b.over(s.ID)
	<-used
	b.await(s.ID, "the warning is taken back", func(s hub.Server) bool { return s.Notice == nil })
	if now, err := b.store.ServerByID(t.Context(), s.ID); err != nil || now.State != hub.Ready {
		t.Errorf("a server that was just used is %s, %v", now.State, err)
	}
	b.ahead(55 * time.Minute)
	b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	b.over(s.ID)
	b.awaitState(s.ID, hub.Stopped)
}

// WatchActivity remembers until when the hub says that all is written.
func (s *lateStore) WatchActivity(ctx context.Context, replica string, began, now time.Time) error {
	err := s.Store.WatchActivity(ctx, replica, began, now)
	if err == nil {
		s.watched.Store(&now)
	}
	return err
}

// TestF49_NothingIsIdleWhileAReplicaIsSilent: a hub that the database has not heard of may carry what nobody else sees. When it is taken for dead, activity has to
// be watched for one interval before anything counts as idle.
func TestF49_NothingIsIdleWhileAReplicaIsSilent(t *testing.T) {
	t.Parallel()
	late := &lateStore{}
	b, j, s := idleBench(t, culling(func(r *cull.Rules) { r.Observe = 2 * time.Minute }), func(o *hub.Options) { late.Store, o.Store = o.Store, late })
	now := func() time.Time { return time.Now().Add(time.Duration(b.clock.Load())) }
	pass := func() { // as time passes: without a gap for this hub
		t.Helper()
		b.ahead(20 * time.Second)
		b.eventually("what the proxy saw is written", func() bool { at := late.watched.Load(); return at != nil && now().Sub(*at) < 9*time.Second })
	}
	other := func(silent time.Duration) {
		t.Helper()
		if err := b.store.WatchActivity(t.Context(), "another", now().Add(-time.Hour), now().Add(-silent)); err != nil {
			t.Fatal(err)
		}
	}
	stays := func(what string) {
		t.Helper()
		from := late.passes.Load()
		b.eventually("several passes are over", func() bool { return late.passes.Load() > from+5 })
		if now, err := b.store.ServerByID(t.Context(), s.ID); err != nil || now.Notice != nil || j.asked.Load() != 0 {
			t.Fatalf("%s it was taken for idle: %+v, %v", what, now.Notice, err)
		}
	}
	other(-2 * time.Hour)
	b.ahead(2 * time.Hour)
	for range 8 { // more than one interval, in none of whose moments the other was heard of within half a minute
		other(35 * time.Second)
		pass()
	}
	stays("while another was silent")
	pass()
	b.eventually("the other is taken for dead", func() bool {
		_, seen, err := b.store.ActivityWatched(t.Context(), now(), time.Hour)
		return err == nil && now().Sub(seen) < 25*time.Second
	})
	stays("right after another was taken for dead")
	for range 7 {
		pass()
	}
	b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
}

// TestF49_OnlyTheElectedReplicaCulls has two hubs on one database.
func TestF49_OnlyTheElectedReplicaCulls(t *testing.T) {
	t.Parallel()
	late := &lateStore{}
	b, _, s := idleBench(t)
	late.Store = b.store
	other := openBench(t, b.store, b.fake.Reopen(), culling(), func(o *hub.Options) {
		o.Store = late
		o.Elect = func(ctx context.Context, _ string, _ func(context.Context) error) error { <-ctx.Done(); return nil }
	})
	for _, b := range []*bench{b, other} {
		b.ahead(55 * time.Minute)
	}
	b.await(s.ID, "a warning", warnedOf(hub.NoticeIdle))
	if n := late.passes.Load(); n != 0 {
		t.Errorf("the replica that is not elected made %d passes", n)
	}
}

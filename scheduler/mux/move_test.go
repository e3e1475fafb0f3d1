package mux_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// in is the server a in one of the places.
func in(namespace string, generation int64) scheduler.Spec {
	return scheduler.Spec{ID: "a", Generation: generation, Workload: scheduler.Workload{Placement: scheduler.Placement{Namespace: namespace}}}
}

// generationIn tells which generation of the server a is in one place; 0: none.
func generationIn(t *testing.T, f *schedulertest.Fake) int64 {
	t.Helper()
	status, err := f.Status(t.Context(), "a")
	if errors.Is(err, scheduler.ErrNotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return status.Generation
}

func requireIn(t *testing.T, one, two *schedulertest.Fake, inOne, inTwo int64) {
	t.Helper()
	if a, b := generationIn(t, one), generationIn(t, two); a != inOne || b != inTwo {
		t.Errorf("in one is generation %d and in two %d, want %d and %d", a, b, inOne, inTwo)
	}
}

// pair is two places, of one cluster each, and a scheduler over them.
func pair(t *testing.T) (one, two *schedulertest.Fake, s *mux.Scheduler) {
	t.Helper()
	one, two = schedulertest.NewFake(), schedulertest.NewFake()
	return one, two, over(t, memberOf(one), memberOf(two))
}

func mustStart(t *testing.T, s scheduler.Scheduler, spec scheduler.Spec) {
	t.Helper()
	if err := s.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

func TestNextGenerationMoves(t *testing.T) {
	t.Parallel()
	one, two := schedulertest.NewFake(), schedulertest.NewFake()
	two.OnStart = func(spec scheduler.Spec) {
		if p := spec.Workload.Placement; p.Namespace != "" || p.Region != "" {
			t.Errorf("the place's own scheduler is told %+v", p)
		}
		if generation := generationIn(t, one); generation != 0 {
			t.Errorf("generation %d was not ended before the next one was started elsewhere", generation)
		}
	}
	s := over(t, memberOf(one), memberOf(two))
	mustStart(t, s, in("", 1))
	requireIn(t, one, two, 1, 0)
	mustStart(t, s, in("two", 2))
	mustStart(t, s, in("two", 2))
	requireIn(t, one, two, 0, 2)
	for _, stale := range []string{"one", "two", ""} {
		if err := s.Start(t.Context(), in(stale, 1)); !errors.Is(err, scheduler.ErrStale) {
			t.Errorf("an old start in %q: %v", stale, err)
		}
	}
	mustStart(t, s, in("one", 2)) // the same start, though the profile was changed meanwhile
	requireIn(t, one, two, 0, 2)
	if one.Starts("a") != 1 || two.Starts("a") != 1 {
		t.Errorf("%d and %d starts", one.Starts("a"), two.Starts("a"))
	}
	if err := s.Stop(t.Context(), "a", 1); err != nil {
		t.Error(err)
	}
	requireIn(t, one, two, 0, 2)
	if err := s.Stop(t.Context(), "a", 2); err != nil {
		t.Error(err)
	}
	requireIn(t, one, two, 0, 0)
}

func TestUnknownPlaceIsRejected(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	mustStart(t, s, in("", 1))
	spec := in("elsewhere", 2)
	err := s.Start(t.Context(), spec)
	_, planErr := s.Plan(t.Context(), spec)
	_, adviseErr := s.Advise(t.Context(), spec)
	_, volumeErr := s.EnsureVolume(t.Context(), scheduler.Volume{ID: "v", Kind: scheduler.MountCSI, Placement: scheduler.Placement{Region: "mars"}})
	for _, err := range []error{err, planErr, adviseErr, volumeErr} {
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.HasSuffix(rejected.Reason, ".") {
			t.Errorf("got %v, want a rejection with a sentence", err)
		}
	}
	requireIn(t, one, two, 1, 0)
}

// TestMoveGoesOnAfterACrash ends a hub after it ended the older generation and before it started the next.
func TestMoveGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	mustStart(t, s, in("one", 1))
	two.FailStart(scheduler.ErrUnavailable)
	if err := s.Start(t.Context(), in("two", 2)); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Fatalf("start: %v", err)
	}
	two.FailStart(nil)
	requireIn(t, one, two, 0, 0)
	if status, err := s.Status(t.Context(), "a"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("between two places the server is %+v, %v", status, err)
	}
	mustStart(t, over(t, memberOf(one.Reopen()), memberOf(two.Reopen())), in("two", 2))
	requireIn(t, one, two, 0, 2)
	if status, err := s.Status(t.Context(), "a"); err != nil || status.Generation != 2 {
		t.Errorf("the hub before sees %+v, %v", status, err)
	}
}

// late is a member that does something after it was asked for a server for the first time, as if another hub came in between.
type late struct {
	member

	then func()
}

func (l *late) Status(ctx context.Context, id string) (scheduler.Status, error) {
	status, err := l.member.Status(ctx, id)
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return status, err
}

// TestHubsAtTheSameInstant lets another hub start the server in another place, right after the first one saw nothing there.
func TestHubsAtTheSameInstant(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mine, theirs scheduler.Spec
		want         error
		one, two     int64
	}{
		"theirs is newer":                       {in("one", 1), in("two", 2), scheduler.ErrStale, 0, 2},
		"mine is newer":                         {in("two", 2), in("one", 1), nil, 0, 2},
		"the same, mine is in the first place":  {in("one", 3), in("two", 3), nil, 3, 0},
		"the same, mine is in the second place": {in("two", 3), in("one", 3), nil, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two, theirs := pair(t)
			members := []mux.Member{memberOf(one), memberOf(two)}
			other := 1
			if test.theirs.Workload.Placement.Namespace == "one" {
				other = 0
			}
			members[other] = &late{memberOf([]*schedulertest.Fake{one, two}[other]), func() { mustStart(t, theirs, test.theirs) }}
			if err := over(t, members...).Start(t.Context(), test.mine); !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("start: %v, want %v", err, test.want)
			}
			requireIn(t, one, two, test.one, test.two)
		})
	}
}

// TestAcceptedElsewhere starts what was accepted in another place, while something else is in the place asked for.
func TestAcceptedElsewhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		inOne, left int64
		want        error
	}{
		"nothing": {0, 0, nil}, "an older one": {1, 0, nil}, "a newer one": {3, 3, scheduler.ErrStale},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two, s := pair(t)
			mustStart(t, two, in("", 2))
			if test.inOne > 0 {
				mustStart(t, one, in("", test.inOne))
			}
			if err := s.Start(t.Context(), in("one", 2)); !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("start: %v, want %v", err, test.want)
			}
			requireIn(t, one, two, test.left, 2)
		})
	}
}

// TestStraysAreEnded leaves what a hub leaves that died between a start and its second look.
func TestStraysAreEnded(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][2]int64{"an older one": {1, 2}, "a newer one": {4, 3}, "the same": {5, 5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := schedulertest.NewFake(), schedulertest.NewFake()
			mustStart(t, one, in("", left[0]))
			mustStart(t, two, in("", left[1]))
			ended := make(chan struct{})
			one.OnStop, two.OnStop = func(scheduler.Spec) { close(ended) }, func(scheduler.Spec) { close(ended) }
			one, two = one.Reopen(), two.Reopen()
			s := over(t, memberOf(one), memberOf(two))
			newest := max(left[0], left[1])
			for event, err := range s.Watch(t.Context()) {
				if err != nil || !event.Resync {
					t.Fatalf("the watch begins with %+v, %v", event, err)
				}
				listed, err := s.List(t.Context())
				if err != nil || len(listed) != 1 || listed[0].Generation != newest {
					t.Fatalf("listed %+v, %v", listed, err)
				}
				if status, err := s.Status(t.Context(), "a"); err != nil || status != listed[0] {
					t.Errorf("status %+v, %v", status, err)
				}
				<-ended // or the test's own time-out
				break
			}
			want := [2]int64{left[0], left[1]}
			if left[0] >= left[1] {
				want[1] = 0
			} else {
				want[0] = 0
			}
			// The hook comes before the end itself; a Stop comes after both.
			if err := s.Stop(t.Context(), "a", newest-1); err != nil {
				t.Fatal(err)
			}
			if err := two.Stop(t.Context(), "b", 1); err != nil {
				t.Fatal(err)
			}
			requireIn(t, one, two, want[0], want[1])
		})
	}
}

func TestNothingIsConcludedFromSilence(t *testing.T) {
	t.Parallel()
	_, two, s := pair(t)
	mustStart(t, s, in("one", 1))
	two.FailList(scheduler.ErrUnavailable)
	if status, err := s.Status(t.Context(), "a"); err != nil || status.Generation != 1 {
		t.Errorf("a server elsewhere is %+v, %v", status, err)
	}
	if _, err := s.Status(t.Context(), "b"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("a server that may be there: %v", err)
	}
	if all, err := s.List(t.Context()); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("listed %v, %v", all, err)
	}
	two.FailList(nil)
	mustStart(t, s, in("two", 2))
	two.FailList(scheduler.ErrUnavailable)
	if status, err := s.Status(t.Context(), "a"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("a server whose place is away is %+v, %v", status, err)
	}
	two.FailList(nil)
	two.FailStop(scheduler.ErrUnavailable)
	if err := s.Stop(t.Context(), "a", 2); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("stop: %v", err)
	}
	two.FailStop(nil)
	if err := s.Stop(t.Context(), "a", 2); err != nil {
		t.Error(err)
	}
}

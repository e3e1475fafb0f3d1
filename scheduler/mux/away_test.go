package mux_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// goesAway has a place answer nothing.
func goesAway(f *schedulertest.Fake, away bool) {
	var err error
	if away {
		err = scheduler.ErrUnavailable
	}
	f.FailList(err)
	f.FailStart(err)
	f.FailStop(err)
	f.FailVolumes(err)
}

// wantAway wants an error that names the second place.
func wantAway(t *testing.T, err error, partly bool) {
	t.Helper()
	away, ok := errors.AsType[*scheduler.AwayError](err)
	if !ok || !errors.Is(err, scheduler.ErrUnavailable) || away.Reason != `The namespace "two" cannot be reached at this moment.` || away.Partly != partly {
		t.Errorf("got %v, want that the second place is away, and that others know nothing: %t", err, partly)
	}
}

// TestAwayBlocksNobodyElsewhere runs servers in one place while another is away, which has a server of its own.
func TestAwayBlocksNobodyElsewhere(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	there := in("two", 1)
	there.ID = "b"
	mustStart(t, s, there)
	mustStart(t, s, in("one", 1))
	goesAway(two, true)

	restarted := over(t, memberOf(one.Reopen()), memberOf(two.Reopen())) // knows nothing of before
	if status, err := restarted.Status(t.Context(), "a"); err != nil || status.Generation != 1 {
		t.Errorf("a server elsewhere is %+v, %v", status, err)
	}
	for _, hub := range []scheduler.Scheduler{s, restarted} {
		generation := generationIn(t, one)
		if err := hub.Stop(t.Context(), "a", generation); err != nil {
			t.Errorf("stop: %v", err)
		}
		_, err := hub.Status(t.Context(), "a")
		wantAway(t, err, true)
		mustStart(t, hub, in("one", generation+1))
		mustStart(t, hub, in("one", generation+1))
		if now := generationIn(t, one); now != generation+1 {
			t.Errorf("generation %d runs", now)
		}
		// What is for the place that is away says so, and the server there is not taken for gone.
		elsewhere := in("two", 1)
		elsewhere.ID = "new"
		wantAway(t, hub.Start(t.Context(), elsewhere), false)
		wantAway(t, hub.Stop(t.Context(), "b", 1), false)
	}
	_, err := s.Status(t.Context(), "b")
	wantAway(t, err, false)
	_, err = restarted.Status(t.Context(), "b")
	wantAway(t, err, true)

	goesAway(two, false)
	if status, err := restarted.Status(t.Context(), "b"); err != nil || status.Generation != 1 {
		t.Errorf("when it is back, its server is %+v, %v", status, err)
	}
	goesAway(one, true)
	goesAway(two, true)
	_, err = over(t, memberOf(one.Reopen()), memberOf(two.Reopen())).Status(t.Context(), "a")
	if away, ok := errors.AsType[*scheduler.AwayError](err); !ok || away.Partly {
		t.Errorf("with all away: %v", err)
	}
}

// TestSeenInAPlaceThatIsAway: a server that was seen there, and not seen to end, is not started a second time.
func TestSeenInAPlaceThatIsAway(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	mustStart(t, s, in("two", 1))
	goesAway(two, true)
	wantAway(t, s.Start(t.Context(), in("one", 2)), false)
	wantAway(t, s.Start(t.Context(), in("one", 1)), false)
	requireGenerationIn(t, one, 0)

	goesAway(two, false)
	two.Kill("a", "It ended.")
	if status, err := s.Status(t.Context(), "a"); err != nil || status.State != scheduler.Dead {
		t.Fatalf("%+v, %v", status, err)
	}
	goesAway(two, true)
	mustStart(t, s, in("one", 2))
	requireGenerationIn(t, one, 2)
}

func requireGenerationIn(t *testing.T, f *schedulertest.Fake, want int64) {
	t.Helper()
	if got := generationIn(t, f); got != want {
		t.Errorf("generation %d runs, want %d", got, want)
	}
}

// TestStopWaitsForThePlaceOfTheServer: another generation elsewhere proves nothing.
func TestStopWaitsForThePlaceOfTheServer(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	mustStart(t, one, in("", 1))
	goesAway(two, true)
	wantAway(t, s.Stop(t.Context(), "a", 2), false)
	requireGenerationIn(t, one, 0) // what can be ended is
	goesAway(two, false)
	if err := s.Stop(t.Context(), "a", 2); err != nil {
		t.Error(err)
	}
}

func TestVolumesWhileAPlaceIsAway(t *testing.T) {
	t.Parallel()
	_, two, s := pair(t)
	v := func(id, namespace string) scheduler.Volume {
		return scheduler.Volume{ID: id, Kind: scheduler.MountCSI, Placement: scheduler.Placement{Namespace: namespace}}
	}
	home, err := s.EnsureVolume(t.Context(), v("home", "one"))
	if err != nil {
		t.Fatal(err)
	}
	goesAway(two, true)
	if again, err := s.EnsureVolume(t.Context(), v("home", "one")); err != nil || again != home {
		t.Errorf("a volume that is here: %+v, %v", again, err)
	}
	spec := in("one", 1)
	spec.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountCSI, Source: home.Name, Path: "/home"}}
	mustStart(t, s, spec)
	_, err = s.EnsureVolume(t.Context(), v("other", "one"))
	away, ok := errors.AsType[*scheduler.AwayError](err)
	if !ok || !strings.HasPrefix(away.Reason, "Files of the server may be kept there: The namespace \"two\"") {
		t.Errorf("a volume that may be in the place that is away: %v", err)
	}
}

// frozen is a member that answers nothing at all.
type frozen struct{ member }

func (frozen) Status(ctx context.Context, _ string) (scheduler.Status, error) {
	<-ctx.Done()
	return scheduler.Status{}, ctx.Err()
}

// TestFrozenPlace: who does not answer is waited for once, and then hardly.
func TestFrozenPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one := schedulertest.NewFake()
		s := over(t, memberOf(one), frozen{memberOf(schedulertest.NewFake())})
		begun := time.Now()
		_, err := s.Status(t.Context(), "a")
		wantAway(t, err, true)
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("the first question took %s", took)
		}
		mustStart(t, s, in("one", 1))
		if err := s.Stop(t.Context(), "a", 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 13*time.Second {
			t.Errorf("with a start and a stop it took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Status(ctx, "a"); errors.Is(err, scheduler.ErrUnavailable) {
			t.Errorf("a caller who does not wait concludes %v", err)
		}
	})
}

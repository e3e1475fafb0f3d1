package schedulertest_test

import (
	"errors"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

func TestMain(m *testing.M) { schedulertest.Main(m) }

func TestFakePassesTheSuite(t *testing.T) {
	t.Parallel()
	schedulertest.Run(t, schedulertest.FakeHarness)
}

func TestFakeKnobs(t *testing.T) {
	t.Parallel()
	fake := schedulertest.NewFake()
	broken := errors.New("broken")
	fake.FailStart(broken)
	spec := scheduler.Spec{ID: "a", Generation: 1}
	if err := fake.Start(t.Context(), spec); !errors.Is(err, broken) {
		t.Fatalf("start: %v", err)
	}
	fake.FailStart(nil)
	if err := fake.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	fake.Block("a", "Waiting for a machine.")
	if s, err := fake.Status(t.Context(), "a"); err != nil || !s.Blocked || s.Reason == "" {
		t.Errorf("blocked: %+v, %v", s, err)
	}
	fake.Place("a", "127.0.0.1:1")
	fake.Run("a")
	fake.Lose("a", true)
	if s, _ := fake.Status(t.Context(), "a"); s.Blocked || !s.Lost || s.State != scheduler.Running || s.Address != "127.0.0.1:1" || s.Placement != 1 {
		t.Errorf("running and lost: %+v", s)
	}
	fake.Forget("a")
	if _, err := fake.Status(t.Context(), "a"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("after forget: %v", err)
	}
	if fake.Starts("a") != 1 {
		t.Errorf("%d starts", fake.Starts("a"))
	}
}

func TestFakeDropsEvents(t *testing.T) {
	t.Parallel()
	fake := schedulertest.NewFake()
	var got []scheduler.Event
	for event, err := range fake.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event)
		if len(got) == 2 {
			break
		}
		fake.DropEvents(true)
		if err := fake.Start(t.Context(), scheduler.Spec{ID: "a", Generation: 1}); err != nil {
			t.Fatal(err)
		}
		fake.DropEvents(false)
		fake.Place("a", "127.0.0.1:1")
	}
	if !got[0].Resync || got[1].Status == nil || got[1].Status.Address == "" {
		t.Errorf("want a resync and the placement alone, got %+v", got)
	}
}

func TestFakeKeepsVolumes(t *testing.T) {
	t.Parallel()
	schedulertest.RunVolumes(t, func(*testing.T) schedulertest.VolumeHarness {
		fake := schedulertest.NewFake()
		return schedulertest.VolumeHarness{
			Keeper: fake,
			Reopen: func(*testing.T) scheduler.VolumeKeeper { return fake.Reopen() },
			Volume: func(id string) scheduler.Volume { return scheduler.Volume{ID: id, Kind: scheduler.MountDynamic} },
		}
	})
}

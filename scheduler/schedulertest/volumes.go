package schedulertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// VolumeHarness is one keeper under test that has made no volume yet.
type VolumeHarness struct {
	Keeper scheduler.VolumeKeeper
	// Reopen returns another keeper on the same cluster, as a second hub has.
	Reopen func(t *testing.T) scheduler.VolumeKeeper
	// Volume returns what to make under that ID. The suite sets the labels.
	Volume func(id string) scheduler.Volume
}

// RunVolumes runs the suite that every implementation of scheduler.VolumeKeeper passes. newHarness is called once for each case and cleans up with t.Cleanup.
func RunVolumes(t *testing.T, newHarness func(t *testing.T) VolumeHarness) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*volumeBench)
	}{
		{"a volume is made, found and listed", volumeLife},
		{"making it again changes nothing", volumeAgain},
		{"made at the same instant by two hubs it is one volume", volumeAtOnce},
		{"two IDs are two volumes", volumesApart},
		{"the unknown is not found, and deleting it is nil", volumeUnknown},
		{"a deleted volume is gone, and can be made anew", volumeDeleted},
		{"what can never be made is rejected with a sentence", volumeRejected},
		{"a cancelled context is no refusal", volumeCancelled},
		{"hostile labels do no harm", volumeLabels},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			t.Cleanup(cancel)
			c.run(&volumeBench{T: t, VolumeHarness: newHarness(t), ctx: ctx})
		})
	}
}

type volumeBench struct {
	*testing.T
	VolumeHarness
	ctx context.Context //nolint:containedctx // the test's
}

func (b *volumeBench) ensure(k scheduler.VolumeKeeper, v scheduler.Volume) scheduler.VolumeState {
	b.Helper()
	state, err := k.EnsureVolume(b.ctx, v)
	if err != nil {
		b.Fatalf("make the volume %s: %v", v.ID, err)
	}
	if !state.Ready || state.ID != v.ID || state.Kind != v.Kind || state.Name == "" || state.InUse || state.Reason != "" {
		b.Errorf("a volume that was just made is %+v", state)
	}
	return state
}

func (b *volumeBench) sees(k scheduler.VolumeKeeper, want scheduler.VolumeState) {
	b.Helper()
	got, err := k.VolumeByID(b.ctx, want.Kind, want.ID)
	if err != nil || got != want {
		b.Errorf("the volume is %+v, %v; made was %+v", got, err, want)
	}
	all, err := k.Volumes(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, listed := range all {
		if listed.ID == want.ID {
			n++
		}
	}
	if n != 1 {
		b.Errorf("it is listed %d times in %+v", n, all)
	}
}

func volumeLife(b *volumeBench) {
	state := b.ensure(b.Keeper, b.Volume("life"))
	b.sees(b.Keeper, state)
	b.sees(b.Reopen(b.T), state)
}

func volumeAgain(b *volumeBench) {
	first := b.ensure(b.Keeper, b.Volume("again"))
	if second := b.ensure(b.Reopen(b.T), b.Volume("again")); second != first {
		b.Errorf("first %+v, then %+v", first, second)
	}
	b.sees(b.Keeper, first)
}

func volumeAtOnce(b *volumeBench) {
	const makers = 8
	keepers := []scheduler.VolumeKeeper{b.Keeper, b.Reopen(b.T)}
	states := make([]scheduler.VolumeState, makers)
	var begin, end sync.WaitGroup
	begin.Add(1)
	for i := range makers {
		end.Go(func() {
			begin.Wait()
			var err error
			if states[i], err = keepers[i%len(keepers)].EnsureVolume(b.ctx, b.Volume("at-once")); err != nil {
				b.Errorf("maker %d: %v", i, err)
			}
		})
	}
	begin.Done()
	end.Wait()
	for _, state := range states[1:] {
		if state != states[0] {
			b.Errorf("one maker got %+v, another %+v", states[0], state)
		}
	}
	b.sees(b.Keeper, states[0])
}

func volumesApart(b *volumeBench) {
	one, two := b.ensure(b.Keeper, b.Volume("apart")), b.ensure(b.Keeper, b.Volume("apart-2"))
	if one.Name == two.Name {
		b.Errorf("both are called %s", one.Name)
	}
	b.sees(b.Keeper, one)
	b.sees(b.Keeper, two)
}

func volumeUnknown(b *volumeBench) {
	kind := b.Volume("unknown").Kind
	if _, err := b.Keeper.VolumeByID(b.ctx, kind, "unknown"); !errors.Is(err, scheduler.ErrNotFound) {
		b.Errorf("reading it: %v, want ErrNotFound", err)
	}
	if err := b.Keeper.DeleteVolume(b.ctx, kind, "unknown"); err != nil {
		b.Errorf("deleting it: %v", err)
	}
}

func volumeDeleted(b *volumeBench) {
	v := b.Volume("deleted")
	b.ensure(b.Keeper, v)
	for range 2 {
		if err := b.Reopen(b.T).DeleteVolume(b.ctx, v.Kind, v.ID); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := b.Keeper.VolumeByID(b.ctx, v.Kind, v.ID); !errors.Is(err, scheduler.ErrNotFound) {
		b.Errorf("reading what was deleted: %v, want ErrNotFound", err)
	}
	b.sees(b.Keeper, b.ensure(b.Keeper, v))
}

func volumeRejected(b *volumeBench) {
	for what, change := range map[string]func(*scheduler.Volume){
		"an ID with a slash":      func(v *scheduler.Volume) { v.ID = "../x" },
		"an ID that is too long":  func(v *scheduler.Volume) { v.ID = strings.Repeat("x", 41) },
		"a kind that is not made": func(v *scheduler.Volume) { v.Kind = scheduler.MountHost },
		"a size that cannot be":   func(v *scheduler.Volume) { v.MinMB, v.MaxMB = 20, 10 },
	} {
		v := b.Volume("rejected")
		change(&v)
		_, err := b.Keeper.EnsureVolume(b.ctx, v)
		rejected, ok := errors.AsType[*scheduler.RejectedError](err)
		if !ok || !strings.HasSuffix(rejected.Reason, ".") {
			b.Errorf("%s: %v, want a *RejectedError with a sentence", what, err)
		}
	}
}

func volumeCancelled(b *volumeBench) {
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := b.Keeper.EnsureVolume(ctx, b.Volume("cancelled"))
	if _, rejected := errors.AsType[*scheduler.RejectedError](err); rejected || !errors.Is(err, context.Canceled) {
		b.Errorf("got %v, want the context's error", err)
	}
}

func volumeLabels(b *volumeBench) {
	v := b.Volume("labels")
	v.Labels = map[string]string{"user": "${attr.x} <b>\"'\\\n", fmt.Sprintf("%c", 0x202e): "x"}
	b.sees(b.Keeper, b.ensure(b.Keeper, v))
}

package schedulertest

import (
	"context"
	"errors"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

func restartFinds(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	before, _ := b.awaitServing(t, spec)
	dead := b.spec("lab2", crash)
	b.start(t, dead)
	deadBefore := b.awaitState(t, dead.ID, 1, scheduler.Dead)

	b.Scheduler = b.Reopen(t)
	after, _ := b.awaitServing(t, spec)
	if after != before {
		t.Errorf("after a restart the server is %+v, was %+v", after, before)
	}
	deadAfter := b.awaitState(t, dead.ID, 1, scheduler.Dead)
	if deadAfter != deadBefore {
		t.Errorf("after a restart the dead server is %+v, was %+v", deadAfter, deadBefore)
	}
	b.start(t, spec) // the controller of a restarted hub starts again what it does not know to be running
	if n := b.starts(t); n != 2 {
		t.Errorf("two servers were started %d times", n)
	}
	b.stop(t, dead.ID)
	if one := b.requireOne(t); one != before {
		t.Errorf("after a restart List says %+v, want %+v", one, before)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, before.Address)
}

func cancelStopsNothing(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Scheduler.Start(gone, spec); err == nil {
		t.Error("a start whose context had ended says that it was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := b.Scheduler.Start(ctx, spec); err != nil {
		t.Fatal(err)
	}
	cancel()
	before, _ := b.awaitServing(t, spec)
	if err := b.Scheduler.Start(gone, spec); err == nil {
		t.Error("a start whose context had ended says that it was accepted")
	}
	if after := b.requireOne(t); after != before {
		t.Errorf("a cancelled context turned %+v into %+v", before, after)
	}
	b.stop(t, spec.ID)
}

func cancelledStopRepeats(t *testing.T, b *bench) {
	spec := b.spec("lab1", stubborn)
	b.start(t, spec)
	status, _ := b.awaitServing(t, spec)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Scheduler.Stop(ctx, spec.ID, spec.Generation) }()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled stop: %v", err)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
	b.requireNoProcess(t)
}

package schedulertest

import (
	"errors"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

func idempotentStart(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	b.start(t, spec)
	before, _ := b.awaitServing(t, spec)
	b.start(t, spec)
	if after := b.requireOne(t); after != before {
		t.Errorf("a repeated start changed %+v to %+v", before, after)
	}
	if n := b.starts(t); n != 1 {
		t.Errorf("the program was started %d times", n)
	}
	b.stop(t, spec.ID)
}

func concurrentStart(t *testing.T, b *bench) {
	const callers = 16
	spec := b.spec("lab1", serve)
	second := b.Reopen(t) // another hub's scheduler on the same state
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range callers {
		s := b.Scheduler
		if i%2 == 1 {
			s = second
		}
		all.Go(func() {
			<-begin
			if err := s.Start(b.context(t), spec); err != nil {
				t.Errorf("one of %d identical starts: %v", callers, err)
			}
		})
	}
	close(begin)
	all.Wait()
	status, _ := b.awaitServing(t, spec)
	if one := b.requireOne(t); one != status {
		t.Errorf("List says %+v, Status %+v", one, status)
	}
	if n := b.starts(t); n != 1 {
		t.Errorf("%d identical starts made %d instances", callers, n)
	}
	b.stop(t, spec.ID)
}

func newerReplacesOlder(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	spec.Env["GENERATION"] = "first"
	b.start(t, spec)
	first, _ := b.awaitServing(t, spec)

	spec.Generation = 7
	spec.Env["GENERATION"] = "second"
	b.start(t, spec)
	second, env := b.awaitServing(t, spec)

	if env["GENERATION"] != "second" {
		t.Errorf("the newer generation has the environment of the %q", env["GENERATION"])
	}
	if first.Instance == second.Instance || second.Placement <= first.Placement {
		t.Errorf("the second generation %+v is not a new instance after %+v", second, first)
	}
	if old := environmentAt(t, "http://"+first.Address+spec.URLPath); old["GENERATION"] == "first" {
		t.Error("the older generation still answers")
	}
	b.requireOne(t)
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, second.Address)
}

func staleRefused(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	spec.Generation = 5
	b.start(t, spec)
	before, _ := b.awaitServing(t, spec)

	stale := b.spec("lab1", serve)
	stale.Generation = 4
	if err := b.Scheduler.Start(b.context(t), stale); !errors.Is(err, scheduler.ErrStale) {
		t.Errorf("a stale start: %v, want ErrStale", err)
	}
	if after := b.requireOne(t); after != before {
		t.Errorf("a stale start changed %+v to %+v", before, after)
	}
	b.stop(t, spec.ID)
}

func concurrentGenerations(t *testing.T, b *bench) {
	const newest = 5
	var all sync.WaitGroup
	for generation := range int64(newest) {
		all.Go(func() {
			spec := b.spec("lab1", serve)
			spec.Generation = generation + 1
			err := b.Scheduler.Start(b.context(t), spec)
			if spec.Generation == newest && err != nil {
				t.Errorf("start of the newest generation: %v", err)
			}
			if err != nil && !errors.Is(err, scheduler.ErrStale) {
				t.Errorf("start of generation %d: %v", spec.Generation, err)
			}
		})
	}
	all.Wait()
	spec := b.spec("lab1", serve)
	spec.Generation = newest
	status, _ := b.awaitServing(t, spec)
	if one := b.requireOne(t); one.Generation != newest {
		t.Errorf("generation %d runs, want %d", one.Generation, newest)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
}

package schedulertest

import (
	"context"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// watcher gathers what Watch yields.
type watcher struct {
	events chan scheduler.Event
	ended  chan struct{}
}

// watch begins to watch and returns after the Resync that every watch begins with.
func (b *bench) watch(ctx context.Context, t *testing.T) *watcher {
	t.Helper()
	w := &watcher{events: make(chan scheduler.Event, 1000), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for event, err := range b.Scheduler.Watch(ctx) {
			if err != nil {
				t.Logf("watch: %v", err)
				continue
			}
			select {
			case w.events <- event:
			case <-ctx.Done():
			}
		}
	}()
	w.await(t, b.Patience, "the watch begins with a resync", func(e scheduler.Event) bool {
		if !e.Resync {
			t.Errorf("the first event of a watch is %+v, want a resync", e)
		}
		return true
	})
	return w
}

func (w *watcher) await(t *testing.T, patience time.Duration, what string, match func(scheduler.Event) bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case event := <-w.events:
			if match(event) {
				return
			}
		case <-deadline.C:
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

func watchTells(t *testing.T, b *bench) {
	w := b.watch(t.Context(), t)
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	told := func(what string, match func(scheduler.Status) bool) {
		t.Helper()
		w.await(t, b.Patience, what, func(e scheduler.Event) bool {
			if e.Message != "" {
				requireSentence(t, e.Message)
			}
			if e.Status != nil && (e.Status.ID != e.ID || e.Status.Generation != e.Generation) {
				t.Errorf("an event of %s generation %d has the status of %+v", e.ID, e.Generation, e.Status)
			}
			return e.ID == spec.ID && e.Generation == spec.Generation && e.Status != nil && match(*e.Status)
		})
	}
	told("the server has a place", func(s scheduler.Status) bool { return s.Address != "" && s.Instance != "" && s.State != scheduler.Dead })
	told("the server runs", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	b.awaitServing(t, spec)
	b.stop(t, spec.ID)
	told("the server is dead", func(s scheduler.Status) bool { return s.State == scheduler.Dead })

	spec = b.spec("lab2", crash)
	b.start(t, spec)
	told("the crash is told with its reason", func(s scheduler.Status) bool { return s.State == scheduler.Dead && s.Reason != "" })
	b.stop(t, spec.ID)
}

func watchEnds(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := b.watch(ctx, t)
	cancel()
	select {
	case <-w.ended:
	case <-time.After(b.Patience):
		t.Fatal("the watch goes on after its context")
	}
}

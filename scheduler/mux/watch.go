package mux

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// beginTogether is how long a watch waits at first for all places, so that its first Resync speaks for all of them.
const beginTogether = 5 * time.Second

// heard is what one place told.
type heard struct {
	event scheduler.Event
	err   error
}

// merging is one reader's watch of all places.
type merging struct {
	out     chan heard
	arrived chan struct{} // gets an element when a place has begun, or failed to
	open    chan struct{} // closed right before the first Resync is told
}

// Watch implements [scheduler.Scheduler]: the news of all places. A Resync of one is a Resync of all, because a List is of all. While a watch runs it ends
// strays that List finds.
func (s *Scheduler) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var followers sync.WaitGroup
		defer followers.Wait()
		defer cancel()
		m := &merging{out: make(chan heard), arrived: make(chan struct{}, len(s.places)), open: make(chan struct{})}
		for i := range s.places {
			followers.Go(func() { m.follow(ctx, s, i) })
		}
		followers.Go(func() { s.sweep(ctx) })
		if m.begin(ctx, len(s.places), yield) {
			m.tell(ctx, yield)
		}
	}
}

// follow passes on what one place tells. Its first Resync is part of the first one of all, if it comes in time.
func (m *merging) follow(ctx context.Context, s *Scheduler, place int) {
	arrive := sync.OnceFunc(func() { m.arrived <- struct{}{} })
	for event, err := range s.places[place].Scheduler.Watch(ctx) {
		arrive()
		if err == nil && event.Resync && m.waits(ctx) {
			continue
		}
		if err == nil && event.Status != nil {
			s.seen.noteStatus(place, *event.Status)
		}
		select {
		case m.out <- heard{event, err}:
		case <-ctx.Done():
			return
		}
	}
}

// waits returns true after the first Resync was told, or false at once if that was before.
func (m *merging) waits(ctx context.Context) bool {
	select {
	case <-m.open:
		return false
	default:
	}
	select {
	case <-m.open:
	case <-ctx.Done():
	}
	return true
}

// begin tells the first Resync when all places have begun, failed, or were silent for long.
func (m *merging) begin(ctx context.Context, places int, yield func(scheduler.Event, error) bool) (goOn bool) {
	patience := time.NewTimer(beginTogether)
	defer patience.Stop()
	for begun, late := 0, false; begun < places && !late; {
		select {
		case <-ctx.Done():
			return false
		case <-m.arrived:
			begun++
		case <-patience.C:
			late = true
		case h := <-m.out: // only errors: events come after a Resync
			if !yield(h.event, h.err) {
				return false
			}
		}
	}
	close(m.open)
	return ctx.Err() == nil && yield(scheduler.Event{Resync: true, Time: time.Now()}, nil)
}

// tell passes on everything else.
func (m *merging) tell(ctx context.Context, yield func(scheduler.Event, error) bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-m.out:
			if ctx.Err() != nil || !yield(h.event, h.err) {
				return
			}
		}
	}
}

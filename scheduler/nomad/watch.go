package nomad

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 15 * time.Second
)

// Watch implements scheduler.Scheduler. Each connection begins at the index of a list of jobs that was read before it, and tells so
// by a Resync, so that the reader's own List, which comes after, misses nothing.
func (s *Scheduler) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		backoff := firstBackoff
		for ctx.Err() == nil {
			connected, goOn := s.watchOnce(ctx, yield)
			if !goOn || ctx.Err() != nil {
				return
			}
			if connected {
				backoff = firstBackoff
			}
			// Jitter, because all hubs lose a restarted Nomad server at the same instant.
			pause(ctx, backoff/2+rand.N(backoff))
			backoff = min(2*backoff, maxBackoff)
		}
	}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// watchOnce follows one connection. It reports whether that gave anything, and whether the reader wants more.
func (s *Scheduler) watchOnce(ctx context.Context, yield func(scheduler.Event, error) bool) (connected, goOn bool) {
	views, index, err := s.listJobs(ctx)
	if err != nil {
		return false, ctx.Err() == nil && yield(scheduler.Event{}, err)
	}
	known := newTracker(s.opts.JobPrefix, views)
	for frame, err := range s.stream(ctx, index) {
		if ctx.Err() != nil {
			return connected, false
		}
		if err != nil {
			return connected, yield(scheduler.Event{}, err)
		}
		if !connected {
			connected = true // the first frame is a heartbeat that Nomad sends at once
			if !yield(scheduler.Event{Resync: true, Time: time.Now()}, nil) {
				return connected, false
			}
		}
		for i := range frame.Events {
			for _, event := range known.translate(&frame.Events[i]) {
				if !yield(event, nil) {
					return connected, false
				}
			}
		}
	}
	return connected, ctx.Err() == nil
}

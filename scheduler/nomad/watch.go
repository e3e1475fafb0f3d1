package nomad

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 8 * time.Second
	// relistEvery bounds how often events of jobs that the watch does not know make it list all jobs again.
	relistEvery = 5 * time.Second
	// listTime bounds a list of all jobs; with 10,000 it takes about a second.
	listTime = 30 * time.Second
)

// Watch implements scheduler.Scheduler. Each connection begins at the index of a list of jobs that was read before it, and tells so
// by a Resync, so that the reader's own List, which comes after, misses nothing. Beside the connection [Scheduler.attend] notices within
// seconds when it is cut or frozen. What was told before a reconnection is not told again.
func (s *Scheduler) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		w := &watch{s: s, known: newTracker(s.opts.JobPrefix, nil), yield: yield}
		w.known.drains = &s.drains
		s.drains.watched(1)
		defer s.drains.watched(-1)
		backoff := firstBackoff
		for ctx.Err() == nil {
			connected, goOn := w.connect(ctx)
			if !goOn || ctx.Err() != nil {
				return
			}
			if connected {
				backoff = firstBackoff
			}
			pause(ctx, rand.N(backoff)) // full jitter, because all hubs lose a restarted Nomad server at the same instant
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

// watch is one reader's.
type watch struct {
	s        *Scheduler
	known    *tracker
	yield    func(scheduler.Event, error) bool
	relisted time.Time
}

// connect follows one connection. It reports whether that gave anything, and whether the reader wants more.
func (w *watch) connect(ctx context.Context) (connected, goOn bool) {
	nodes, err := w.s.mayReadNodes(ctx)
	if err != nil {
		return false, w.trouble(ctx, err)
	}
	index, err := w.list(ctx, nodes)
	if err != nil {
		return false, w.trouble(ctx, err)
	}
	w.s.news.watched(1)
	defer w.s.news.watched(-1)
	attended, cut := context.WithCancelCause(ctx)
	follower := newFollower(index, &w.s.signs)
	if w.s.mirror.holds(w) {
		follower.signs = append(follower.signs, &w.s.mirror.sign)
	}
	defer w.s.mirror.end(w)
	var group sync.WaitGroup
	group.Go(func() { w.s.attend(attended, follower, nodes, cut) })
	defer group.Wait()
	defer cut(nil)

	for next, err := range w.s.stream(attended, index, nodes) {
		if ctx.Err() != nil {
			return connected, false
		}
		if err != nil {
			return connected, w.yield(scheduler.Event{}, err)
		}
		follower.begin(next)
		if !connected || next.Index > 0 { // what is not a heartbeat
			follower.sign(time.Now())
		}
		// The first frame is a heartbeat that Nomad sends at once.
		if !connected && !w.resync() || !w.tell(ctx, next, nodes) {
			return true, false
		}
		connected = true
		follower.end()
	}
	return connected, ctx.Err() == nil
}

// trouble tells of what kept a connection from being made.
func (w *watch) trouble(ctx context.Context, err error) (goOn bool) {
	return ctx.Err() == nil && w.yield(scheduler.Event{}, err)
}

func (w *watch) resync() (goOn bool) {
	return w.yield(scheduler.Event{Resync: true, Time: time.Now()}, nil)
}

// list reads all jobs and, if we may see them, the machines that are being emptied. It returns the index of the jobs.
func (w *watch) list(ctx context.Context, nodes bool) (uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, errNoContact)
	defer cancel()
	if nodes {
		if err := w.s.drains.refresh(ctx, w.s); err != nil {
			return 0, err
		}
	}
	w.s.census.forget()
	jobs, err := w.s.listJobs(ctx)
	if err != nil {
		return 0, err
	}
	w.known.begin(jobs.views, jobs.index)
	w.s.mirror.begin(w, jobs.views, jobs.index)
	return jobs.index, nil
}

// tell passes on what a frame means.
func (w *watch) tell(ctx context.Context, next frame, nodes bool) (goOn bool) {
	for i := range next.Events {
		event := &next.Events[i]
		w.s.mirror.take(w, event)
		w.s.news.tell(event.job())
		if node := event.Payload.Node; node != nil {
			if !w.tellNode(ctx, event) {
				return false
			}
			continue
		}
		if w.known.lacks(event) && time.Since(w.relisted) > relistEvery {
			if !w.relist(ctx, nodes) {
				return false
			}
		}
		for _, out := range w.known.translate(event) {
			if !w.yield(out, nil) {
				return false
			}
		}
	}
	w.s.mirror.reach(w, next.Index)
	return true
}

// relist mends a gap: an event tells of a job that is ours by its name, and whose registration never came.
func (w *watch) relist(ctx context.Context, nodes bool) (goOn bool) {
	w.relisted = time.Now()
	if _, err := w.list(ctx, nodes); err != nil {
		return w.trouble(ctx, fmt.Errorf("nomad: mending a gap in the event stream: %w", err))
	}
	return w.resync()
}

// tellNode passes on what an event of a machine means for the servers on it.
func (w *watch) tellNode(ctx context.Context, event *streamEvent) (goOn bool) {
	changed, text := w.s.drains.take(event)
	if !changed {
		return true
	}
	events, err := w.known.onNode(ctx, w.s, event.Payload.Node.ID, text)
	if err != nil {
		return w.trouble(ctx, err) && w.resync() // the reader finds out by itself
	}
	for _, out := range events {
		if !w.yield(out, nil) {
			return false
		}
	}
	return true
}

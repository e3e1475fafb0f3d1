package nomad

import (
	"context"
	"sync"
	"time"
)

// How long a call that waits for the end of a server sleeps before it asks Nomad again: while a watch runs, which wakes it, and while none does.
const (
	newsMost  = 5 * time.Second
	pollFirst = 100 * time.Millisecond
	pollMost  = 2 * time.Second
)

// news wakes calls that wait for something to happen to one job. The watch tells it, so that a thousand servers which are stopped at once
// hold no connection to Nomad each: it takes a hundred from one address and refuses the rest.
type news struct {
	mu       sync.Mutex
	watching int // watches that tell
	waiting  map[string]map[chan struct{}]struct{}
}

// follow returns a channel that gets an element at each event of the job, and how to let go of it.
func (n *news) follow(job string) (told <-chan struct{}, release func()) {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting == nil {
		n.waiting = map[string]map[chan struct{}]struct{}{}
	}
	if n.waiting[job] == nil {
		n.waiting[job] = map[chan struct{}]struct{}{}
	}
	n.waiting[job][c] = struct{}{}
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if delete(n.waiting[job], c); len(n.waiting[job]) == 0 {
			delete(n.waiting, job)
		}
	}
}

// tell wakes who waits for news of the job.
func (n *news) tell(job string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.waiting[job] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// watched counts the watches that tell.
func (n *news) watched(change int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watching += change
}

// delay is when it is time to ask again without news; times is how often one did so before. Of a job that was purged there may be none.
func (n *news) delay(times int, purged bool) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watching == 0 || purged {
		return min(pollFirst<<min(times, 10), pollMost)
	}
	return newsMost
}

// await sleeps until the job has news, or until the delay is over.
func (n *news) await(ctx context.Context, told <-chan struct{}, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-told:
	case <-timer.C:
	}
	return nil
}

// job is whose event it is, or "".
func (e *streamEvent) job() string {
	switch {
	case e.Payload.Allocation != nil:
		return e.Payload.Allocation.JobID
	case e.Payload.Job != nil && e.Payload.Job.ID != nil:
		return *e.Payload.Job.ID
	case e.Payload.Evaluation != nil:
		return e.Payload.Evaluation.JobID
	}
	return ""
}

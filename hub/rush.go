package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// crowdSize is how many ask at once, or within crowdTime, when those who ask come before the work on what was let through: hundreds of people wait for an answer
	// then, and the work takes longer than an answer anyway.
	crowdSize = 16
	crowdTime = 100 * time.Millisecond
	// crowdCheck is how often it is looked whether the crowd has gone.
	crowdCheck = 20 * time.Millisecond
	// fewLooking is how many workers look at their servers at once while a crowd asks, and fewRest how long each of these looks counts at least. On one processor nothing
	// happens at once, and only the second holds them back.
	fewLooking = 2
	fewRest    = 5 * time.Millisecond
)

// rush knows whether a crowd asks for servers, and has workers wait meanwhile.
type rush struct {
	present atomic.Int64 // requests for a start that have come and were not decided
	came    atomic.Int64 // how many ever came
	times   [crowdSize]atomic.Int64
	few     chan struct{} // holds an element for each worker that looks meanwhile

	mu   sync.Mutex
	calm chan struct{} // closed when the crowd has gone; nil: there is none
}

func (r *rush) init() { r.few = make(chan struct{}, fewLooking) }

// Asking tells that somebody is about to call [Hub.Start], from before it is known who, until done is called. While many do, they come first.
func (h *Hub) Asking() (done func()) {
	r := &h.desk.rush
	r.present.Add(1)
	r.times[r.came.Add(1)%crowdSize].Store(time.Now().UnixNano())
	return sync.OnceFunc(func() { r.present.Add(-1) })
}

// on tells whether those who ask come first.
func (r *rush) on() bool {
	if r.present.Load() >= crowdSize {
		return true
	}
	first := r.times[(r.came.Load()+1)%crowdSize].Load() // of the last crowdSize that came
	return time.Since(time.Unix(0, first)) < crowdTime
}

// ended returns a channel that is closed when the crowd has gone, or nil if there is none.
func (r *rush) ended() <-chan struct{} {
	if !r.on() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calm == nil {
		r.calm = make(chan struct{})
		time.AfterFunc(crowdCheck, r.check)
	}
	return r.calm
}

func (r *rush) check() {
	if r.on() {
		time.AfterFunc(crowdCheck, r.check)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.calm)
	r.calm = nil
}

// pass waits until a worker may look beside those who ask. It calls leave after that.
func (r *rush) pass(ctx context.Context) (leave func(), err error) {
	ended := r.ended()
	if ended == nil {
		return func() {}, nil
	}
	select {
	case <-ended:
		return func() {}, nil
	case r.few <- struct{}{}:
		begun := time.Now()
		return func() { time.AfterFunc(fewRest-time.Since(begun), func() { <-r.few }) }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

package store

import (
	"context"
	"slices"
	"sync"
)

// turns has the writers of a database that takes one at a time come one after the other: first those who are urgent, then the others, and each kind in the order
// in which it came. The pool of database/sql hands a free connection to anybody who waits, so of hundreds some would wait for long.
type turns struct {
	mu      sync.Mutex
	taken   bool
	urgent  []chan struct{}
	waiting []chan struct{}
}

// take waits for a turn, which ends when done is called. No turns at all, nil, is a database that many may write to.
func (t *turns) take(ctx context.Context, urgent bool) (done func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return t.next, nil
	}
	mine := make(chan struct{})
	if urgent {
		t.urgent = append(t.urgent, mine)
	} else {
		t.waiting = append(t.waiting, mine)
	}
	t.mu.Unlock()
	select {
	case <-mine:
		return t.next, nil
	case <-ctx.Done():
		t.giveUp(mine)
		return nil, ctx.Err()
	}
}

// try takes a turn if that needs no waiting, which is never so for no turns at all.
func (t *turns) try() (done func(), ok bool) {
	if t == nil {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return nil, false
	}
	t.taken = true
	return t.next, true
}

// next hands the turn on.
func (t *turns) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range []*[]chan struct{}{&t.urgent, &t.waiting} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	t.taken = false
}

// giveUp leaves the line, or hands on a turn that came at the same moment.
func (t *turns) giveUp(mine chan struct{}) {
	t.mu.Lock()
	for _, line := range []*[]chan struct{}{&t.urgent, &t.waiting} {
		if i := slices.Index(*line, mine); i >= 0 {
			*line = slices.Delete(*line, i, i+1)
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	t.next()
}

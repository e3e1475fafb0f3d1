package hub

import (
	"context"
	"time"
)

// QueuePlace is where a start stands that waits.
type QueuePlace struct {
	Position int // from 1: the next one
	Of       int // how many wait for the same
	Wait     Wait
}

// QueuePlace tells where a start stands, or nil if the server does not wait. It is at most about a second old.
func (h *Hub) QueuePlace(ctx context.Context, s Server) (*QueuePlace, error) {
	if s.State != Starting || s.Wait == nil && !s.waits() {
		return nil, nil //nolint:nilnil // there is no place, which is no error
	}
	view, err := h.queue.look(ctx)
	if err != nil {
		return nil, err
	}
	place := &QueuePlace{Wait: Wait{Reason: hold{barrier: barrierTurn}.sentence(), Since: s.Queued}}
	if s.Wait != nil {
		place.Wait = *s.Wait
	}
	if p, ok := view.places[s.ID]; ok {
		place.Position, place.Of = p.position, view.sizes[p.line]
	}
	return place, nil
}

// spot is a position in one line.
type spot struct {
	position int
	line     string // the node pool that is waited for; see hubLine
}

// hubLine is the line of all who wait for the hub's limits. It is no name of a node pool.
const hubLine = "\x00hub"

// look returns a recent view of the queue: that of the last round, or one that is read now. Of those who ask at once, one reads.
func (q *startQueue) look(ctx context.Context) (queueView, error) {
	asked := q.h.now()
	for {
		q.mu.Lock()
		// What was read since the question was put is good, however long this one has then waited for a processor.
		if v := q.view; q.h.now().Sub(v.at) < viewAge || v.at.After(asked) {
			q.mu.Unlock()
			return v, nil
		}
		looking := q.looking
		if looking == nil {
			q.looking = make(chan struct{})
			q.mu.Unlock()
			return q.read(ctx)
		}
		q.mu.Unlock()
		select {
		case <-looking:
		case <-ctx.Done():
			return queueView{}, ctx.Err()
		}
	}
}

// read looks at the queue without letting anybody through.
func (q *startQueue) read(ctx context.Context) (queueView, error) {
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		close(q.looking)
		q.looking = nil
	}()
	state, err := q.h.readQueue(ctx, q.h.store)
	if err != nil {
		return queueView{}, err
	}
	blocked := state.blocked
	lanes := state.lanes
	view := newQueueView(q.h.now(), planQueue(state, q.h.Limits()), lanes, blocked)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.view = view
	q.some = q.some || len(view.turns) > 0
	return view, nil
}

// queueView is everybody's place in the queue at one moment.
type queueView struct {
	at     time.Time
	turns  []turn // of those who wait in the hub, in order
	lanes  map[string]lane
	places map[string]spot
	sizes  map[string]int // of lines
}

// newQueueView gives everybody a place: those who wait for a node pool among themselves, the ones that wait in the cluster first.
func newQueueView(at time.Time, turns []turn, lanes map[string]lane, blocked []QueuedStart) queueView {
	v := queueView{at: at, lanes: lanes, places: make(map[string]spot, len(turns)), sizes: map[string]int{}}
	put := func(id, line string) {
		v.sizes[line]++
		v.places[id] = spot{v.sizes[line], line}
	}
	for _, s := range blocked {
		put(s.ID, s.Pool)
	}
	for _, t := range turns {
		switch {
		case t.admit:
			continue
		case t.hold.barrier == barrierPool:
			put(t.id, t.pool)
		default:
			put(t.id, hubLine)
		}
		v.turns = append(v.turns, t)
	}
	return v
}

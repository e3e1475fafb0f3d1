package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	queueTick    = time.Second            // how often a replica that knows of waiting starts looks at them, for what other replicas did
	queueRest    = 20 * time.Millisecond  // between two rounds at least
	queueShare   = 4                      // a round is followed by a rest of as many times its length, so that a long queue leaves the database to others
	glanceAge    = 2 * time.Second        // how long a round's outcome may be gone by
	viewAge      = 750 * time.Millisecond // how old the positions are that people are shown
	maxNotes     = 50                     // rows that one round brings up to date with what holds them back
	queueTimeout = 30 * time.Second       // of one round
)

// startQueue lets starts through when there is room. Every replica may: the one that ended a server does so at once. What is true is read from the
// database each time, and nothing here is needed to be right.
type startQueue struct {
	h    *Hub
	gate chan struct{} // holds an element while this process lets starts through
	wake chan struct{} // capacity 1
	// noted are the holds that the rows of the first in the queue tell of. Only rounds look at it.
	noted map[string]hold
	past  backfillMemory // of rounds too

	mu   sync.Mutex
	some bool // starts may be waiting
	last glance
	view queueView
	// looking is closed when the look at the queue that is under way has ended; nil: nobody looks.
	looking chan struct{}
}

// glance is what the last round found.
type glance struct {
	at      time.Time
	waiting int
	hold    hold // what holds back the first of those who wait
}

func (q *startQueue) init(h *Hub) {
	q.h, q.gate, q.wake = h, make(chan struct{}, 1), make(chan struct{}, 1)
}

// poke has the queue looked at soon: something may have become free. It costs nothing if nobody waits.
func (q *startQueue) poke() {
	q.mu.Lock()
	some := q.some
	q.mu.Unlock()
	if some {
		q.stir()
	}
}

func (q *startQueue) stir() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// joined notes that a start waits from now on.
func (q *startQueue) joined() {
	q.mu.Lock()
	q.some = true
	q.last.waiting++
	q.mu.Unlock()
	q.stir()
}

// glance returns what the last round found, if that is of any use.
func (q *startQueue) glance(now time.Time) (glance, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last, q.some && now.Sub(q.last.at) < glanceAge
}

// run lets starts through until ctx ends.
func (q *startQueue) run(ctx context.Context) error {
	tick := time.NewTicker(queueTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.wake:
		case <-tick.C:
			if !q.maybe() {
				continue
			}
		}
		begun := time.Now()
		if err := q.round(ctx); err != nil && ctx.Err() == nil {
			q.h.log.WarnContext(ctx, "queue of starts could not be looked at, will be repeated", "err", err)
		}
		if !sleep(ctx, max(queueRest, queueShare*time.Since(begun)), nil) {
			return ctx.Err()
		}
	}
}

func (q *startQueue) maybe() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.some
}

// round lets through whoever may go on, and has this replica work on them.
func (q *startQueue) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	count, err := q.h.store.CountStarts(ctx)
	if err != nil {
		return err
	}
	if count.Waiting == 0 {
		q.found(queueView{at: q.h.now()})
		return nil
	}
	fits := q.h.backfill(ctx, q.lastTurns())
	var turns []turn
	var admitted []string
	var view queueView
	err = q.h.exclusive(ctx, func(tx Store) error {
		state, err := q.h.readQueue(ctx, tx)
		if err != nil {
			return err
		}
		for i := range state.waiting {
			state.waiting[i].fits = slices.Contains(fits, state.waiting[i].id)
		}
		lanes, blocked := state.lanes, state.blocked
		turns = planQueue(state, q.h.Limits())
		view = newQueueView(q.h.now(), turns, lanes, blocked)
		admitted = nil
		for _, t := range turns {
			if t.admit {
				admitted = append(admitted, t.id)
			}
		}
		if len(admitted) == 0 {
			return nil
		}
		failpoint("queue.before-admission")
		admitted, err = tx.AdmitStarts(ctx, admitted, q.h.now())
		return err
	})
	if err != nil {
		return err
	}
	failpoint("queue.after-admission")
	for _, id := range admitted {
		q.h.control.own(id)
	}
	q.found(view)
	q.observe(turns, admitted)
	return q.note(ctx, view.turns)
}

// found remembers the outcome of a round.
func (q *startQueue) found(view queueView) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.some = len(view.turns) > 0 || len(q.wake) > 0
	q.last = glance{at: view.at, waiting: len(view.turns)}
	if len(view.turns) > 0 {
		q.last.hold = view.turns[0].hold
	}
	q.view = view
	q.h.metrics.queue.waiting.Set(float64(len(view.turns)))
}

func (q *startQueue) observe(turns []turn, admitted []string) {
	now := q.h.now()
	for _, t := range turns {
		if t.admit && slices.Contains(admitted, t.id) {
			q.h.metrics.queue.waited.Observe(now.Sub(t.queued).Seconds())
		}
	}
}

func (q *startQueue) lastTurns() queueView {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.view
}

// note brings the rows of the first in the queue up to date with what holds them back, so that their owners read the truth on every replica.
func (q *startQueue) note(ctx context.Context, rest []turn) error {
	noted := make(map[string]hold, maxNotes)
	for _, t := range rest[:min(len(rest), maxNotes)] {
		noted[t.id] = t.hold
		if q.noted[t.id] == t.hold {
			continue
		}
		if err := q.h.noteHold(ctx, t); err != nil {
			return err
		}
	}
	q.noted = noted
	return nil
}

// noteHold writes down what holds a start back, if the row does not say so.
func (h *Hub) noteHold(ctx context.Context, t turn) error {
	s, err := h.store.ServerByID(ctx, t.id)
	if errors.Is(err, ErrNotFound) || err == nil && !s.waits() {
		return nil
	}
	if err != nil {
		return err
	}
	want := t.hold.wait(s.Queued, time.Time{})
	if s.Wait != nil {
		want.Since, want.Until = s.Wait.Since, s.Wait.Until
		if s.Wait.Resource == want.Resource && s.Wait.Pool == want.Pool && s.Wait.Blocked == want.Blocked {
			return nil
		}
	}
	s.Wait = want
	if _, err := h.store.UpdateServer(ctx, s); err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
		return err
	}
	h.journals.say(s, 0, want.Reason)
	return nil
}

// waits tells whether the server is a start that was not let through.
func (s Server) waits() bool { return s.State == Starting && s.Admitted.IsZero() }

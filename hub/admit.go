package hub

import (
	"context"
	"time"
)

// admissionLock is the name under which starts are let through: one after another over all replicas, so that no limit is ever passed.
const admissionLock = "admission"

// intend writes the row of a start: let through if there is room and nobody was first, else waiting in the queue, or refused. ErrStale or ErrExists if somebody
// else wrote the row meanwhile.
func (h *Hub) intend(ctx context.Context, i intent, queue bool) (Server, error) {
	limits := h.Limits()
	if v, known := h.queue.glance(h.now()); known && v.waiting > 0 {
		if queue && !i.counted(limits) && v.waiting < limits.QueuedStarts {
			return h.enqueue(ctx, i, v.hold) // nothing that is counted changes, so there is no need to take turns
		}
		if !queue && v.hold.wholeHub() {
			return Server{}, v.hold.refusal()
		}
	}
	return h.desk.ask(ctx, &request{intent: i, queue: queue, decided: make(chan struct{})})
}

// enqueue writes the row of a start that waits whatever there is room for; the queue's next round, which follows at once, may let it through.
func (h *Hub) enqueue(ctx context.Context, i intent, because hold) (Server, error) {
	if because.barrier == noBarrier {
		because.barrier = barrierTurn
	}
	written, err := i.write(ctx, h.store, because)
	if err == nil {
		h.queue.joined()
	}
	return written, err
}

// exclusive runs fn while nobody else lets starts through. Of this process only one waits for it at the database.
func (h *Hub) exclusive(ctx context.Context, fn func(Store) error) error {
	select {
	case h.queue.gate <- struct{}{}:
		defer func() { <-h.queue.gate }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.store.Exclusive(ctx, admissionLock, fn)
}

// counted tells whether the owner's own servers have to be counted.
func (i intent) counted(l Limits) bool {
	return l.perUser(i.user) > 0 || i.isNew && i.server.Name != "" && l.named(i.user) > 0
}

// checkOwner refuses what waiting would not help: the owner has as many servers as they may.
func (h *Hub) checkOwner(ctx context.Context, tx Store, i intent, l Limits) error {
	if !i.counted(l) {
		return nil
	}
	have, _, err := tx.Servers(ctx, ServerQuery{UserIDs: []string{i.user.ID}})
	if err != nil {
		return err
	}
	named, active := 0, 0
	for _, s := range have {
		if s.Name != "" {
			named++
		}
		if s.Active() && s.ID != i.server.ID {
			active++
		}
	}
	if limit := l.named(i.user); i.isNew && i.server.Name != "" && limit > 0 && named >= limit {
		return Errorf(Invalid, "%s has %d named servers, and no more are allowed. Remove one first.", i.user.Name, named)
	}
	if limit := l.perUser(i.user); limit > 0 && active >= limit {
		e := Errorf(TooMany, "%s runs %d servers, and no more are allowed at once. Stop one first.", i.user.Name, active)
		e.RetryAfter = time.Minute
		return e
	}
	return nil
}

// headcount is what the limits are held against, as one transaction reads it once and counts on.
type headcount struct {
	limits Limits
	count  StartCount
	total  Load
	groups map[string]Load // those with limits, of the owners that were judged
}

func (h *Hub) newHeadcount(ctx context.Context, tx Store, l Limits) (*headcount, error) {
	count, err := tx.CountStarts(ctx)
	t := &headcount{limits: l, count: count, total: Load{Starting: count.Starting}, groups: map[string]Load{}}
	if err == nil && l.ActiveServers > 0 {
		t.total.Active, err = tx.CountActive(ctx)
	}
	return t, err
}

// holds finds the first limit that holds back a start of a member of these groups.
func (t *headcount) holds(ctx context.Context, tx Store, groups []string) (hold, error) {
	capped := t.limits.capped(groups)
	var unread []string
	for _, name := range capped {
		if _, read := t.groups[name]; !read {
			unread = append(unread, name)
		}
	}
	if len(unread) > 0 {
		loads, err := tx.LoadOfGroups(ctx, unread)
		if err != nil {
			return hold{}, err
		}
		for _, name := range unread {
			t.groups[name] = loads[name]
		}
	}
	return t.limits.holds(capped, t.total, t.groups), nil
}

// add counts a start whose row was written. A row that had counted before only moves: it was stopped, so it did not.
func (t *headcount) add(groups []string, h hold) {
	if h.barrier != noBarrier {
		t.count.Waiting++
		return
	}
	t.count.Starting++
	t.total.Starting++
	t.total.Active++
	for _, name := range groups {
		if g, read := t.groups[name]; read {
			t.groups[name] = Load{g.Starting + 1, g.Active + 1}
		}
	}
}

// judge tells what holds a start back. A start that is not to wait may go on only if it is its turn: then those before it are let through with it,
// and returned.
func (h *Hub) judge(ctx context.Context, tx Store, t *headcount, i intent, queue bool) (hold, []string, error) {
	switch {
	case t.count.Waiting >= t.limits.QueuedStarts:
		return hold{}, nil, hold{barrier: barrierStarts}.refusal()
	case t.count.Waiting > 0 && queue:
		return hold{barrier: barrierTurn}, nil, nil
	case t.count.Waiting > 0 || t.count.Blocked >= maxBlocked && h.planner() != nil:
		return h.judgeByQueue(ctx, tx, i, t.limits)
	}
	held, err := t.holds(ctx, tx, i.user.Groups)
	return held, nil, err
}

// judgeByQueue has the start take its turn among all who wait.
func (h *Hub) judgeByQueue(ctx context.Context, tx Store, i intent, l Limits) (hold, []string, error) {
	state, err := h.readQueue(ctx, tx)
	if err != nil {
		return hold{}, nil, err
	}
	own := waiting{id: i.server.ID, groups: i.user.Groups, queued: i.server.Queued, pool: i.server.Held.pool()}
	state.waiting = append(state.waiting, own)
	held := hold{barrier: barrierTurn}
	var others []string
	for _, t := range planQueue(state, l) {
		switch {
		case t.id == own.id:
			held = t.hold
		case t.admit:
			others = append(others, t.id)
		}
	}
	if held.barrier == noBarrier && len(others) > 0 { // those before it take room that was counted for them
		others, err = tx.AdmitStarts(ctx, others, h.now())
		return held, others, err
	}
	return held, nil, nil
}

// readQueue reads what the order is made from.
func (h *Hub) readQueue(ctx context.Context, tx Store) (queueState, error) {
	starts, err := tx.Starts(ctx)
	if err != nil {
		return queueState{}, err
	}
	groupsOf, err := tx.GroupsOfWaiting(ctx)
	if err != nil {
		return queueState{}, err
	}
	loads, err := tx.LoadOfGroups(ctx, nil)
	if err != nil {
		return queueState{}, err
	}
	active, err := tx.CountActive(ctx)
	if err != nil {
		return queueState{}, err
	}
	q := queueState{total: Load{Active: active}, groups: loads}
	if h.planner() != nil {
		q.lanes = map[string]lane{}
	}
	for _, s := range starts {
		switch {
		case !s.Admitted:
			q.waiting = append(q.waiting, waiting{id: s.ID, groups: groupsOf[s.UserID], queued: s.Queued, pool: s.Pool})
		case s.Blocked:
			q.blocked = append(q.blocked, s)
		default:
			q.total.Starting++
		}
		if s.Admitted && !s.Placed && q.lanes != nil {
			q.lanes[s.Pool] = q.lanes[s.Pool].with(s)
		}
	}
	return q, nil
}

// with is the lane with one more start in it.
func (l lane) with(s QueuedStart) lane {
	l.unplaced++
	if s.Blocked {
		if l.blocked++; l.first.IsZero() || s.Queued.Before(l.first) {
			l.first = s.Queued
		}
	}
	return l
}

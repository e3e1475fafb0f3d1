package hub

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// maxTogether bounds how many starts one transaction decides, so that it does not keep other writers waiting for long.
	maxTogether = 256
	// gatherTime is how long the desk waits for those of a crowd who are on their way to it: what a decision takes hardly depends on how many are decided.
	gatherTime = 10 * time.Millisecond
	// deskPatience bounds one such transaction. It is not the time of any one of those who ask.
	deskPatience = 30 * time.Second
)

// desk decides starts, one after another over all replicas. Those that arrive while it is busy are decided together, in the order of their arrival and in one
// transaction: a class that asks in the same instant costs few turns and few commits.
type desk struct {
	h       *Hub
	mu      sync.Mutex
	waiting []*request
	arrived chan struct{} // holds an element if somebody has come since it was read
	gather  time.Duration // see gatherTime
	rush    rush
}

// request is a start that asks to be let through.
type request struct {
	intent

	queue bool // rather waits than be refused

	decided chan struct{} // closed when the fields below are set
	written Server
	held    hold
	others  []string // starts that were let through because it was their turn before this one's
	err     error
}

func (d *desk) init(h *Hub) {
	d.h, d.arrived, d.gather = h, make(chan struct{}, 1), gatherTime
	d.rush.init()
}

// ask returns the row of a start that was let through or waits, or why there is none. Whoever finds the desk free serves all who stand there.
func (d *desk) ask(ctx context.Context, r *request) (Server, error) {
	d.mu.Lock()
	d.waiting = append(d.waiting, r)
	d.mu.Unlock()
	d.signal()
	for {
		select {
		case <-r.decided:
			return d.conclude(r)
		case d.h.queue.gate <- struct{}{}:
			d.serve(ctx)
			<-d.h.queue.gate
		case <-ctx.Done():
			if d.takeBack(r) {
				return Server{}, ctx.Err()
			}
			<-r.decided // it is being decided, and what comes of it counts
			return d.conclude(r)
		}
	}
}

// conclude has this replica work on what was let through.
func (d *desk) conclude(r *request) (Server, error) {
	for _, id := range r.others {
		d.h.control.own(id)
	}
	if r.err != nil {
		return Server{}, r.err
	}
	failpoint("start.after-admission")
	if r.held.barrier != noBarrier {
		d.h.queue.joined()
	}
	return r.written, nil
}

// takeBack takes a request back, unless it is being decided.
func (d *desk) takeBack(r *request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, w := range d.waiting {
		if w == r {
			d.waiting = append(d.waiting[:i:i], d.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// await waits a moment until all of a crowd who ask stand at the desk. Who asks alone waits for nobody.
func (d *desk) await(ctx context.Context) {
	if d.rush.present.Load() < crowdSize {
		return
	}
	enough := time.NewTimer(d.gather)
	defer enough.Stop()
	for int64(d.standing()) < min(d.rush.present.Load(), maxTogether) {
		select {
		case <-d.arrived:
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (d *desk) signal() {
	select {
	case d.arrived <- struct{}{}:
	default:
	}
}

func (d *desk) standing() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// take returns those who are served next.
func (d *desk) take() []*request {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.waiting), maxTogether)
	batch := d.waiting[:n:n]
	d.waiting = d.waiting[n:]
	return batch
}

// serve decides those who stand at the desk, at the most maxTogether. The caller has the gate.
func (d *desk) serve(ctx context.Context) {
	if d.standing() == 0 {
		return
	}
	d.await(ctx)
	batch := d.take()
	if len(batch) == 0 {
		return
	}
	// One who serves the others and gives up does not take them along.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deskPatience)
	defer cancel()
	err := d.decide(ctx, batch)
	if err != nil && len(batch) > 1 { // one of them may be to blame, and the others shall not suffer for it
		for _, r := range batch {
			if err := d.decide(ctx, []*request{r}); err != nil {
				r.err = err
			}
		}
	} else if err != nil {
		batch[0].err = err
	}
	for _, r := range batch {
		close(r.decided)
	}
}

// decide writes the rows of a batch in one transaction. What is wrong with one of them alone is that one's error, and not returned.
func (d *desk) decide(ctx context.Context, batch []*request) error {
	return d.h.store.Exclusive(ctx, admissionLock, func(tx Store) error {
		limits := d.h.Limits()
		var t *headcount
		for _, r := range batch {
			r.written, r.held, r.others, r.err = Server{}, hold{}, nil, nil
			if t == nil {
				var err error
				if t, err = d.h.newHeadcount(ctx, tx, limits); err != nil {
					return err
				}
			}
			if err := d.admit(ctx, tx, t, r); err != nil {
				if !ownError(err) {
					return err
				}
				r.err = err
			}
			if len(r.others) > 0 {
				t = nil // count anew
			}
		}
		return nil
	})
}

// admit decides one start.
func (d *desk) admit(ctx context.Context, tx Store, t *headcount, r *request) error {
	err := d.h.checkOwner(ctx, tx, r.intent, t.limits)
	if err != nil {
		return err
	}
	if r.held, r.others, err = d.h.judge(ctx, tx, t, r.intent, r.queue); err != nil {
		return err
	}
	if r.held.barrier != noBarrier && !r.queue {
		return r.held.refusal()
	}
	failpoint("start.before-admission")
	if r.written, err = r.write(ctx, tx, r.held); err == nil {
		t.add(r.user.Groups, r.held)
	}
	return err
}

// ownError tells whether an error is about the one start that was decided, and leaves the transaction as it was.
func ownError(err error) bool {
	if errors.Is(err, ErrStale) || errors.Is(err, ErrExists) {
		return true
	}
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == TooMany || e.Kind == Invalid)
}

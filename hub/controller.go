package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	sweepInterval = 10 * time.Second // how often the elected replica looks at all servers
	// movingInterval is how often it looks at those that start or stop, however many servers there are: a replica that died may have left them, and somebody waits.
	movingInterval = 10 * time.Second
	// sweepEach makes the look at all seldomer where there are many: it costs some 50 µs for each, and shall take less than a fiftieth of a core. Events tell of
	// nearly everything before it.
	sweepEach    = 3 * time.Millisecond
	retryFirst   = 100 * time.Millisecond
	retryMost    = 10 * time.Second
	stopPatience = 2 * time.Minute  // one attempt to stop; then the next begins
	askPatience  = 15 * time.Second // one question to the scheduler about one server
	listPatience = time.Minute      // one question about all of them
	logTailLines = 20
)

// controller works on servers, each by one worker at a time in this process. Requests, events and the sweep only wake workers; what to do is decided
// from the row and the scheduler's status each time anew.
type controller struct {
	h       *Hub
	mu      sync.Mutex
	workers map[string]*worker
	elected bool
	stopped bool
	settled map[string]mark  // servers that run as they should and need no worker
	ended   map[string]int64 // the last runs that were ended here; see noteEnded
	ctx     context.Context  //nolint:containedctx // the lifetime of workers, set by run
	queued  []string         // owned before run began
	group   sync.WaitGroup
	looking chan struct{} // holds one element for each worker that looks at its server
}

// maxLooking bounds how many workers ask database and scheduler about their servers at once: a hub that starts may find thousands.
const maxLooking = 32

func (c *controller) init(h *Hub) {
	c.h, c.workers, c.settled, c.ended, c.looking = h, map[string]*worker{}, map[string]mark{}, map[string]int64{}, make(chan struct{}, maxLooking)
}

// own has this replica work on a server whose intent it wrote. What it was doing by an older intent is cut short, since it may wait for what nobody wants any
// more.
func (c *controller) own(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.queued = append(c.queued, id)
		return
	}
	c.wakeLocked(id, true, nil)
}

// hand is own for a row that was just written, which the worker then need not read. Nothing rests on nobody's having written it since: whatever the worker does by
// it is refused then, or about a generation that is over.
func (c *controller) hand(s Server, start *choice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.queued = append(c.queued, s.ID)
		return
	}
	c.wakeLocked(s.ID, true, &handed{s, start})
}

// nudge has the worker of a server look again. A replica that neither wrote the intent nor is elected leaves the server alone.
func (c *controller) nudge(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked(id, false, nil)
}

func (c *controller) wakeLocked(id string, own bool, row *handed) {
	if c.stopped || c.ctx == nil {
		return
	}
	w := c.workers[id]
	if w == nil {
		if !own && !c.elected {
			return
		}
		w = &worker{id: id, wake: make(chan struct{}, 1), interrupt: func() {}}
		c.workers[id] = w
		ctx := c.ctx
		c.group.Go(func() { c.h.work(ctx, w) })
	}
	if own {
		w.handed.Store(row)
		w.owned.Store(true)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	if own {
		w.interrupt()
	}
}

// begin returns the context of the worker's next round.
func (c *controller) begin(ctx context.Context, w *worker) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, w.interrupt = context.WithCancel(ctx)
	return ctx, w.interrupt
}

// release forgets a worker that has nothing left to do, unless it was woken meanwhile.
func (c *controller) release(w *worker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w.wake) > 0 {
		return false
	}
	delete(c.workers, w.id)
	return true
}

// run works until ctx ends, or until it can go on no longer. Every worker has ended when it returns.
func (c *controller) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.ctx = ctx
	for _, id := range c.queued {
		c.wakeLocked(id, true, nil)
	}
	c.queued = nil
	c.mu.Unlock()

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { c.watchSoon(gctx); return nil })
	g.Go(func() error { return c.h.opts.Elect(gctx, "servers", c.lead) })
	err := g.Wait()
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	cancel()
	c.group.Wait()
	return err
}

// lead looks after all servers while this replica is elected.
func (c *controller) lead(ctx context.Context) error {
	c.setElected(true)
	defer c.setElected(false)
	defer c.h.metrics.leave()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.leadMoving(gctx) })
	g.Go(func() error { return c.leadSweeps(gctx) })
	return g.Wait()
}

// leadSweeps compares all rows with what the scheduler runs, the seldomer the more there are.
func (c *controller) leadSweeps(ctx context.Context) error {
	begun, first := time.Now(), true
	c.awaitTable(ctx, tablePatience)
	for {
		seen, err := c.sweep(ctx)
		if err == nil && first {
			c.h.metrics.init.Observe(time.Since(begun).Seconds())
			first = false
		}
		if err != nil && ctx.Err() == nil {
			c.h.log.WarnContext(ctx, "sweep of all servers failed, will be repeated", "err", err)
		}
		if !sleep(ctx, max(sweepInterval, time.Duration(seen)*sweepEach), nil) {
			return ctx.Err()
		}
	}
}

// leadMoving looks at servers on their way. It needs no list of the scheduler, so it goes on while the sweep waits for one.
func (c *controller) leadMoving(ctx context.Context) error {
	for {
		if err := c.lookAtMoving(ctx); err != nil && ctx.Err() == nil {
			c.h.log.WarnContext(ctx, "look at servers that start or stop failed, will be repeated", "err", err)
		}
		if !sleep(ctx, movingInterval, nil) {
			return ctx.Err()
		}
	}
}

func (c *controller) setElected(elected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elected = elected
}

func (c *controller) isElected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elected
}

// watchSoon watches when there are routes, or soon after: the scheduler lists all servers to who begins, and visitors of those that run wait for the routes only.
func (c *controller) watchSoon(ctx context.Context) {
	c.awaitTable(ctx, watchPatience)
	c.watch(ctx)
}

// watch turns the scheduler's events into messages for the waiting, and wakes workers.
func (c *controller) watch(ctx context.Context) {
	for e, err := range c.h.opts.Scheduler.Watch(ctx) {
		switch {
		case err != nil:
			c.h.metrics.stream.disturbances.Inc()
			c.h.log.WarnContext(ctx, "event stream of the scheduler is disturbed", "err", err)
		case e.Resync:
			c.h.metrics.stream.resyncs.Inc()
			c.wakeAll()
		default:
			c.h.tell(e)
			if e.Status != nil && !c.late(*e.Status) { // else it is a sentence for who watches, or known
				c.nudge(e.ID)
			}
		}
	}
}

// wakeAll has every worker of this process look again: events may have been missed.
func (c *controller) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.workers {
		c.wakeLocked(id, false, nil)
	}
}

// tell passes an event's sentence on to whoever watches the start.
func (h *Hub) tell(e scheduler.Event) {
	if e.Status != nil {
		h.ledger.heard(*e.Status, h.now())
	}
	if h.control.rests(e.ID, e.Generation) && !h.rows.awaited(e.ID) {
		return // nobody will ask
	}
	percent := 0
	if e.Status != nil && e.Status.State == scheduler.Running {
		percent = percentRunning
	}
	h.journals.mention(Server{ID: e.ID, Generation: e.Generation}, percent, e.Message)
}

// work is one server's worker: observe, plan, act, until the server is stopped for good or the context ends.
func (h *Hub) work(ctx context.Context, w *worker) {
	delay := retryFirst
	vanished := false // something was not there that the last look had seen
	for {
		rctx, end := h.control.begin(ctx, w)
		next, err := h.round(rctx, w)
		interrupted := rctx.Err() != nil
		end()
		if err != nil || interrupted || !next.step.leavesStatus(w) {
			w.run.status = nil
		}
		if err != nil || interrupted {
			w.run.row = nil
		}
		wait := next.wait
		switch {
		case ctx.Err() != nil:
			return
		case interrupted, errors.Is(err, ErrStale): // somebody wrote the row meanwhile: look again at once
			continue
		case errors.Is(err, ErrNotFound) && !vanished: // or removed it, and what came of its start must not go on without it
			vanished = true
			continue
		case err != nil:
			h.log.WarnContext(ctx, "work on a server failed, will be repeated", "server_id", w.id, "err", err)
			h.journals.say(Server{ID: w.id, Generation: w.run.generation}, 0, troubleMessage(err))
			wait, delay = delay, min(2*delay, retryMost)
		default:
			delay, vanished = retryFirst, false
			if next.step != rest {
				continue
			}
			if next.done && h.control.release(w) {
				return
			}
		}
		if !sleep(ctx, wait, w.wake) {
			return
		}
	}
}

// sleep waits for a wake-up, for the time to pass (if not zero), or for the context's end, which is reported as false.
func sleep(ctx context.Context, wait time.Duration, wake <-chan struct{}) bool {
	var after <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-after:
	}
	return true
}

// outcome is what a round did: its plan, and whether the worker has nothing left to do.
type outcome struct {
	plan
	done bool
}

// round observes, plans and acts once.
func (h *Hub) round(ctx context.Context, w *worker) (outcome, error) {
	o, err := h.look(ctx, w)
	if errors.Is(err, ErrNotFound) {
		return h.abandon(ctx, w)
	}
	if err != nil {
		return outcome{}, err
	}
	if err := h.noteRun(ctx, w, o); err != nil {
		return outcome{}, err
	}
	p := planServer(o, h.timeoutsOf(ctx, w, o.server))
	if o.remembered && p.step.needsRow() {
		w.run.row = nil
		return h.round(ctx, w)
	}
	if err := h.act(ctx, w, o, p); err != nil {
		return outcome{}, err
	}
	return outcome{plan: p, done: p.step == rest && h.control.leave(w, o)}, nil
}

// timeoutsOf are what bounds the server's start.
func (h *Hub) timeoutsOf(ctx context.Context, w *worker, s Server) timeouts {
	n := h.opts.Notebook
	t := timeouts{n.PlaceTimeout, n.AnswerTimeout, n.QueueTimeout}
	if s.State != Starting || s.waits() {
		return t
	}
	if c, err := h.choiceOf(ctx, w, s); err == nil { // else it is told when the server is handed over
		t = timeouts{c.StartTimeout, c.AnswerTimeout, c.QueueTimeout}
	}
	return t
}

// mayLook waits until one more worker may look. It has to call leave then.
func (c *controller) mayLook(ctx context.Context) (leave func(), err error) {
	passed, err := c.h.desk.rush.pass(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case c.looking <- struct{}{}:
		return func() { <-c.looking; passed() }, nil
	case <-ctx.Done():
		passed()
		return nil, ctx.Err()
	}
}

// look reads the row and asks the scheduler. The error wraps ErrNotFound if there is no such row.
func (h *Hub) look(ctx context.Context, w *worker) (observation, error) {
	leave, err := h.control.mayLook(ctx)
	if err != nil {
		return observation{}, err
	}
	defer leave()
	select {
	case <-w.wake: // what this look is for
		w.run.status = nil
	default:
	}
	s, remembered, err := h.rowOf(ctx, w)
	if err != nil {
		return observation{}, err
	}
	o, err := h.observe(ctx, w, s)
	o.remembered = remembered
	return o, err
}

// rowAge is how long a worker that goes on with a start believes the row that it read or wrote. Whatever it writes by it is refused if somebody wrote the row
// meanwhile, and steps of which that is not true have it read anew.
const rowAge = time.Second

// lateCall is how long a scheduler may take to carry out a call that the hub gave up on.
const lateCall = time.Minute

// abandon deals with a server whose record is gone. If that happened while this worker was handing it to the scheduler, what came of it is nobody's: without the
// record its token is worthless. A server that merely is not in the database is left alone, as the database may be an old copy.
func (h *Hub) abandon(ctx context.Context, w *worker) (outcome, error) {
	if w.run.secret != "" {
		sctx, cancel := context.WithTimeout(ctx, stopPatience)
		defer cancel()
		if err := h.opts.Scheduler.Stop(sctx, w.id, w.run.generation); err != nil {
			return outcome{}, fmt.Errorf("stop server %s, whose record was removed: %w", w.id, err)
		}
		if left := w.run.cut.Add(lateCall).Sub(h.now()); left > 0 {
			return outcome{plan: plan{wait: left}}, nil
		}
		w.run = runMemory{}
		h.log.InfoContext(ctx, "server ended, as its record was removed during its start", "server_id", w.id)
	}
	h.journals.forget(w.id)
	return outcome{done: true}, nil
}

func (h *Hub) observe(ctx context.Context, w *worker, s Server) (observation, error) {
	o := observation{server: s, now: h.now()}
	if s.State == Stopped && w.run.gone {
		return o, nil // there is nothing to ask about
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	st, err := h.status(ctx, w)
	o.now = h.now() // a boot that the answer tells of has not gone on since before the question
	switch {
	case errors.Is(err, scheduler.ErrNotFound), mayBeNobodys(err, w, s):
	case err != nil:
		return o, err
	default:
		o.status = &st
		if st.Generation == s.Generation {
			w.run.registered = true
		}
		if st.Instance != w.run.instance {
			w.run.instance, w.run.answered, w.run.placedAt, w.run.runningAt = st.Instance, false, o.now, time.Time{}
			w.run.published = h.control.shown(s.ID, st.Generation, st.Instance)
			if h.control.opened(s.ID, st.Generation, st.Instance) {
				w.run.opened = st.Instance
			}
		}
		if st.Preparing || w.run.preparing {
			w.run.placedAt = o.now // its boot has not begun, or has since the last look
		}
		w.run.preparing = st.Preparing
	}
	o.registered, o.published, o.answered = w.run.registered, w.run.published, w.run.answered
	o.placedAt, o.notedAt = w.run.placedAt, w.run.notedAt
	return o, nil
}

package hub

import (
	"context"
	"errors"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// tablePatience is how long a hub that was just started waits for the routes before it looks for those that are missing.
	tablePatience = 10 * time.Second
	// watchPatience is the same before it watches the scheduler.
	watchPatience = 2 * time.Second
	// Routes that are missing after a start are told again, the first of them at once and the others at this distance.
	repairBurst    = 200
	repairMost     = 400 // in one sweep
	repairInterval = 25 * time.Millisecond
	// repairAgain is how long a binding that was published may be without a route before it is published again.
	repairAgain = 5 * time.Minute
)

// mark says which run of a server needs nobody's work: it runs, and its binding is published.
type mark struct {
	generation int64
	instance   string
	since      time.Time
	opened     bool // the ledger has its beginning
}

func (m mark) is(generation int64, instance string) bool {
	return m.generation == generation && m.instance == instance && instance != ""
}

// leave tells whether the worker of a server that rests can go, and remembers that the server needs none. So thousands that run cost no goroutine.
func (c *controller) leave(w *worker, o observation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case o.server.State == Ready && o.status != nil && settled(o.server.Brief(), *o.status) && o.published:
		if !c.settled[o.server.ID].is(o.server.Generation, o.server.Instance) {
			c.settled[o.server.ID] = mark{o.server.Generation, o.server.Instance, o.now, w.run.opened == o.server.Instance}
		}
		return true
	case o.server.State == Stopped, o.server.waits():
		delete(c.settled, o.server.ID)
		if w.run.gone {
			c.noteEnded(o.server)
		}
		return true
	}
	delete(c.settled, o.server.ID)
	return false
}

// maxEnded bounds how many servers are remembered that were ended here. Of one that is forgotten the row is read once more.
const maxEnded = 1000

// noteEnded remembers that this process ended a run, of which the scheduler may tell later than that; the caller holds mu.
func (c *controller) noteEnded(s Server) {
	if len(c.ended) >= maxEnded {
		clear(c.ended)
	}
	c.ended[s.ID] = s.Generation
}

// late tells whether a status is only the end of a run that this process ended itself.
func (c *controller) late(st scheduler.Status) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	generation, ended := c.ended[st.ID]
	return ended && st.State == scheduler.Dead && st.Generation <= generation
}

// shown tells whether the binding of a run is known to be published: by this process, or because the routes show it.
func (c *controller) shown(id string, generation int64, instance string) bool {
	c.mu.Lock()
	m := c.settled[id]
	c.mu.Unlock()
	return m.is(generation, instance) || c.routed(id, generation, instance)
}

// rests tells whether a run is known to be as it should.
func (c *controller) rests(id string, generation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.settled[id]
	return ok && m.generation == generation
}

// opened tells whether the ledger is known to have the beginning of a run.
func (c *controller) opened(id string, generation int64, instance string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.settled[id]
	return m.opened && m.is(generation, instance)
}

// routed tells whether the routes of this process show the run.
func (c *controller) routed(id string, generation int64, instance string) bool {
	t, ok := c.h.opts.Routes.(interface{ Table() *routing.Table })
	if !ok {
		return false
	}
	r, found := t.Table().Server(id)
	return found && r.Generation == generation && r.Instance == instance
}

// forgotten tells whether the binding of a server that runs should be published again: nobody shows it, and if this process published it, that is long ago.
func (c *controller) forgotten(s ServerBrief) bool {
	if c.routed(s.ID, s.Generation, s.Instance) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.settled[s.ID]; m.is(s.Generation, s.Instance) && c.h.now().Sub(m.since) < repairAgain {
		return false
	}
	delete(c.settled, s.ID)
	return true
}

// awaitTable waits a while for the first routes, if this process routes by a table, so that a hub that starts with thousands of servers does not tell Consul what it knows.
func (c *controller) awaitTable(ctx context.Context, patience time.Duration) {
	if r, ok := c.h.opts.Routes.(interface {
		WaitReady(ctx context.Context) error
	}); ok {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := r.WaitReady(ctx); err != nil {
			c.h.log.DebugContext(ctx, "looking after servers without knowing their routes", "err", err)
		}
	}
}

// sweep wakes the worker of every ready server that is not as it should be, and of every stopped one that the scheduler still runs. It is two
// lists, however many servers there are. It returns how many are active.
func (c *controller) sweep(ctx context.Context) (seen int, err error) {
	defer func(begun time.Time) { c.h.metrics.swept(time.Since(begun)) }(time.Now())
	lctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	running, err := c.h.opts.Scheduler.List(lctx)
	if err != nil {
		return 0, err
	}
	status := byID(running)
	active, err := c.h.store.ServerBriefs(ctx, []ServerState{Starting, Ready, Stopping})
	if err != nil {
		return 0, err
	}
	c.h.metrics.observe(active)
	var unshown []string
	for _, s := range active {
		st := status[s.ID]
		delete(status, s.ID)
		switch {
		case s.State != Ready: // lookAtMoving has it
		case st == nil || !settled(s, *st):
			c.nudge(s.ID)
		case c.forgotten(s):
			unshown = append(unshown, s.ID)
		}
	}
	for id := range status {
		c.nudge(id)
	}
	c.repair(ctx, unshown)
	c.prune(active)
	return len(active), nil
}

// byID finds what a list says of a server.
func byID(list []scheduler.Status) map[string]*scheduler.Status {
	status := make(map[string]*scheduler.Status, len(list))
	for i := range list {
		status[list[i].ID] = &list[i]
	}
	return status
}

// lookAtMoving wakes the worker of every server that starts or stops, and gives up starts that waited too long. It is one query by state.
func (c *controller) lookAtMoving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	moving, _, err := c.h.store.Servers(ctx, ServerQuery{States: []ServerState{Starting, Stopping}})
	if err != nil {
		return err
	}
	waiting := false
	for _, s := range moving {
		if s.waits() {
			waiting = true
			c.h.expire(ctx, s)
			continue
		}
		c.nudge(s.ID)
	}
	if waiting {
		c.h.queue.seen()
	}
	return nil
}

// settled tells whether a server runs as the row says, so that nothing need be done.
func settled(s ServerBrief, st scheduler.Status) bool {
	return s.State == Ready && st.State != scheduler.Dead && st.Generation == s.Generation && st.Instance == s.Instance && !noticeDue(s, st)
}

// repair has the bindings published again that nobody knows of, not all at once.
func (c *controller) repair(ctx context.Context, ids []string) {
	for i, id := range ids[:min(len(ids), repairMost)] {
		c.nudge(id)
		if i >= repairBurst && !sleep(ctx, repairInterval, nil) {
			return
		}
	}
}

// prune forgets the marks of servers that are no longer active.
func (c *controller) prune(active []ServerBrief) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.settled) <= len(active) {
		return
	}
	is := make(map[string]bool, len(active))
	for _, s := range active {
		is[s.ID] = true
	}
	for id := range c.settled {
		if !is[id] {
			delete(c.settled, id)
		}
	}
}

// expire gives up a start that has waited in the hub's queue for as long as it may.
func (h *Hub) expire(ctx context.Context, s Server) {
	if s.Wait == nil || s.Wait.Until.IsZero() || h.now().Before(s.Wait.Until) {
		return
	}
	f := Failure{
		Message: "The server was not started within " + s.Wait.Until.Sub(s.Queued).Round(time.Second).String() + ". " + s.Wait.Reason + " Try again later.",
		Cause:   scheduler.CauseExhausted,
	}
	if err := h.fail(ctx, s, f); err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
		h.log.WarnContext(ctx, "a start that waited too long could not be given up, will be tried again", "server_id", s.ID, "err", err)
		return
	}
	h.control.own(s.ID)
}

// seen notes that starts wait, whoever put them there.
func (q *startQueue) seen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.some = true
}

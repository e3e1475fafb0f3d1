package hub

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// worker works on one server.
type worker struct {
	id        string
	wake      chan struct{} // capacity 1
	owned     atomic.Bool   // this process wrote the row for another reason than its worker's
	handed    atomic.Pointer[handed]
	interrupt context.CancelFunc // cuts the present round short; guarded by controller.mu
	run       runMemory          // the worker's own; nobody else reads it
}

// handed is a row as this process wrote it for another reason than its worker's, for the worker to go on from.
type handed struct {
	row    Server
	choice *choice // what a start runs; nil: find it out
}

// runMemory is what this process knows of one generation of a server. None of it is needed: what is forgotten is found out again.
type runMemory struct {
	generation int64
	registered bool
	instance   string // the instance that published, answered and placedAt are about
	published  bool
	answered   bool
	placedAt   time.Time // since when its boot may be going on
	preparing  bool      // its boot had not begun at the last look
	notedAt    time.Time // when what it waits for was last written down
	choice     *choice   // what it runs; nil: not asked yet
	runningAt  time.Time // since when the instance was seen to run; zero: it was not
	opened     string    // the instance that the ledger has the beginning of
	ended      string    // the instance that the ledger has the end of
	secret     string    // the server's token, from its issue to the server's readiness
	// status is what the scheduler said at askedAt, as long as nothing is known to have happened since; nil: ask.
	status  *scheduler.Status
	askedAt time.Time
	// row is what was read or written at rowAt, while this worker goes on with a start; nil: read it.
	row   *Server
	rowAt time.Time
	gone  bool      // what the scheduler had of this generation was removed by this worker
	cut   time.Time // when handing the server over was cut short, which the scheduler may still carry out; zero: it was not
}

// remember takes a row for the present one.
func (w *worker) remember(s Server, now time.Time) {
	if s.Generation != w.run.generation {
		w.run = runMemory{generation: s.Generation}
	}
	w.run.row, w.run.rowAt = &s, now
}

// rowOf returns the worker's row, and whether that is one it remembers from an earlier look.
func (h *Hub) rowOf(ctx context.Context, w *worker) (s Server, remembered bool, err error) {
	now := h.now()
	owned, given, row := w.owned.Swap(false), w.handed.Swap(nil), w.run.row
	switch {
	case given != nil && (row == nil || given.row.Revision > row.Revision):
		w.remember(given.row, now)
		w.run.choice = given.choice
		return given.row, false, nil
	case !owned && row != nil && row.State != Stopping && now.Sub(w.run.rowAt) < rowAge:
		return *row, true, nil
	}
	w.run.row = nil
	if s, err = h.store.ServerByID(ctx, w.id); err == nil {
		w.remember(s, now)
	}
	return s, false, err
}

// wrote remembers the row that the worker wrote, and tells who waits for it; percent and message are as for [journals.mention].
func (h *Hub) wrote(w *worker, s Server, percent int, message string) {
	w.remember(s, h.now())
	h.journals.wrote(s, percent, message)
}

// statusAge is how long an answer of the scheduler is good for while no event comes.
const statusAge = time.Second

// status is what the scheduler says of the worker's server. Several steps of a start follow one another of which it notices nothing, and it is not asked the same
// again before each of them.
func (h *Hub) status(ctx context.Context, w *worker) (scheduler.Status, error) {
	if w.run.status != nil && h.now().Sub(w.run.askedAt) < statusAge {
		return *w.run.status, nil
	}
	w.run.status, w.run.askedAt = nil, h.now()
	asked := time.Now()
	st, err := h.opts.Scheduler.Status(ctx, w.id)
	h.metrics.polled(time.Since(asked), st, err)
	if err == nil {
		w.run.status = &st
	}
	return st, err
}

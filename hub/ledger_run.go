package hub

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The ledger is written where servers are worked on. Whoever sees a run writes it down, as often as it is seen: it is one row. A run begins and ends when
// the scheduler says so; where it does not say, when the hub saw it. What a hub that died could not write is written by the next one, and what nobody saw
// end is taken to have ended when the ledger was last compared with what runs: a time for which it is not certain that something was held is not counted.

// ledger is what this process knows of runs.
type ledger struct {
	mu   sync.Mutex
	ends map[RunKey]knownEnd // that the scheduler told, and that are not written yet
}

// knownEnd is an end, and when it was heard of.
type knownEnd struct{ at, heard time.Time }

const (
	// maxKnownEnds bounds what is kept in memory; what is dropped is written less exactly.
	maxKnownEnds = 10_000
	// endAge is how long an end is worth being kept. A replica that is not elected hears of all ends, and writes only those of the servers it works on.
	endAge = 10 * time.Minute
)

// heard keeps the end that an event tells, until it is written.
func (l *ledger) heard(st scheduler.Status, now time.Time) {
	if st.State != scheduler.Dead || st.Ended.IsZero() || st.Instance == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends == nil {
		l.ends = map[RunKey]knownEnd{}
	}
	if len(l.ends) >= maxKnownEnds {
		maps.DeleteFunc(l.ends, func(_ RunKey, end knownEnd) bool { return now.Sub(end.heard) > endAge })
	}
	if len(l.ends) < maxKnownEnds {
		l.ends[RunKey{st.ID, st.Generation, st.Instance}] = knownEnd{st.Ended, now}
	}
}

// takeEnds hands out the ends that were heard of before then.
func (l *ledger) takeEnds(then time.Time) map[RunKey]knownEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[RunKey]knownEnd{}
	for key, end := range l.ends {
		if end.heard.Before(then) {
			taken[key] = end
			delete(l.ends, key)
		}
	}
	return taken
}

// takeEnd hands out the end of one run.
func (l *ledger) takeEnd(key RunKey) (knownEnd, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.ends[key]
	delete(l.ends, key)
	return end, ok
}

// putBack keeps ends that were taken and could not be written.
func (l *ledger) putBack(ends map[RunKey]knownEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, end := range ends {
		if _, newer := l.ends[key]; !newer && len(l.ends) < maxKnownEnds {
			l.ends[key] = end // the map is there, since they were taken from it
		}
	}
}

// noteRun writes down that a run began or ended, as one round of a worker sees it.
func (h *Hub) noteRun(ctx context.Context, w *worker, o observation) error {
	st := o.status
	if st == nil {
		return h.noteGone(ctx, w, o)
	}
	if st.Generation != o.server.Generation || st.Instance == "" {
		return nil
	}
	switch {
	case isOpen(w, o) && o.server.State != Stopped:
		if w.run.runningAt.IsZero() {
			w.run.runningAt = o.now
		}
		if _, left := runDue(w, o); left > 0 {
			return nil
		}
		failpoint("usage.before-open")
		if err := h.openRun(ctx, o.server, *st); err != nil {
			return err
		}
		failpoint("usage.after-open")
		w.run.opened = st.Instance
	case st.State == scheduler.Dead && w.run.ended != st.Instance:
		if err := h.endRun(ctx, o.server, *st); err != nil {
			return err
		}
		w.run.ended = st.Instance
	}
	return nil
}

// isOpen tells whether a run goes on that this process has not written down.
func isOpen(w *worker, o observation) bool {
	st := o.status
	return st != nil && st.State == scheduler.Running && st.Generation == o.server.Generation && st.Instance != "" && w.run.opened != st.Instance
}

// openPatience is for how long the beginning of a run may wait to be written together with the row of a start: when that gets its place, and when it is ready.
const openPatience = 10 * time.Second

// runDue tells whether the beginning of a run is still to be written, and how long that may wait for the row. What a hub that dies does not write the next one
// does, as the scheduler says when it began.
func runDue(w *worker, o observation) (due bool, left time.Duration) {
	if !isOpen(w, o) {
		return false, 0
	}
	if o.server.State != Starting || o.status.Began.IsZero() {
		return true, 0
	}
	return true, openPatience - o.now.Sub(w.run.runningAt)
}

// writeRun writes the row of a start, and with it the beginning of its run, if that is to be written.
func (h *Hub) writeRun(ctx context.Context, w *worker, o observation, next Server) (Server, error) {
	if !isOpen(w, o) {
		return h.store.UpdateServer(ctx, next)
	}
	r := h.runOf(next, *o.status)
	failpoint("usage.before-open")
	written, err := h.store.UpdateServerAndOpenRun(ctx, next, r)
	if err != nil {
		return Server{}, err
	}
	failpoint("usage.after-open")
	w.run.opened = o.status.Instance
	return written, h.closeOthers(ctx, o.server, r)
}

// openRun writes down a run of the server, and the end of what it goes on from.
func (h *Hub) openRun(ctx context.Context, s Server, st scheduler.Status) error {
	r := h.runOf(s, st)
	if err := h.store.OpenRun(ctx, r); err != nil {
		return err
	}
	return h.closeOthers(ctx, s, r)
}

// closeOthers writes down the end of what a run goes on from; s is the row as it was before.
func (h *Hub) closeOthers(ctx context.Context, s Server, r UsageRun) error {
	if s.Instance == "" || s.Instance == r.Instance {
		return nil
	}
	return h.store.CloseRunsOf(ctx, s.ID, s.Generation, r.Instance, r.Began, "The server went on in another place.")
}

func (h *Hub) runOf(s Server, st scheduler.Status) UsageRun {
	r := UsageRun{
		ID: newID(), ServerID: s.ID, ServerName: s.Name, UserID: s.UserID, UserName: s.UserName, Profile: s.Profile,
		Generation: s.Generation, Instance: st.Instance, Held: s.Held, Began: st.Began,
	}
	if r.Began.IsZero() {
		r.Began = h.now()
	}
	if held := s.Held; held != nil {
		r.MemoryMB, r.Cores = held.MemoryMB, held.Cores
		if r.Cores == 0 {
			r.Cores = float64(held.CPU) / h.usageRules().CoreMHz
		}
		for _, n := range held.Devices {
			r.Devices += n
		}
	}
	return r
}

// endRun writes down the end of a run that the scheduler calls dead, and its beginning, if nobody saw it run.
func (h *Hub) endRun(ctx context.Context, s Server, st scheduler.Status) error {
	if !st.Began.IsZero() {
		if err := h.store.OpenRun(ctx, h.runOf(s, st)); err != nil {
			return err
		}
	}
	key := RunKey{s.ID, st.Generation, st.Instance}
	ended, exact := st.Ended, !st.Ended.IsZero()
	known, heard := knownEnd{}, false
	if !exact {
		known, heard = h.ledger.takeEnd(key)
		ended, exact = known.at, heard
	}
	if !exact {
		ended = h.now()
	}
	failpoint("usage.before-close")
	err := h.store.CloseRun(ctx, key, ended, exact, whyEnded(st))
	if err != nil && heard {
		h.ledger.putBack(map[RunKey]knownEnd{key: known})
	}
	return err
}

// noteGone ends what is open of a server of which the scheduler knows nothing. If this process has seen it run, it ended now; if not, it ended while
// nobody watched.
func (h *Hub) noteGone(ctx context.Context, w *worker, o observation) error {
	s := o.server
	if w.run.ended == goneRun || s.State == Starting || s.State == Stopped {
		return nil
	}
	ended := o.now
	if !w.run.registered {
		before, err := h.store.UsageTouched(ctx)
		if err != nil {
			return err
		}
		if !before.IsZero() && before.Before(ended) {
			ended = before
		}
	}
	if err := h.closeRuns(ctx, s, ended); err != nil {
		return err
	}
	w.run.ended = goneRun
	return nil
}

// goneRun stands for the instance of a server of which the scheduler knows nothing.
const goneRun = "gone"

// closeRuns ends all that is open of a server whose process is gone for certain.
func (h *Hub) closeRuns(ctx context.Context, s Server, ended time.Time) error {
	end := h.endOf(s, ended)
	failpoint("usage.before-close")
	err := end.write(ctx, h.store)
	if err != nil {
		h.ledger.giveBack(end)
	}
	return err
}

// runsEnd is the end of all that is open of a server.
type runsEnd struct {
	last   RunKey
	exact  knownEnd // of the last run, as the scheduler told it
	heard  bool     // whether it did
	ended  time.Time
	reason string
}

// endOf takes what is known of a server's end, which has to be given back if it is not written.
func (h *Hub) endOf(s Server, ended time.Time) runsEnd {
	e := runsEnd{last: RunKey{s.ID, s.Generation, s.Instance}, ended: ended, reason: "The server was stopped."}
	if s.Failure != nil {
		e.reason = s.Failure.Message
	}
	e.exact, e.heard = h.ledger.takeEnd(e.last)
	return e
}

func (e runsEnd) write(ctx context.Context, db Store) error {
	if e.heard {
		if err := db.CloseRun(ctx, e.last, e.exact.at, true, e.reason); err != nil {
			return err
		}
	}
	return db.CloseRunsOf(ctx, e.last.ServerID, e.last.Generation, "", e.ended, e.reason)
}

func (l *ledger) giveBack(e runsEnd) {
	if e.heard {
		l.putBack(map[RunKey]knownEnd{e.last: e.exact})
	}
}

// whyEnded is what the ledger says of a run that nobody stopped here.
func whyEnded(st scheduler.Status) string { return cmp.Or(st.Reason, "The server ended by itself.") }

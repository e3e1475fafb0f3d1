package hub

import (
	"context"
	"errors"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// endPatience is how long an end that an event told of is left to the worker of its server.
	endPatience = 30 * time.Second
	// forgetInterval is how often runs that are kept for no longer are removed.
	forgetInterval = time.Hour
)

// leadUsage compares the ledger with what runs, and holds users to their limits, while this replica is elected.
func (h *Hub) leadUsage(ctx context.Context) error {
	var cleaned time.Time
	for {
		rules := h.usageRules()
		if err := h.compareUsage(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "ledger of usage not compared with what runs, will be", "err", err)
		}
		if len(rules.Limits) > 0 {
			if err := h.enforceLimits(ctx, rules); err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "limits of usage not looked at, will be", "err", err)
			}
		}
		if now := h.now(); now.Sub(cleaned) > forgetInterval {
			cleaned = now
			h.forgetRuns(ctx, now.Add(-rules.Retention))
		}
		if !sleep(ctx, rules.Interval, nil) {
			return ctx.Err()
		}
	}
}

func (h *Hub) forgetRuns(ctx context.Context, then time.Time) {
	n, err := h.store.DeleteRunsBefore(ctx, then)
	switch {
	case err != nil && ctx.Err() == nil:
		h.log.WarnContext(ctx, "old runs not removed from the ledger, will be in an hour", "err", err)
	case n > 0:
		h.log.InfoContext(ctx, "old runs removed from the ledger", "runs", n)
	}
}

// compareUsage repairs what a hub that died did not write: runs that are not in the ledger, and ends that are missing there.
func (h *Hub) compareUsage(ctx context.Context) error {
	now := h.now()
	if err := h.writeEnds(ctx, now.Add(-endPatience)); err != nil {
		return err
	}
	before, err := h.store.UsageTouched(ctx)
	if err != nil {
		return err
	}
	open, err := h.store.OpenRuns(ctx) // before the list, so that what begins in between is not taken for gone
	if err != nil {
		return err
	}
	lctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	list, err := h.opts.Scheduler.List(lctx)
	if err != nil {
		return err
	}
	gaps, err := h.compareRuns(ctx, open, list)
	if err != nil {
		return err
	}
	unclear, err := h.closeGaps(ctx, gaps, before)
	if err != nil {
		return err
	}
	if unclear { // whoever works on it needs to know when it was last seen
		return nil
	}
	return h.store.TouchUsage(ctx, now)
}

// writeEnds writes the ends that were heard of before then and that no worker wrote. What the database does not take is kept for the next time.
func (h *Hub) writeEnds(ctx context.Context, then time.Time) error {
	ends := h.ledger.takeEnds(then)
	for key, end := range ends {
		if err := h.store.CloseRun(ctx, key, end.at, true, ""); err != nil {
			h.ledger.putBack(ends)
			return err
		}
		delete(ends, key)
	}
	return nil
}

// ledgerGaps are the differences between the ledger and what runs about which only rows can tell.
type ledgerGaps struct {
	unlisted  []RunKey           // open in the ledger, and the scheduler does not know the server
	unwritten []scheduler.Status // running, and not in the ledger
}

// compareRuns ends the runs that the scheduler says are over, and returns what else is different.
func (h *Hub) compareRuns(ctx context.Context, open []RunKey, list []scheduler.Status) (ledgerGaps, error) {
	status := byID(list)
	var gaps ledgerGaps
	known := make(map[RunKey]bool, len(open))
	for _, r := range open {
		known[r] = true
		st := status[r.ServerID]
		if st == nil {
			gaps.unlisted = append(gaps.unlisted, r)
			continue
		}
		if err := h.compareRun(ctx, r, *st); err != nil {
			return gaps, err
		}
	}
	for _, st := range list {
		if st.State == scheduler.Running && st.Instance != "" && !known[RunKey{st.ID, st.Generation, st.Instance}] {
			gaps.unwritten = append(gaps.unwritten, st)
		}
	}
	return gaps, nil
}

// compareRun ends a run that the scheduler says is over.
func (h *Hub) compareRun(ctx context.Context, r RunKey, st scheduler.Status) error {
	switch {
	case st.Generation == r.Generation && (st.Instance == r.Instance || st.Instance == ""):
		if st.State != scheduler.Dead {
			return nil
		}
		return h.store.CloseRun(ctx, r, orTime(st.Ended, h.now()), !st.Ended.IsZero(), whyEnded(st))
	case st.Generation < r.Generation: // an old list
		return nil
	}
	return h.store.CloseRun(ctx, r, orTime(st.Began, h.now()), false, "The server went on in another place.")
}

// closeGaps ends runs of which the scheduler knows nothing, and writes down those of which only it knows. A run whose row says that it is worked on is left to
// who works on it.
func (h *Hub) closeGaps(ctx context.Context, gaps ledgerGaps, before time.Time) (left bool, err error) {
	ids := make([]string, 0, len(gaps.unlisted)+len(gaps.unwritten))
	for _, r := range gaps.unlisted {
		ids = append(ids, r.ServerID)
	}
	for _, st := range gaps.unwritten {
		ids = append(ids, st.ID)
	}
	rows, err := h.activeRows(ctx, ids)
	if err != nil {
		return false, err
	}
	for _, r := range gaps.unlisted {
		if s, active := rows[r.ServerID]; active && s.Generation == r.Generation {
			left = true
			continue
		}
		if err := h.store.CloseRun(ctx, r, orTime(before, h.now()), false, "The server ended while no hub watched."); err != nil {
			return left, err
		}
	}
	for _, st := range gaps.unwritten {
		if s, active := rows[st.ID]; active && s.Generation == st.Generation {
			if err := h.store.OpenRun(ctx, h.runOf(s, st)); err != nil {
				return left, err
			}
		}
	}
	return left, nil
}

// fewRows is up to how many rows are read one by one.
const fewRows = 20

// activeRows reads the rows of those of the servers that are active. If they are many, as after a hub that kept no ledger, it is one list of all.
func (h *Hub) activeRows(ctx context.Context, ids []string) (map[string]Server, error) {
	rows := make(map[string]Server, len(ids))
	if len(ids) > fewRows {
		active, _, err := h.store.Servers(ctx, ServerQuery{States: []ServerState{Starting, Ready, Stopping}})
		for _, s := range active {
			rows[s.ID] = s
		}
		return rows, err
	}
	for _, id := range ids {
		s, err := h.store.ServerByID(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound): // nobody's
		case err != nil:
			return nil, err
		case s.Active():
			rows[id] = s
		}
	}
	return rows, nil
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

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
	for key, ended := range h.ledger.takeEnds(now.Add(-endPatience)) {
		if err := h.store.CloseRun(ctx, key, ended, true, ""); err != nil {
			return err
		}
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
	status := make(map[string]scheduler.Status, len(list))
	for _, st := range list {
		status[st.ID] = st
	}
	known, unclear := make(map[RunKey]bool, len(open)), false
	for _, r := range open {
		known[r.Key()] = true
		left, err := h.compareRun(ctx, r, status, before)
		if err != nil {
			return err
		}
		unclear = unclear || left
	}
	for _, st := range list {
		if st.State == scheduler.Running && st.Instance != "" && !known[RunKey{st.ID, st.Generation, st.Instance}] {
			if err := h.addRun(ctx, st); err != nil {
				return err
			}
		}
	}
	if unclear { // whoever works on it needs to know when it was last seen
		return nil
	}
	return h.store.TouchUsage(ctx, now)
}

// compareRun ends a run that the scheduler says is over. One that it does not know, and whose row says that it is worked on, is left to who works on it.
func (h *Hub) compareRun(ctx context.Context, r UsageRun, status map[string]scheduler.Status, before time.Time) (left bool, err error) {
	st, listed := status[r.ServerID]
	switch {
	case listed && st.Generation == r.Generation && (st.Instance == r.Instance || st.Instance == ""):
		if st.State != scheduler.Dead {
			return false, nil
		}
		return false, h.store.CloseRun(ctx, r.Key(), orTime(st.Ended, h.now()), !st.Ended.IsZero(), whyEnded(st))
	case listed && st.Generation < r.Generation: // an old list
		return false, nil
	case listed:
		return false, h.store.CloseRun(ctx, r.Key(), orTime(st.Began, h.now()), false, "The server went on in another place.")
	}
	s, err := h.store.ServerByID(ctx, r.ServerID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if err == nil && s.Active() && s.Generation == r.Generation {
		return true, nil
	}
	return false, h.store.CloseRun(ctx, r.Key(), orTime(before, h.now()), false, "The server ended while no hub watched.")
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// addRun writes down a run of which only the scheduler knows.
func (h *Hub) addRun(ctx context.Context, st scheduler.Status) error {
	s, err := h.store.ServerByID(ctx, st.ID)
	if errors.Is(err, ErrNotFound) {
		return nil // nobody's
	}
	if err != nil || s.Generation != st.Generation || !s.Active() {
		return err
	}
	return h.store.OpenRun(ctx, h.runOf(s, st))
}

package hub

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// backfillMemory is what the elected replica knows of starts that might go past others.
type backfillMemory struct {
	last  time.Time
	asked map[string]time.Time // by start
}

// backfill finds a start that waits for a full node pool and fits nevertheless, such as a small one behind a large one. It is let past the others, unless the
// first of them has waited for so long that what becomes free should be its own. Only the elected replica looks, and one start at a time: what is
// let through changes what fits.
func (h *Hub) backfill(ctx context.Context, view queueView) []string {
	now := h.now()
	m := &h.queue.past
	if h.planner() == nil || !h.control.isElected() || now.Sub(m.last) < backfillPause {
		return nil
	}
	m.last = now
	asked := map[string]time.Time{}
	looked := 0
	tried := map[string]bool{} // profiles and pools of which one did not fit
	for _, t := range view.turns {
		if before, ok := m.asked[t.id]; ok && now.Sub(before) < backfillAgain {
			asked[t.id] = before
			continue
		}
		first := view.lanes[t.pool].first
		if t.hold.barrier != barrierPool || !first.IsZero() && now.Sub(first) > maxBackfill || looked == backfillLooks {
			continue
		}
		looked++
		s, err := h.store.ServerByID(ctx, t.id)
		if err != nil || !s.waits() || len(tried) == backfillPlans || tried[s.Profile+"\x00"+s.Held.pool()] {
			continue
		}
		asked[t.id] = now
		if h.fitsNow(ctx, s) {
			m.asked = asked
			return []string{t.id}
		}
		tried[s.Profile+"\x00"+s.Held.pool()] = true
	}
	m.asked = asked
	return nil
}

func (o *Held) pool() string {
	if o == nil {
		return ""
	}
	return o.Pool
}

// fitsNow asks the cluster itself, since an answer of some seconds ago may be about room that was given away.
func (h *Hub) fitsNow(ctx context.Context, s Server) bool {
	u, err := h.store.UserByID(ctx, s.UserID)
	if err != nil {
		return false
	}
	c, err := h.choose(u, s, nil)
	if err != nil {
		return true // its start tells why it cannot be
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	f, err := h.forecasts.ask(ctx, planSpec(c))
	if err != nil {
		h.log.DebugContext(ctx, "no forecast for a start that waits", "server_id", s.ID, "err", err)
	}
	return err == nil && f.Verdict == scheduler.FitsNow
}

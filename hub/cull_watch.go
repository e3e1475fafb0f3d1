package hub

import (
	"context"
	"time"
)

const (
	// watchInterval is how often a replica says that what its proxy saw is written.
	watchInterval = 10 * time.Second
	// watchGap is the longest time without writing that is still no gap.
	watchGap = 30 * time.Second
	// watchForget is after how long a replica that says nothing is taken for dead. Until then nothing counts as idle, since its proxy may still be
	// carrying what nobody else sees. From then on activity is watched anew: its users come by other proxies now, or, if it only cannot reach the
	// database, their servers report for themselves within one interval.
	watchForget = time.Minute
)

// activityWatch is what this replica says about its own proxy: until when all it saw is written, and since when that is so without a gap.
type activityWatch struct {
	replica           string
	began, last, told time.Time
}

// watched is called once a second, by one goroutine, with whether all activity was written. What a database that was away did not take is written
// later and not lost; but servers could not report either in that time, so watching begins anew.
func (h *Hub) watched(ctx context.Context, written bool) {
	w := &h.watch
	now := h.now()
	if !written || h.culling.Load() == nil {
		return
	}
	if now.Sub(w.last) > watchGap {
		w.began = now
	}
	w.last = now
	if now.Sub(w.told) < watchInterval && w.began.Before(w.told) {
		return
	}
	if err := h.store.WatchActivity(ctx, w.replica, w.began, now); err != nil {
		if ctx.Err() == nil {
			h.log.WarnContext(ctx, "not written that activity is watched; nothing counts as idle until it is", "err", err)
		}
		return
	}
	w.told = now
}

// unwatch says that the proxy of this replica has ended, and that all it saw is written.
func (h *Hub) unwatch(ctx context.Context) {
	if h.watch.told.IsZero() {
		return
	}
	if err := h.store.UnwatchActivity(ctx, h.watch.replica); err != nil {
		h.log.WarnContext(ctx, "not written that this proxy ended; nothing counts as idle until it is taken for dead", "err", err)
	}
}

// watchedSince is since when what all proxies saw is known without a gap; zero: it is not.
func (h *Hub) watchedSince(ctx context.Context, now time.Time) (time.Time, error) {
	began, seen, err := h.store.ActivityWatched(ctx, now, watchForget)
	if err != nil || now.Sub(seen) > watchGap {
		return time.Time{}, err
	}
	return began, nil
}

package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// rowWatch wakes who waits for a server when its row changes, whichever replica wrote it. However many wait, it asks the database once per
// interval, and only of servers that somebody waits for.
type rowWatch struct {
	h  *Hub
	mu sync.Mutex
	of map[string]*watchedRow
}

type watchedRow struct {
	waiters  int
	revision int64 // the last that a waiter read; -1: none yet
}

func (w *rowWatch) init(h *Hub) { w.h, w.of = h, map[string]*watchedRow{} }

// watch has waiters for the server woken until the returned function is called.
func (w *rowWatch) watch(id string) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row := w.of[id]
	if row == nil {
		row = &watchedRow{revision: -1}
		w.of[id] = row
	}
	row.waiters++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if row.waiters--; row.waiters == 0 {
			delete(w.of, id)
		}
	}
}

// saw notes what a waiter has read.
func (w *rowWatch) saw(s Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if row := w.of[s.ID]; row != nil {
		row.revision = max(row.revision, s.Revision)
	}
}

func (w *rowWatch) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.of))
}

// run looks at the rows until ctx ends.
func (w *rowWatch) run(ctx context.Context) error {
	tick := time.NewTicker(awaitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		ids := w.ids()
		if len(ids) == 0 {
			continue
		}
		now, err := w.h.store.Revisions(ctx, ids)
		if err != nil {
			if ctx.Err() == nil {
				w.h.log.WarnContext(ctx, "rows that are waited for could not be read, will be tried again", "err", err)
			}
			continue
		}
		for _, id := range w.changed(ids, now) {
			w.h.journals.touch(id)
		}
	}
}

// changed are those of the servers that are not as a waiter last saw them. What is gone is told once.
func (w *rowWatch) changed(ids []string, now map[string]int64) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, id := range ids {
		row := w.of[id]
		revision, there := now[id]
		if row != nil && (!there || revision != row.revision) {
			out = append(out, id)
		}
	}
	return out
}

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
	of map[string]map[*rowWaiter]bool // by server
}

// rowWaiter is one who waits for a server. What one of them has read says nothing of what the others know.
type rowWaiter struct {
	watch    *rowWatch
	id       string
	revision int64 // the last that it read; -1: none yet
}

func (w *rowWatch) init(h *Hub) { w.h, w.of = h, map[string]map[*rowWaiter]bool{} }

// join has somebody woken when the server's row is not what they read last, until they leave.
func (w *rowWatch) join(id string) *rowWaiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &rowWaiter{watch: w, id: id, revision: -1}
	if w.of[id] == nil {
		w.of[id] = map[*rowWaiter]bool{}
	}
	w.of[id][r] = true
	return r
}

func (r *rowWaiter) leave() {
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	delete(r.watch.of[r.id], r)
	if len(r.watch.of[r.id]) == 0 {
		delete(r.watch.of, r.id)
	}
}

// saw notes what was read.
func (r *rowWaiter) saw(s Server) {
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	r.revision = s.Revision
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

// changed are those of the servers of which somebody does not know the present row.
func (w *rowWatch) changed(ids []string, now map[string]int64) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, id := range ids {
		revision, there := now[id]
		for r := range w.of[id] {
			if !there || r.revision < revision {
				out = append(out, id)
				break
			}
		}
	}
	return out
}

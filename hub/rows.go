package hub

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// rowWatch wakes who waits for a server when its row changes, whichever replica wrote it. However many wait, it asks the database once per
// interval, and only of servers that somebody waits for.
type rowWatch struct {
	h  *Hub
	mu sync.Mutex
	of map[string]*rowWaiters // by server
}

// rowWaiters are those who wait for one server.
type rowWaiters struct {
	all map[*rowWaiter]bool
	// told is the revision of which all of them were woken last. They are woken once for each: who is woken and busy reads when it is not, and must not have the
	// others read again and again until then.
	told int64
}

// rowWaiter is one who waits for a server. What one of them has read says nothing of what the others know.
type rowWaiter struct {
	watch    *rowWatch
	id       string
	revision int64 // the last that it read; -1: none yet
}

func (w *rowWatch) init(h *Hub) { w.h, w.of = h, map[string]*rowWaiters{} }

// join has somebody woken when the server's row is not what they read last, until they leave.
func (w *rowWatch) join(id string) *rowWaiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &rowWaiter{watch: w, id: id, revision: -1}
	if w.of[id] == nil {
		w.of[id] = &rowWaiters{all: map[*rowWaiter]bool{}, told: -1}
	}
	w.of[id].all[r] = true
	return r
}

func (r *rowWaiter) leave() {
	r.watch.mu.Lock()
	all := r.watch.of[r.id].all
	delete(all, r)
	last := len(all) == 0
	if last {
		delete(r.watch.of, r.id)
	}
	r.watch.mu.Unlock()
	if last {
		r.watch.h.journals.left(r.id)
	}
}

// awaited tells whether anybody waits for the server.
func (w *rowWatch) awaited(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of[id] != nil
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
		w.h.journals.age(ids)
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

// rowGone stands for the revision of a row that is no more.
const rowGone = math.MaxInt64

// changed are those of the servers of which somebody does not know the present row, and has not been told of it.
func (w *rowWatch) changed(ids []string, now map[string]int64) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, id := range ids {
		waiters := w.of[id]
		if waiters == nil { // all left meanwhile
			continue
		}
		revision, there := now[id]
		if !there {
			revision = rowGone
		}
		if revision > waiters.told && waiters.behind(revision) {
			waiters.told = revision
			out = append(out, id)
		}
	}
	return out
}

// behind tells whether one of them has not read that revision.
func (w *rowWaiters) behind(revision int64) bool {
	for r := range w.all {
		if r.revision < revision {
			return true
		}
	}
	return false
}

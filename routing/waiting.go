package routing

import (
	"context"
	"fmt"
	"sync"
)

// waiting are those who wait for the route of one server. A change wakes those of its own servers and nobody else.
type waiting struct {
	mu sync.Mutex
	of map[string]*bell // by server ID
}

// bell rings once.
type bell struct {
	rung    chan struct{}
	waiters int
}

// hear returns the bell of the server's next change. Who no longer waits for it calls leave.
func (w *waiting) hear(server string) *bell {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.of[server]
	if b == nil {
		b = &bell{rung: make(chan struct{})}
		if w.of == nil {
			w.of = make(map[string]*bell)
		}
		w.of[server] = b
	}
	b.waiters++
	return b
}

func (w *waiting) leave(server string, b *bell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.waiters--; b.waiters == 0 && w.of[server] == b {
		delete(w.of, server)
	}
}

// tell rings for the servers whose routes changed. The table that shows it is already there.
func (w *waiting) tell(c changes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, entries := range [...][]*entry{c.removed, c.added} {
		for _, e := range entries {
			if b := w.of[e.Server]; b != nil {
				close(b.rung)
				delete(w.of, e.Server)
			}
		}
	}
}

// awaitServer returns when done says so of the current table, with what done returned, or with the context's error. It asks again whenever
// the server's route changed.
func (r *Router) awaitServer(ctx context.Context, server string, done func(*Table) (bool, error)) error {
	for {
		b := r.waiting.hear(server)
		yes, err := done(r.Table())
		if yes {
			r.waiting.leave(server, b)
			return err
		}
		for _, f := range r.sources {
			if seeker, ok := f.source.(Seeker); ok {
				seeker.Seek(server)
			}
		}
		select {
		case <-b.rung:
		case <-ctx.Done():
			r.waiting.leave(server, b)
			return fmt.Errorf("wait for a route: %w", context.Cause(ctx))
		}
	}
}

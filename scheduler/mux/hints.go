package mux

import (
	"sync"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxHints bounds what is remembered: about 100 bytes for each server.
const maxHints = 50_000

// hint is where a server was seen last.
type hint struct {
	place      int
	generation int64
	ended      bool // it was seen to be dead there
}

// hints spare questions. They may be wrong, and whoever follows one finds out.
type hints struct {
	mu   sync.Mutex
	last map[string]hint
}

// get returns the hint for a server.
func (h *hints) get(id string) (hint, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.last[id]
	return last, ok
}

// note remembers where a generation of a server was seen, unless a newer one was seen elsewhere.
func (h *hints) note(id string, place int, generation int64) {
	h.put(id, hint{place, generation, false})
}

// noteStatus is note, of what the place says of the server.
func (h *hints) noteStatus(place int, status scheduler.Status) {
	h.put(status.ID, hint{place, status.Generation, status.State == scheduler.Dead})
}

func (h *hints) put(id string, now hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.last[id]
	if known && last.generation > now.generation {
		return
	}
	if h.last == nil {
		h.last = map[string]hint{}
	}
	if !known && len(h.last) >= maxHints {
		for other := range h.last { // any
			delete(h.last, other)
			break
		}
	}
	h.last[id] = now
}

// forget drops what is known of a generation that is gone, and of older ones.
func (h *hints) forget(id string, generation int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last[id].generation <= generation {
		delete(h.last, id)
	}
}

package hub

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// held is what the hub remembers of so many servers that it has started and that run, in bytes for each.
func held(many int) (h *Hub, bytes uint64) {
	h = &Hub{now: time.Now}
	h.control.init(h)
	h.rows.init(h)
	h.journals.init(h.rows.awaited)
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	for i := range many {
		s := Server{ID: fmt.Sprintf("%036d", i), Generation: 1, Revision: 1, State: Starting, UserName: fmt.Sprint("user-", i), Held: &Held{Image: "lab:1", MemoryMB: 1024}}
		h.journals.wrote(s, 0, messageBegun)
		h.journals.mention(s, percentAccepted, "The server was handed to the scheduler.")
		s.Instance, s.Address = fmt.Sprintf("%036x", i), "10.0.0.1:20000"
		h.journals.wrote(s, percentPlaced, "The server has a place and is being started.")
		s.State, s.Revision = Ready, 3
		h.journals.wrote(s, 0, "")
		w := &worker{id: s.ID}
		w.run.opened = s.Instance
		h.control.leave(w, observation{
			server: s, now: time.Now(), published: true,
			status: &scheduler.Status{ID: s.ID, Generation: 1, Instance: s.Instance, State: scheduler.Running},
		})
		h.tell(scheduler.Event{ID: s.ID, Generation: 1, Message: "The server is healthy."})
	}
	return h, (inUse() - before) / uint64(many)
}

// TestOfServersThatRunOnlyAMarkIsKept: with ten thousand of them everything else adds up.
func TestOfServersThatRunOnlyAMarkIsKept(t *testing.T) {
	t.Parallel()
	const many = 100
	h, _ := held(many)
	if n := len(h.journals.of) + len(h.journals.older); n > 0 {
		t.Errorf("of %d servers that nobody watches there are %d journals", many, n)
	}
	if n := len(h.control.settled); n != many {
		t.Errorf("%d of %d servers are known to run as they should", n, many)
	}
	watcher := h.rows.join("watched")
	s := Server{ID: "watched", Generation: 1, State: Ready}
	h.journals.wrote(s, 0, "It is ready.")
	if told := h.journals.since(s.ID, 1, 0); len(told) != 1 {
		t.Errorf("who watches is told %+v", told)
	}
	watcher.leave()
	if n := len(h.journals.of) + len(h.journals.older); n > 0 {
		t.Errorf("%d journals are left when nobody watches any more", n)
	}
}

// BenchmarkHeld reports how much of the heap each server takes that was started here and runs.
func BenchmarkHeld(b *testing.B) {
	var bytes uint64
	for b.Loop() {
		var h *Hub
		h, bytes = held(10_000)
		runtime.KeepAlive(h)
	}
	b.ReportMetric(float64(bytes), "heap-B/server")
}

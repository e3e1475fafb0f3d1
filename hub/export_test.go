package hub

import "context"

// Workers is how many servers are worked on.
func Workers(h *Hub) int {
	h.control.mu.Lock()
	defer h.control.mu.Unlock()
	return len(h.control.workers)
}

// HoldDesk has starts stand at the desk until release is called.
func HoldDesk(h *Hub) (release func()) {
	h.queue.gate <- struct{}{}
	return func() { <-h.queue.gate }
}

// AtDesk is how many starts stand there.
func AtDesk(h *Hub) int {
	h.desk.mu.Lock()
	defer h.desk.mu.Unlock()
	return len(h.desk.waiting)
}

// Sweep compares all servers with what the scheduler runs once, as the elected replica does. The hub is not to run.
func (h *Hub) Sweep(ctx context.Context) error {
	h.control.setElected(true)
	_, err := h.control.sweep(ctx)
	return err
}

package hub

// Workers is how many servers are worked on.
func Workers(h *Hub) int {
	h.control.mu.Lock()
	defer h.control.mu.Unlock()
	return len(h.control.workers)
}

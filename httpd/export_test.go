package httpd

// Buckets is how many of those who asked are remembered.
func Buckets(t *Throttle) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.of) + len(t.older)
}

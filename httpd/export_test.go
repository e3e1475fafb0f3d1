package httpd

// Buckets is how many of those who asked are remembered.
func Buckets(t *Throttle) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.of) + len(t.older)
}

// Remembered is how many names, addresses and so on are remembered.
func Remembered(g *Guesses) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.names.size() + g.pairs.size() + g.known.size() + g.from.size() + g.tokens.size() + g.rightsOf.size()
}

package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// tally counts what is logged.
type tally struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *tally) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *tally) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// TestA08_AHugeNameFillsNoLog: whoever is not logged in can write as much into the log as one line holds, whatever they call themselves.
func TestA08_AHugeNameFillsNoLog(t *testing.T) {
	t.Parallel()
	var log tally
	b := newBench(t, func(s *setup) {
		logger := slog.New(slog.NewTextHandler(&log, nil))
		s.hub.Logger, s.pages.Logger = logger, logger
	})
	v := b.in(t).visit()
	f := v.get("/hub/login").want(http.StatusOK).form("login")
	for name, user := range map[string]string{
		"10 MB": strings.Repeat("x", 10<<20), "900 KB": strings.Repeat("x", 900<<10), "lines": strings.Repeat("x\n", 10_000), "a forged line": "x\ntime=2026-01-01 level=ERROR msg=forged",
	} {
		before := log.size()
		a := v.submit(f, credentials(user, "nope"))
		if a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", name, a.status)
		}
		log.mu.Lock()
		written := log.text.String()[before:]
		log.mu.Unlock()
		if len(written) > 1024 || strings.Count(written, "\n") > 2 || strings.Contains(written, "\ntime=2026-01-01") {
			t.Errorf("%s: %d bytes are logged: %.600s", name, len(written), written)
		}
	}
}

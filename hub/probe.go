package hub

import (
	"context"
	"net/http"
	"time"
)

const (
	// The pause between two questions is a sixteenth of the time since the first, within these bounds: a server is noticed at most that much
	// later than it answers, whether it needs a tenth of a second to boot or a minute.
	probeLeast   = 15 * time.Millisecond
	probeMost    = 500 * time.Millisecond
	probeShare   = 16
	probeTimeout = 5 * time.Second // of one question
)

// newProbeClient asks servers directly: no proxy from the environment, no redirect followed, no connection kept, since the address may soon be
// another server's.
func newProbeClient() *http.Client {
	return &http.Client{
		Timeout:       probeTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answers asks url again and again, with growing pauses, until it answers below 500. It gives up when ctx ends, or when something is known to have happened
// (wake), which the caller then looks at.
func answers(ctx context.Context, c *http.Client, url string, wake <-chan struct{}) bool {
	begun := time.Now()
	for {
		if answersOnce(ctx, c, url) {
			return true
		}
		t := time.NewTimer(min(max(time.Since(begun)/probeShare, probeLeast), probeMost))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-wake:
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

func answersOnce(ctx context.Context, c *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}

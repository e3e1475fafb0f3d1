package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// TestF30_OthersAreNeverRefused has a notebook ask with its token as fast as it can. It is told to wait, and how long; nobody else is, not even its owner with
// another token.
func TestF30_OthersAreNeverRefused(t *testing.T) {
	t.Parallel()
	const each = 40 // requests of everybody else, which is less than anybody may ask at once
	b := newBench(t)
	b.Sessions.Throttle = httpd.NewThrottle(1, 2*each, nil)
	s := b.Start("alice", "")
	notebook := b.ServerToken(s)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var hammers, others sync.WaitGroup
	var let, refused atomic.Int64
	held := make(chan struct{})
	isHeld := sync.OnceFunc(func() { close(held) })
	for range 4 {
		hammers.Go(func() {
			for ctx.Err() == nil {
				status, after, err := ask(ctx, b.Servers.URL+"/hub/api/users/alice", notebook)
				switch {
				case err != nil && ctx.Err() == nil:
					t.Errorf("the hub does not answer who asks too often: %v", err)
					return
				case status == http.StatusOK:
					let.Add(1)
				case status == http.StatusTooManyRequests:
					if seconds, err := strconv.Atoi(after); err != nil || seconds < 1 {
						t.Errorf("Retry-After is %q", after)
					}
					refused.Add(1)
					isHeld()
				}
			}
		})
	}
	awaitClosed(t, held)
	for who, token := range map[string]string{"alice": b.tokens["alice"], "bob": b.tokens["bob"], "root": b.tokens["root"]} {
		others.Go(func() {
			for range each {
				if status, _, err := ask(t.Context(), b.Servers.URL+"/hub/api/users/"+who, token); err != nil || status != http.StatusOK {
					t.Errorf("%s gets %d, %v", who, status, err)
					return
				}
			}
		})
	}
	others.Wait()
	cancel()
	hammers.Wait()
	t.Logf("of the one who hammers %d requests were answered and %d refused", let.Load(), refused.Load())
}

func ask(ctx context.Context, url, token string) (status int, retryAfter string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "token "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("ask: %w", err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Retry-After"), nil
}

func awaitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Patience)
	defer cancel()
	select {
	case <-c:
	case <-ctx.Done():
		t.Fatal("nobody was held back")
	}
}

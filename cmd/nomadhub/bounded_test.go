package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 3
	var open, worst atomic.Int64
	full, leave := make(chan struct{}), make(chan struct{})
	b := newBounded(roundTrip(func(r *http.Request) (*http.Response, error) {
		if staysOpen(r) {
			return &http.Response{StatusCode: http.StatusOK}, nil
		}
		n := open.Add(1)
		defer open.Add(-1)
		if n > worst.Load() {
			worst.Store(n)
		}
		if n == most {
			close(full)
		}
		<-leave
		return &http.Response{StatusCode: http.StatusOK}, nil
	}), most)
	ask := func(ctx context.Context, url string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader("x"))
		if err != nil {
			return err
		}
		_, err = b.RoundTrip(r)
		return err
	}
	var group sync.WaitGroup
	for range most {
		group.Go(func() {
			if err := ask(t.Context(), "http://nomad/v1/jobs"); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone, "http://nomad/v1/jobs"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request for which there is no place ended with %v", err)
	}
	for _, url := range []string{"http://nomad/v1/event/stream", "http://nomad/v1/client/fs/logs/x", "http://nomad/v1/jobs?index=7"} {
		if err := ask(t.Context(), url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	close(leave)
	group.Wait()
	if err := ask(t.Context(), "http://nomad/v1/jobs"); err == nil && worst.Load() > most {
		t.Errorf("%d requests at once", worst.Load())
	}
}

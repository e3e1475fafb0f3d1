package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// TestVisitorsWaitForRoutes has the API answer at once, and a visitor of a server when the routes are known.
func TestVisitorsWaitForRoutes(t *testing.T) {
	t.Parallel()
	known := make(chan struct{})
	h := held(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), "/base/hub/", known)
	ask := func(ctx context.Context, path string) int {
		w := httptest.NewRecorder()
		w.Code = 0
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		return w.Code
	}
	if got := ask(t.Context(), "/base/hub/api/user"); got != http.StatusTeapot {
		t.Errorf("the API answers %d", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := ask(gone, "/base/user/ada/"); got != 0 {
		t.Errorf("a visitor was answered %d before the routes were known", got)
	}
	var visitor sync.WaitGroup
	visitor.Go(func() {
		if got := ask(t.Context(), "/base/user/ada/"); got != http.StatusTeapot {
			t.Errorf("a visitor who waited got %d", got)
		}
	})
	close(known)
	visitor.Wait()
}

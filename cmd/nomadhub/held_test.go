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
	h := newHeld(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), "/base/hub/",
		func(path string) bool { return path == "/base/user/bob/" })
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
	var visitors sync.WaitGroup
	visit := func(path string) {
		visitors.Go(func() {
			if got := ask(t.Context(), path); got != http.StatusTeapot {
				t.Errorf("a visitor of %s who waited got %d", path, got)
			}
		})
	}
	visit("/base/user/bob/")
	close(h.table)
	visitors.Wait()
	if got := ask(gone, "/base/user/ada/"); got != 0 {
		t.Errorf("a visitor was answered %d before the route was known", got)
	}
	visit("/base/user/ada/")
	close(h.known)
	visitors.Wait()
}

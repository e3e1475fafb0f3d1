package httpd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/httpd"
)

// asker serves requests with a throttle, and counts what gets through.
func asker(t *testing.T, throttle *httpd.Throttle) (ask func(token string) *httptest.ResponseRecorder, through *sync.Map) {
	t.Helper()
	s := newSessions(t)
	s.Throttle = throttle
	through = &sync.Map{}
	g := httpd.Group{Render: httpd.RenderJSON, Log: discard()}
	handler := s.NeedCredential(g)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := through.LoadOrStore(httpd.Principal(r).User.Name, new(int))
		*n.(*int)++
	}))
	return func(token string) *httptest.ResponseRecorder {
		r := request("GET", "/hub/api/user")
		r.Header.Set("Authorization", "token "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}, through
}

func TestF30_ATokenThatAsksWithoutEndIsHeldBack(t *testing.T) {
	t.Parallel()
	throttle := httpd.NewThrottle(1, 10, nil) // so slow that what is refilled during the test does not matter
	ask, through := asker(t, throttle)
	refused := 0
	for range 500 {
		w := ask("t0ken")
		if w.Code != http.StatusTooManyRequests {
			continue
		}
		refused++
		if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || seconds < 1 {
			t.Fatalf("Retry-After is %q", w.Header().Get("Retry-After"))
		}
	}
	n, _ := through.Load("alice")
	if got := *n.(*int); got < 10 || got > 200 || refused != 500-got {
		t.Errorf("%d got through, %d were refused", got, refused)
	}
	if w := ask("another"); w.Code != http.StatusForbidden {
		t.Errorf("another token gets %d", w.Code)
	}
	throttle.Set(0, 0)
	for range 100 {
		if w := ask("t0ken"); w.Code != http.StatusOK {
			t.Fatalf("without a limit: %d", w.Code)
		}
	}
}

func TestF30_AUserWithManyTokensIsHeldBack(t *testing.T) {
	t.Parallel()
	ask, _ := asker(t, httpd.NewThrottle(1, 10, nil))
	refused := 0
	for i := range 500 {
		if w := ask(fmt.Sprintf("alice-%d", i)); w.Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("500 tokens of one user were never held back")
	}
}

func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	throttle := httpd.NewThrottle(1, 1, nil)
	ask, _ := asker(t, throttle)
	for i := range 50_000 {
		ask(strconv.Itoa(i))
	}
	if n := httpd.Buckets(throttle); n > 40_000 {
		t.Errorf("%d of those who asked are remembered", n)
	}
}

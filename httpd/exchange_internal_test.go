package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

type noteKey struct{}

// What is learnt of a request is in its one context, with what was there before, and the last word counts.
func TestExchange(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), noteKey{}, "before"))
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if r := With(req, noteKey{}, "plain"); r == req || r.Context().Value(noteKey{}) != "plain" || req.Context().Value(noteKey{}) != "before" {
		t.Error("a request without an exchange is changed")
	}
	rec := httptest.NewRecorder()
	Parts{Log: slog.New(slog.DiscardHandler)}.begun(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if ctx.Value(noteKey{}) != "before" {
			t.Error("what was known before is not known any more")
		}
		for _, what := range []string{"one", "two"} {
			if next := With(r, noteKey{}, what); next != r || ctx.Value(noteKey{}) != what {
				t.Errorf("%v is known, not %q", ctx.Value(noteKey{}), what)
			}
		}
		derived := r.WithContext(context.WithValue(ctx, noteKey{}, "three"))
		if next := With(derived, noteKey{}, "four"); next.Context().Value(noteKey{}) != "four" || ctx.Value(noteKey{}) != "two" {
			t.Error("what is known of a part of a request is known of all of it")
		}
		if chi.RouteContext(derived.Context()) == nil || middleware.GetReqID(derived.Context()) != rec.Header().Get("X-Request-Id") || exchangeOf(derived) == nil {
			t.Error("a context below it does not know the request")
		}
		cancel()
		if ctx.Err() == nil {
			t.Error("the request goes on when it was cancelled")
		}
	})).ServeHTTP(rec, req)
}

// Only proxies that are trusted are believed when they say for whom they ask.
func TestClientIP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted               []string
		peer, forwarded, want string
	}{
		"nobody is trusted":               {nil, "192.0.2.7:1234", "198.51.100.9", "192.0.2.7"},
		"a proxy that is trusted":         {[]string{"192.0.2.0/24"}, "192.0.2.7:1234", "198.51.100.9", "198.51.100.9"},
		"what its client claimed":         {[]string{"192.0.2.0/24"}, "192.0.2.7:1234", "203.0.113.1, 198.51.100.9", "198.51.100.9"},
		"somebody else":                   {[]string{"192.0.2.0/24"}, "203.0.113.5:1234", "198.51.100.9", "203.0.113.5"},
		"a trusted proxy that says junk":  {[]string{"192.0.2.0/24"}, "192.0.2.7:1234", "junk", ""},
		"an address that says IPv4 in v6": {nil, "[::ffff:192.0.2.7]:1234", "", "192.0.2.7"},
		"no address":                      {nil, "@", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			req.RemoteAddr = c.peer
			if c.forwarded != "" {
				req.Header.Set("X-Forwarded-For", c.forwarded)
			}
			Parts{Trusted: c.trusted}.begun(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got := ClientIPText(r); got != c.want {
					t.Errorf("it comes from %q, not %q", got, c.want)
				}
			})).ServeHTTP(httptest.NewRecorder(), req)
		})
	}
}

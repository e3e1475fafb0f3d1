package httpd_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// TestA37_NoHandlerReadsWithoutEnd: whatever a handler does with a body, what it gets of it is bounded. What goes to a user's server is not.
func TestA37_NoHandlerReadsWithoutEnd(t *testing.T) {
	t.Parallel()
	const sent = 3 << 20
	var got int64
	var trouble error
	swallow := func(_ http.ResponseWriter, r *http.Request) { got, trouble = io.Copy(io.Discard, r.Body) }
	mount := func(r chi.Router) { r.Post("/swallow", swallow) }
	public := httpd.NewRouters(httpd.Parts{
		URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081"), Pages: mount, API: mount, OAuth: mount, Proxy: http.HandlerFunc(swallow),
		RenderPage: httpd.RenderJSON, Log: slog.New(slog.DiscardHandler),
	}).Public
	for path, bounded := range map[string]bool{
		"/hub/swallow": true, "/hub/api/swallow": true, "/hub/api/oauth2/swallow": true, "/user/alice/swallow": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(strings.Repeat("x", sent)))
		public.ServeHTTP(httptest.NewRecorder(), r)
		_, tooLarge := errors.AsType[*http.MaxBytesError](trouble)
		if tooLarge != bounded || !bounded && got != sent || bounded && got > sent/2 {
			t.Errorf("%s: %d bytes, %v", path, got, trouble)
		}
	}
}

package httpd_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/httpd"
)

// nowhere is an answer that nobody reads.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }

// BenchmarkRequest is what surrounds every request to the API before and after its handler: the router, the middleware and the look at the token. What
// net/http does, and the database, are not in it.
func BenchmarkRequest(b *testing.B) {
	for name, level := range map[string]slog.Level{"info": slog.LevelInfo, "debug": slog.LevelDebug} {
		b.Run(name, func(b *testing.B) {
			h := benchmarked(b, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level}))) //nolint:sloglint // lines are made, as in production
			r := request(http.MethodPost, "/hub/api/users/user0000001/server")
			r.Header.Set("Authorization", "token t0ken")
			b.ReportAllocs()
			for b.Loop() {
				w := &nowhere{header: http.Header{}}
				if h.ServeHTTP(w, r); w.status != http.StatusCreated {
					b.Fatalf("answered with %d", w.status)
				}
			}
		})
	}
}

func benchmarked(b *testing.B, log *slog.Logger) http.Handler {
	s := newSessions(b)
	s.Throttle = httpd.NewThrottle(1<<30, 1<<30, nil)
	api := func(r chi.Router) {
		r.Use(s.NeedCredential(httpd.Group{Render: httpd.RenderJSON, Log: log}))
		r.Post("/users/{name}/server", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	}
	none := func(chi.Router) {}
	return httpd.NewRouters(httpd.Parts{
		URLs: s.URLs, API: api, OAuth: none, Pages: none, Proxy: http.NotFoundHandler(), RenderPage: httpd.RenderJSON, Log: log, Registerer: prometheus.NewRegistry(),
	}).Servers
}

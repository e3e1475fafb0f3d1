package httpd

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

// begun makes an exchange of the request, and names it with a number that nobody can guess or choose.
func (p Parts) begun(next http.Handler) http.Handler {
	clientIP := p.clientIP()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Context: r.Context(), id: rand.Text()[:12], clientIP: clientIP, route: chi.NewRouteContext()}
		w.Header().Set("X-Request-Id", x.id)
		next.ServeHTTP(w, r.WithContext(x))
	})
}

// Versioned says which JupyterHub we speak like. It is for what the hub answers itself, and not for what servers answer through it.
func Versioned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-JupyterHub-Version", hub.Version)
		h.Set("Access-Control-Allow-Headers", "accept, content-type, authorization")
		h.Set("X-Content-Type-Options", "nosniff")
		Alone(h)
		next.ServeHTTP(w, r)
	})
}

// bounded ends a body that is too large for any handler of ours, however that handler reads it: forms with files would else be written to the disk.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func (p Parts) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // the standard library's way to cut a connection
			}
			id := middleware.GetReqID(r.Context())
			p.Log.ErrorContext(r.Context(), "panic in a handler", "request_id", id, "panic", v, "stack", string(debug.Stack()))
			RenderJSON(w, r, Problem{Status: http.StatusInternalServerError, RequestID: id,
				Message: "Something went wrong inside the hub. Tell the administrator the request's number " + id + "."})
		}()
		next.ServeHTTP(w, r)
	})
}

type requestMetrics struct {
	seconds *prometheus.HistogramVec
	pages   pageMetrics
	root    string // the hub's own path, without the slash at its end
}

func newRequestMetrics(r prometheus.Registerer, root string) requestMetrics {
	m := requestMetrics{root: root, pages: newPageMetrics(r), seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jupyterhub_request_duration_seconds", Help: "Duration of requests to the hub itself.", Buckets: jupyterBuckets(),
	}, []string{"method", "handler", "code"})}
	if r != nil {
		r.MustRegister(m.seconds)
	}
	return m
}

var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true,
	http.MethodDelete: true, http.MethodOptions: true,
}

// observed logs and measures each request when it is done.
func (p Parts) observed(m requestMetrics) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			begun := time.Now()
			next.ServeHTTP(ww, r)
			took := time.Since(begun)
			m.observe(r.Method, chi.RouteContext(r.Context()).RoutePattern(), ww.Status(), took)
			if !p.Log.Enabled(r.Context(), slog.LevelDebug) {
				return
			}
			p.Log.LogAttrs(r.Context(), slog.LevelDebug, "request",
				slog.String("request_id", middleware.GetReqID(r.Context())), slog.String("method", r.Method), slog.String("path", loggable(r.URL.Path)),
				slog.Int("status", ww.Status()), slog.Duration("took", took), slog.String("client", ClientIPText(r)))
		})
	}
}

// loggable is a path without the credentials that two old addresses of the API have in theirs.
func loggable(path string) string {
	const holder = "/api/authorizations/"
	if before, _, found := strings.Cut(path, holder); found {
		return before + holder + "…"
	}
	return path
}

func (m requestMetrics) observe(method, pattern string, status int, took time.Duration) {
	if !knownMethods[method] {
		method = "other"
	}
	pattern = m.below(pattern)
	m.pages.observe(method, pattern, status, took)
	m.seconds.WithLabelValues(method, handlerName(pattern), strconv.Itoa(status)).Observe(took.Seconds())
}

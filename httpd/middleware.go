package httpd

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
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
		route, _ := idleRoutes.Get().(*chi.Context)
		route.Reset()
		x := &exchange{Context: r.Context(), id: rand.Text()[:12], clientIP: clientIP, route: route}
		w.Header()["X-Request-Id"] = []string{x.id}
		next.ServeHTTP(w, r.WithContext(x))
		idleRoutes.Put(route)
	})
}

// Versioned says which JupyterHub we speak like. It is for what the hub answers itself, and not for what servers answer through it.
func Versioned(next http.Handler) http.Handler {
	always := http.Header{}
	always.Set("X-JupyterHub-Version", hub.Version)
	always.Set("Access-Control-Allow-Headers", "accept, content-type, authorization")
	always.Set("X-Content-Type-Options", "nosniff")
	Alone(always)
	return WithHeaders(always)(next)
}

// WithHeaders has every answer begin with these headers. They are made once, and not for each answer.
func WithHeaders(always http.Header) func(http.Handler) http.Handler {
	type header struct {
		key    string
		values []string
	}
	var all []header
	for key, values := range always {
		all = append(all, header{key, slices.Clip(values)}) // who adds to one gets a list of their own
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for _, one := range all {
				h[one.key] = one.values
			}
			next.ServeHTTP(w, r)
		})
	}
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

	mu sync.RWMutex
	of map[requestKind][]prometheus.Observer // to find one by its labels takes longer than to tell it something
}

// requestKind is what requests are told apart by. There are as many as there are routes, with each method and status of theirs.
type requestKind struct {
	method, pattern string
	status          int
}

func newRequestMetrics(r prometheus.Registerer, root string) *requestMetrics {
	m := &requestMetrics{root: root, pages: newPageMetrics(r), of: map[requestKind][]prometheus.Observer{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
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
func (p Parts) observed(m *requestMetrics) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			begun := time.Now()
			next.ServeHTTP(ww, r)
			took := time.Since(begun)
			m.observe(r.Method, r.Pattern, ww.Status(), took)
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

func (m *requestMetrics) observe(method, pattern string, status int, took time.Duration) {
	if !knownMethods[method] {
		method = "other"
	}
	for _, each := range m.observers(requestKind{method, pattern, status}) {
		each.Observe(took.Seconds())
	}
}

func (m *requestMetrics) observers(kind requestKind) []prometheus.Observer {
	m.mu.RLock()
	all, known := m.of[kind]
	m.mu.RUnlock()
	if known {
		return all
	}
	pattern := strings.TrimPrefix(kind.pattern, m.root)
	all = []prometheus.Observer{m.seconds.WithLabelValues(kind.method, handlerName(pattern), strconv.Itoa(kind.status))}
	if page := m.pages.observer(kind.method, pattern, kind.status); page != nil {
		all = append(all, page)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[kind] = all
	return all
}

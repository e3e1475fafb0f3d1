package httpd

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/hub"
)

// Problem is an error as a person or a program may see it.
type Problem struct {
	Status    int    // of the HTTP answer
	Message   string // a sentence
	RequestID string // "": there is none to name
}

// json is JupyterHub's shape, with the request's ID beside it.
func (p Problem) json() map[string]any {
	m := map[string]any{"status": p.Status, "message": p.Message}
	if p.RequestID != "" {
		m["request_id"] = p.RequestID
	}
	return m
}

// Renderer shows a problem: as JSON below the API, as a page elsewhere.
type Renderer func(w http.ResponseWriter, r *http.Request, p Problem)

// RenderJSON shows a problem in JupyterHub's JSON shape.
func RenderJSON(w http.ResponseWriter, _ *http.Request, p Problem) {
	_ = JSON(w, p.Status, p.json())
}

// statusOf is the one table from kinds to HTTP.
func statusOf(k hub.Kind) int {
	switch k {
	case hub.Invalid:
		return http.StatusBadRequest
	case hub.Unauthenticated:
		return http.StatusUnauthorized
	case hub.Forbidden:
		return http.StatusForbidden
	case hub.NotFound:
		return http.StatusNotFound
	case hub.Conflict:
		return http.StatusConflict
	case hub.TooMany:
		return http.StatusTooManyRequests
	case hub.Unavailable:
		return http.StatusServiceUnavailable
	case hub.NotRunning:
		return http.StatusFailedDependency
	case hub.Internal:
	}
	return http.StatusInternalServerError
}

// Group makes handlers of one part of the hub: all its errors are shown by one Renderer and logged by one rule.
type Group struct {
	Render Renderer
	Log    *slog.Logger
}

// Do turns a HandlerFunc into an http.HandlerFunc.
func (g Group) Do(h HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			g.Fail(w, r, err)
		}
	}
}

// Fail shows err. A client's mistake is logged for debugging, ours with its cause.
func (g Group) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	kind := hub.KindOf(err)
	p := Problem{Status: statusOf(kind), RequestID: middleware.GetReqID(r.Context())}
	p.Message = "Something went wrong inside the hub. Try again; if it happens again, tell the administrator the request's number " + p.RequestID + "."
	if he, ok := errors.AsType[*hub.Error](err); ok {
		if he.Kind != hub.Internal {
			p.Message = he.Message
		}
		RetryAfter(w, he.RetryAfter)
	} else if kind == hub.NotFound {
		p.Message = "There is nothing at this address."
	} else if kind == hub.Conflict {
		p.Message = "Somebody changed the same thing at the same moment. Look again, then try again."
	}
	level := slog.LevelDebug
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	g.Log.Log(r.Context(), level, "request failed", "request_id", p.RequestID, "method", r.Method, "status", p.Status, "err", err)
	g.Render(w, r, p)
}

// RetryAfter tells a client how long to wait, in whole seconds; 0 tells nothing.
func RetryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

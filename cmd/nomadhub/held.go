package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// routesPatience is how long visitors of servers wait at a hub that has just started and does not know all routes yet.
const routesPatience = 10 * time.Second

// held has visitors of servers wait at a hub that has just started, so that nobody is told that a server does not run which only is not known yet. Who visits one whose
// route is there waits no longer than until the table is; the hub's own pages and its API answer at once.
type held struct {
	next    http.Handler
	ownPath string
	routed  func(path string) bool
	table   chan struct{} // closed once there is a whole table: before that a path may lead to what stands above the right server
	known   chan struct{} // closed once every server that ran is in it, or has turned out to have ended
}

func newHeld(next http.Handler, ownPath string, routed func(path string) bool) *held {
	return &held{next: next, ownPath: ownPath, routed: routed, table: make(chan struct{}), known: make(chan struct{})}
}

// ServeHTTP implements [http.Handler].
func (h *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, h.ownPath) && !h.await(r) {
		return
	}
	h.next.ServeHTTP(w, r)
}

// await returns false if the visitor left.
func (h *held) await(r *http.Request) bool {
	select {
	case <-h.known:
		return true
	case <-h.table:
		if h.routed(r.URL.EscapedPath()) {
			return true
		}
	case <-r.Context().Done():
		return false
	}
	select {
	case <-h.known:
		return true
	case <-r.Context().Done():
		return false
	}
}

// routed tells whether a path leads to a server.
func (a *assembly) routed(path string) bool {
	_, ok := a.routes.router.Table().Lookup(path)
	return ok
}

// awaitRoutes lets visitors through as their routes come to be known.
func (a *assembly) awaitRoutes(ctx context.Context, visitors *held) {
	defer close(visitors.known)
	wait, cancel := context.WithTimeout(ctx, routesPatience)
	defer cancel()
	err := a.routes.router.WaitReady(wait)
	if err == nil {
		close(visitors.table)
	}
	if err = errors.Join(err, a.hub.AwaitRoutes(wait)); err != nil && ctx.Err() == nil {
		a.log.Warn("serving before all routes are known", "err", err)
	}
}

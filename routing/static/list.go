package static

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/nomadhub/nomadhub/routing"
)

var _ routing.Source = (*List)(nil)

// List is a Source of routes that somebody keeps as a whole, such as those to services. It says nothing before it is set for the first time.
type List struct {
	mu      sync.Mutex
	routes  []routing.Route // nil: not set yet
	changed chan struct{}   // closed and replaced at each change
}

// NewList returns a list that is not set.
func NewList() *List { return &List{changed: make(chan struct{})} }

// Set replaces all routes. The same ones again change nothing.
func (l *List) Set(routes []routing.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.routes != nil && slices.Equal(l.routes, routes) {
		return
	}
	l.routes = append([]routing.Route{}, routes...)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *List) now() ([]routing.Route, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.routes, l.changed
}

// Routes implements [routing.Source].
func (l *List) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return func(yield func([]routing.Route, error) bool) {
		for {
			routes, changed := l.now()
			if routes != nil && !yield(slices.Clone(routes), nil) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Package static keeps bindings in this process: for a hub that is alone, and for routes that an operator wrote down.
package static

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

var (
	_ routing.Source    = (*Registry)(nil)
	_ routing.Publisher = (*Registry)(nil)
)

// markTTL is how long a withdrawal is remembered. It only has to outlive a Publish that is still on its way.
const markTTL = time.Hour

// Registry is a Source and a Publisher in one. What is published is in the next snapshot. The zero value is not usable; see New.
type Registry struct {
	mu       sync.Mutex
	bindings map[string]routing.Binding
	marks    map[string]mark
	changed  chan struct{} // closed and replaced at each change
}

// mark is what is left of a withdrawn binding.
type mark struct {
	routing.Binding
	expires time.Time
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{
		bindings: make(map[string]routing.Binding), marks: make(map[string]mark), changed: make(chan struct{}),
	}
}

// Publish implements [routing.Publisher].
func (r *Registry) Publish(_ context.Context, b routing.Binding) error {
	if err := b.Validate(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.marks[b.Server]; ok && !b.MayReplace(m.Binding) {
		return nil
	}
	old, ok := r.bindings[b.Server]
	if ok && (!b.MayReplace(old) || b == old) {
		return nil
	}
	delete(r.marks, b.Server)
	r.bindings[b.Server] = b
	r.notify()
	return nil
}

// Withdraw implements [routing.Publisher].
func (r *Registry) Withdraw(_ context.Context, server string, generation int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.bindings[server].Withdraw(generation)
	if _, known := r.bindings[server]; !known || !ok {
		return nil
	}
	now := time.Now()
	for id, old := range r.marks {
		if now.After(old.expires) {
			delete(r.marks, id)
		}
	}
	r.marks[server] = mark{Binding: m, expires: now.Add(markTTL)}
	delete(r.bindings, server)
	r.notify()
	return nil
}

func (r *Registry) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Routes implements [routing.Source].
func (r *Registry) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return func(yield func([]routing.Route, error) bool) {
		for {
			routes, changed := r.snapshot()
			if !yield(routes, nil) {
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

func (r *Registry) snapshot() ([]routing.Route, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	routes := make([]routing.Route, 0, len(r.bindings))
	for _, b := range r.bindings {
		routes = append(routes, b.Route())
	}
	return routes, r.changed
}

// Fixed is a source of routes that never change.
type Fixed []routing.Route

// Routes implements [routing.Source].
func (f Fixed) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return func(yield func([]routing.Route, error) bool) {
		if yield(slices.Clone(f), nil) {
			<-ctx.Done()
		}
	}
}

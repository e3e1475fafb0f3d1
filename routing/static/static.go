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
	_ routing.PartedSource = (*Registry)(nil)
	_ routing.Publisher    = (*Registry)(nil)
)

// markTTL is how long a withdrawal is remembered. It only has to outlive a Publish that is still on its way.
const markTTL = time.Hour

// Registry is a Source and a Publisher in one. What is published is in the next snapshot. The zero value is not usable; see New.
type Registry struct {
	mu      sync.Mutex
	parts   [routing.Shards]part
	marks   map[string]mark
	aging   []mark        // the marks that were made within markTTL, the oldest first; some are no longer in marks
	changes uint64        // how many there were
	changed chan struct{} // closed and replaced at each change
}

// part are the bindings of some servers, by the servers' IDs, so that a change yields some and not all.
type part struct {
	bindings map[string]routing.Binding
	changed  uint64 // the last change's number
}

// mark is what is left of a withdrawn binding.
type mark struct {
	routing.Binding
	expires time.Time
}

// New returns an empty registry.
func New() *Registry {
	r := &Registry{marks: make(map[string]mark), changed: make(chan struct{})}
	for i := range r.parts {
		r.parts[i].bindings = make(map[string]routing.Binding)
	}
	return r
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
	p := r.part(b.Server)
	old, ok := p.bindings[b.Server]
	if ok && (!b.MayReplace(old) || b == old) {
		return nil
	}
	delete(r.marks, b.Server)
	p.bindings[b.Server] = b
	r.notify(p)
	return nil
}

// Withdraw implements [routing.Publisher].
func (r *Registry) Withdraw(_ context.Context, server string, generation int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.part(server)
	m, ok := p.bindings[server].Withdraw(generation)
	if _, known := p.bindings[server]; !known || !ok {
		return nil
	}
	r.mark(m, time.Now())
	delete(p.bindings, server)
	r.notify(p)
	return nil
}

// mark keeps the mark and forgets those that are too old.
func (r *Registry) mark(m routing.Binding, now time.Time) {
	for len(r.aging) > 0 && now.After(r.aging[0].expires) {
		if oldest := r.aging[0]; r.marks[oldest.Server] == oldest {
			delete(r.marks, oldest.Server)
		}
		r.aging = r.aging[1:]
	}
	made := mark{Binding: m, expires: now.Add(markTTL)}
	r.marks[m.Server], r.aging = made, append(r.aging, made)
}

func (r *Registry) part(server string) *part { return &r.parts[routing.Shard(server)] }

func (r *Registry) notify(p *part) {
	r.changes++
	p.changed = r.changes
	close(r.changed)
	r.changed = make(chan struct{})
}

// Routes implements [routing.Source].
func (r *Registry) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return routing.Whole(r.Parts(ctx))
}

// Parts implements [routing.PartedSource].
func (r *Registry) Parts(ctx context.Context) iter.Seq2[[]routing.Part, error] {
	return func(yield func([]routing.Part, error) bool) {
		told := uint64(0)
		for {
			parts, now, changed := r.since(told)
			if told = now; !yield(parts, nil) {
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

// since returns the parts that changed after the change of this number, the number of the last one, and what is closed at the next.
func (r *Registry) since(told uint64) ([]routing.Part, uint64, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := []routing.Part{}
	for i := range r.parts {
		p := &r.parts[i]
		if p.changed <= told {
			continue
		}
		routes := make([]routing.Route, 0, len(p.bindings))
		for _, b := range p.bindings {
			routes = append(routes, b.Route())
		}
		parts = append(parts, routing.Part{Number: i, Routes: routes})
	}
	return parts, r.changes, r.changed
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

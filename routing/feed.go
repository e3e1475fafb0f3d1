package routing

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"
)

var errSourceEnded = errors.New("routing: the source stopped; it is started again")

// feed holds the last good snapshot of one source, whatever happens to the source after.
type feed struct {
	name   string
	source Source
	log    *slog.Logger

	mu       sync.Mutex
	parts    map[int]int     // how many routes each part of the last good snapshot has
	routes   int             // their sum
	untold   map[int][]Route // parts that changed since take
	answered bool
	stale    time.Time // since when the snapshot may be wrong; zero: it is right
	err      error
}

// follow reads the source until ctx ends and calls news after each snapshot.
func (f *feed) follow(ctx context.Context, news func()) {
	f.mu.Lock()
	f.stale = time.Now() // nothing is known before the first answer
	f.mu.Unlock()
	for {
		first := true
		for parts, err := range f.read(ctx) {
			if parts != nil || err == nil {
				f.accept(parts, first, err)
				first = false
				news()
			}
			if err != nil {
				f.fail(err)
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.fail(errSourceEnded)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// read yields the source's snapshots; each of one that has no parts is a part by itself.
func (f *feed) read(ctx context.Context) iter.Seq2[[]Part, error] {
	if parted, ok := f.source.(PartedSource); ok {
		return parted.Parts(ctx)
	}
	return func(yield func([]Part, error) bool) {
		for routes, err := range f.source.Routes(ctx) {
			var parts []Part
			if routes != nil || err == nil {
				parts = []Part{{Routes: routes}}
			}
			if !yield(parts, err) {
				return
			}
		}
	}
}

// accept takes a snapshot, or what changed in it. One that comes with an error is the best that the source knows, and does not count as fresh.
func (f *feed) accept(parts []Part, whole bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if whole {
		for number := range f.parts {
			f.put(Part{Number: number})
		}
	}
	for _, p := range parts {
		f.put(p)
	}
	f.answered = true
	if err != nil {
		return
	}
	if f.err != nil {
		f.log.Info("routes are fresh again", "age", time.Since(f.stale), "routes", f.routes)
	}
	f.stale, f.err = time.Time{}, nil
}

func (f *feed) put(p Part) {
	if f.parts == nil {
		f.parts, f.untold = make(map[int]int), make(map[int][]Route)
	}
	f.routes += len(p.Routes) - f.parts[p.Number]
	f.parts[p.Number], f.untold[p.Number] = len(p.Routes), p.Routes
}

// fail keeps the snapshot. It logs the first error of a row only: a source that is away says so every few seconds.
func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.log.Warn("routes can no longer be refreshed; the last good ones stay in use", "routes", f.routes, "err", err)
	}
	f.err = err
	if f.stale.IsZero() {
		f.stale = time.Now()
	}
}

// take returns the parts that changed since it was last called.
func (f *feed) take() (changed map[int][]Route, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, f.untold = f.untold, make(map[int][]Route)
	return changed, f.answered
}

func (f *feed) status(now time.Time) SourceStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SourceStatus{Name: f.name, Answered: f.answered, Routes: f.routes, Err: f.err}
	if !f.stale.IsZero() {
		s.Age = now.Sub(f.stale)
	}
	return s
}

package routing

import (
	"context"
	"errors"
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
	routes   []Route
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
		for routes, err := range f.source.Routes(ctx) {
			if routes != nil || err == nil {
				f.accept(routes, err)
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

// accept takes a snapshot. One that comes with an error is the best that the source knows, and does not count as fresh.
func (f *feed) accept(routes []Route, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes, f.answered = routes, true
	if err != nil {
		return
	}
	if f.err != nil {
		f.log.Info("routes are fresh again", "age", time.Since(f.stale), "routes", len(routes))
	}
	f.stale, f.err = time.Time{}, nil
}

// fail keeps the snapshot. It logs the first error of a row only: a source that is away says so every few seconds.
func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.log.Warn("routes can no longer be refreshed; the last good ones stay in use", "routes", len(f.routes), "err", err)
	}
	f.err = err
	if f.stale.IsZero() {
		f.stale = time.Now()
	}
}

func (f *feed) snapshot() (routes []Route, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.routes, f.answered
}

func (f *feed) status(now time.Time) SourceStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := SourceStatus{Name: f.name, Answered: f.answered, Routes: len(f.routes), Err: f.err}
	if !f.stale.IsZero() {
		s.Age = now.Sub(f.stale)
	}
	return s
}

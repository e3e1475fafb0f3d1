package secret

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often a watched secret is read again.
const DefaultInterval = 10 * time.Second

// readTimeout bounds one read, so that a store that accepts and never answers cannot stop the watching.
const readTimeout = 10 * time.Second

// watch keeps one secret of a store in memory. It is what Ring and Cached have in common.
type watch struct {
	store    Store
	name     string
	interval time.Duration
	log      *slog.Logger
	apply    func(Secret) error // takes over a version, or refuses it

	reading  chan struct{} // holds one element while somebody reads: a lock that can be waited for with a deadline
	lastRead atomic.Pointer[time.Time]
}

func newWatch(store Store, name string, interval time.Duration, log *slog.Logger, apply func(Secret) error) *watch {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &watch{
		store: store, name: name, interval: cmp.Or(interval, DefaultInterval), log: log, apply: apply,
		reading: make(chan struct{}, 1),
	}
}

// refresh reads the secret and applies it. What was read before stays valid when it fails.
func (w *watch) refresh(ctx context.Context) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	defer w.unlock()
	return w.read(ctx)
}

func (w *watch) lock(ctx context.Context) error {
	select {
	case w.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("read secret %q: %w: %w", w.name, ErrUnavailable, ctx.Err())
	}
}

func (w *watch) unlock() { <-w.reading }

func (w *watch) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := w.store.Get(ctx, w.name)
	if err != nil {
		return fmt.Errorf("read secret %q: %w", w.name, err)
	}
	if err := w.apply(s); err != nil {
		return fmt.Errorf("read secret %q, version %d: %w", w.name, s.Version, err)
	}
	now := time.Now()
	w.lastRead.Store(&now)
	return nil
}

// refreshIfOlder reads the secret unless that was tried at most age ago: of many who ask at once, one asks the store.
func (w *watch) refreshIfOlder(ctx context.Context, age time.Duration, tried *time.Time) {
	if w.lock(ctx) != nil {
		return
	}
	defer w.unlock()
	if time.Since(*tried) < age {
		return
	}
	if err := w.read(ctx); err != nil {
		w.log.Warn("secret not read, the last good version stays in use", "secret", w.name, "err", err)
	}
	*tried = time.Now()
}

func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := w.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !failing: // once per outage, not once per interval
			w.log.Warn("secret not read, the last good version stays in use", "secret", w.name, "err", err)
		case err == nil && failing:
			w.log.Info("secret read again", "secret", w.name)
		}
		failing = err != nil
	}
}

// LastRead is when the secret was last read successfully; zero if never. Its age is worth a metric.
func (w *watch) LastRead() time.Time {
	if t := w.lastRead.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

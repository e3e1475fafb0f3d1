package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	// maxAttempts bounds how often a transaction that lost against another is tried.
	maxAttempts = 12
	// firstDelay is the most that the first retry waits; it doubles up to maxDelay.
	firstDelay = 5 * time.Millisecond
	maxDelay   = 250 * time.Millisecond
)

// InTx runs fn in one transaction that behaves as if it were alone in the database. It is undone if fn fails, and fn runs
// again if it lost against another transaction, so fn has no side effects. fn uses only the store that it is handed: on
// SQLite, where one writes at a time, it would wait for itself on any other. Inside a transaction, InTx is a part of it
// that is undone by itself.
func (s *Store) InTx(ctx context.Context, fn func(hub.Store) error) error {
	return s.transact(ctx, s.db.isolation, false, func(tx *Store) error { return fn(tx) })
}

// atomic runs several statements of one method, all or none. The default isolation is enough for them, as they rely on keys
// and not on what they read.
func (s *Store) atomic(ctx context.Context, fn func(tx *Store) error) error {
	return s.transact(ctx, sql.LevelDefault, false, fn)
}

// guarded runs a statement that may find a key taken. Inside a transaction it is a part of its own, because Postgres refuses
// everything in a transaction after an error, until it is undone to before it.
func (s *Store) guarded(ctx context.Context, fn func(tx *Store) error) error {
	if s.depth == 0 {
		return fn(s)
	}
	return s.savepoint(ctx, fn)
}

func (s *Store) transact(ctx context.Context, level sql.IsolationLevel, urgent bool, fn func(tx *Store) error) error {
	if s.depth > 0 {
		return s.savepoint(ctx, fn)
	}
	return s.retry(ctx, "run a transaction", func() error {
		done, err := s.db.turns.take(ctx, urgent)
		if err != nil {
			return err
		}
		defer done()
		tx, err := s.db.begin(ctx, level)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after a commit this does nothing; it also runs if fn panics
		users := &atomic.Bool{}
		if err := fn(&Store{db: s.db, read: tx, write: tx, depth: 1, users: users}); err != nil {
			return &innerError{err}
		}
		if users.Load() {
			defer s.db.places.forget() // also if it is not known whether the commit took place
		}
		return tx.Commit()
	})
}

// savepoint runs fn as a part of the transaction that can be undone by itself.
func (s *Store) savepoint(ctx context.Context, fn func(tx *Store) error) error {
	name := fmt.Sprintf("part_%d", s.depth)
	if _, err := s.exec(ctx, "begin a part", "SAVEPOINT "+name, nil); err != nil {
		return err
	}
	if err := fn(&Store{db: s.db, read: s.read, write: s.write, depth: s.depth + 1, users: s.users}); err != nil {
		_, undo := s.exec(ctx, "undo a part", "ROLLBACK TO SAVEPOINT "+name, nil)
		_, drop := s.exec(ctx, "end an undone part", "RELEASE SAVEPOINT "+name, nil)
		if undo != nil || drop != nil {
			// The transaction is lost; say why, and keep the reason that may make it run again.
			return errors.Join(err, undo, drop)
		}
		return err
	}
	_, err := s.exec(ctx, "end a part", "RELEASE SAVEPOINT "+name, nil)
	return err
}

// innerError marks an error that came from the function inside a transaction, and was explained there.
type innerError struct{ error }

func (e *innerError) Unwrap() error { return e.error }

// retry runs fn, and again if it lost against another transaction and left no trace. Within a transaction the whole of it has
// to run again, so the error is handed up. What is not a function's own error is explained by fail.
func (s *Store) retry(ctx context.Context, what string, fn func() error) error {
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil {
			return nil
		}
		if s.depth > 0 || attempt == maxAttempts || s.db.classify(err) != faultRetry || !pause(ctx, attempt) {
			if in, ok := errors.AsType[*innerError](err); ok {
				return in.error
			}
			if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w (%w)", cause, err) // SQLite only says that it was interrupted
			}
			return s.fail(what, err)
		}
		s.db.log.DebugContext(ctx, "database transaction runs again", "what", what, "attempt", attempt, "err", err)
	}
}

// pause waits a random while that grows with the attempts, so that rivals get out of step. It is false if ctx ended.
func pause(ctx context.Context, attempt int) bool {
	limit := min(firstDelay<<(attempt-1), maxDelay)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

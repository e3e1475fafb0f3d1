package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nomadhub/nomadhub/hub"
)

// querier runs statements: a pool, a connection or a transaction.
type querier interface {
	// exec returns how many rows a statement touched.
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (rows, error)
}

// rows are what a query found, gone through as [sql.Rows] are.
type rows interface {
	Next() bool
	scanner() (scanner, error)
	Err() error
	Close() error
}

// standard runs statements by database/sql.
type standard struct {
	of interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s standard) exec(ctx context.Context, query string, args []any) (int64, error) {
	result, err := s.of.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s standard) query(ctx context.Context, query string, args []any) (rows, error) {
	found, err := s.of.QueryContext(ctx, query, args...) //nolint:rowserrcheck // whoever asked does
	if err != nil {
		return nil, err
	}
	return standardRows{found}, nil
}

// args are the values of $1, $2, … in a query.
type args []any

// list is a value that reaches the query as a JSON array of arrays of one text each; in SQL:
//
//	SELECT value->>0 FROM <dialect.elements>($1)
//
// It is one parameter however long it is, and one text of the query for all lengths.
type list []string

// errText refuses text that Postgres cannot store, on both databases alike.
var errText = hub.Errorf(hub.Invalid, "The text contains a NUL or bytes that are not UTF-8, and cannot be stored.")

// values returns the arguments as the drivers take them, or errText.
func (a args) values() ([]any, error) {
	out := a
	for i, v := range a {
		switch v := v.(type) {
		case string:
			if !storable(v) {
				return nil, errText
			}
		case list:
			text, err := v.json()
			if err != nil {
				return nil, err
			}
			if &out[0] == &a[0] {
				out = slices.Clone(a) // the arguments are whoever's who made them
			}
			out[i] = text
		}
	}
	return out, nil
}

func (l list) json() (string, error) {
	rows := make([][1]string, len(l))
	for i, text := range l {
		if !storable(text) {
			return "", errText
		}
		rows[i] = [1]string{text}
	}
	b, err := json.Marshal(rows)
	return string(b), err
}

func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// way is how a statement reaches the database.
type way struct {
	kind int
	rows int // how many rows there probably are; 0: nobody knows
}

const (
	searches = iota
	looksUp
	glances
	changes
)

var (
	search = way{kind: searches}         // reads what may be many rows
	lookup = way{kind: looksUp, rows: 1} // reads one row by a key
	change = way{kind: changes}          // writes
)

// manyRows is what takes milliseconds to read.
const manyRows = 1000

// glance reads up to so many rows by their keys; 0: nobody knows how many.
func glance(rows int) way {
	if rows <= 0 || rows > manyRows {
		return search
	}
	return way{kind: glances, rows: rows}
}

// reach returns where a statement is to run and with which context, once it may run there.
//
// A lookup on SQLite goes to the connection that writes if nobody uses it at this moment: that one keeps the pages that it has read, while the others have to read
// them again after each write. One on Postgres travels with others.
func (s *Store) reach(ctx context.Context, w way) (q querier, run context.Context, done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, nil, err
	}
	if s.depth > 0 {
		return s.write, s.db.brief(ctx), func() {}, nil
	}
	switch w.kind {
	case changes:
		done, err := s.db.turns.take(ctx, false)
		return s.write, s.db.brief(ctx), done, err
	case looksUp:
		if s.lookups != nil {
			return s.lookups, ctx, func() {}, nil
		}
		if done, ok := s.db.turns.try(); ok {
			return s.write, s.db.brief(ctx), done, nil
		}
	case searches:
		return s.read, ctx, func() {}, nil
	}
	if _, ok := s.read.(standard); !ok {
		return s.read, ctx, func() {}, nil
	}
	conn, err := s.db.reader.Conn(ctx) // the wait for one ends with the context; what then takes microseconds does not
	if err != nil {
		return nil, nil, nil, err
	}
	return standard{conn}, s.db.brief(ctx), func() { _ = conn.Close() }, nil // it only goes back to the pool
}

// exec runs a statement that returns no rows and says how many it touched.
func (s *Store) exec(ctx context.Context, what, query string, a args) (int, error) {
	values, err := a.values()
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", what, err)
	}
	var touched int64
	err = s.retry(ctx, what, func() error {
		q, run, done, err := s.reach(ctx, change)
		if err != nil {
			return err
		}
		defer done()
		touched, err = q.exec(run, query, values)
		return err
	})
	return int(touched), err
}

// mustWrite runs a statement that writes a row unless there is one already, which is hub.ErrExists.
func (s *Store) mustWrite(ctx context.Context, what, query string, a args) error {
	n, err := s.exec(ctx, what, query, a)
	if err == nil && n == 0 {
		err = fmt.Errorf("store: %s: %w", what, hub.ErrExists)
	}
	return err
}

// one reads the only row of a query into dest. It is hub.ErrNotFound if there is none.
func (s *Store) one(ctx context.Context, what, query string, a args, dest ...any) error {
	return s.sole(ctx, search, what, query, a, dest)
}

// byKey is one for a query that finds its row by a key.
func (s *Store) byKey(ctx context.Context, what, query string, a args, dest ...any) error {
	return s.sole(ctx, lookup, what, query, a, dest)
}

// returning runs a statement that writes one row at most, and reads what it returns into dest. It is hub.ErrNotFound if it
// wrote none.
func (s *Store) returning(ctx context.Context, what, query string, a args, dest ...any) error {
	return s.sole(ctx, change, what, query, a, dest)
}

func (s *Store) sole(ctx context.Context, w way, what, query string, a args, dest []any) error {
	values, err := a.values()
	if errors.Is(err, errText) && w.kind != changes {
		return &noRowError{what} // what cannot be stored is nowhere
	}
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	rows, err := fetch(ctx, s, w, nil, what, query, values, func(scan scanner) (struct{}, error) { return struct{}{}, scan(dest...) })
	if err == nil && len(rows) == 0 {
		err = &noRowError{what}
	}
	return err
}

// all reads the rows of a query that only reads.
func all[T any](ctx context.Context, s *Store, what, query string, a args, row func(scanner) (T, error)) ([]T, error) {
	return few(ctx, s, search, nil, what, query, a, row)
}

// few is all, in a way of choice. The rows take the place of what is in the list, if there is one.
func few[T any](ctx context.Context, s *Store, w way, into []T, what, query string, a args, row func(scanner) (T, error)) ([]T, error) {
	values, err := a.values()
	if errors.Is(err, errText) {
		return into[:0], nil // what cannot be stored is nowhere
	}
	if err != nil {
		return into[:0], fmt.Errorf("store: %s: %w", what, err)
	}
	return fetch(ctx, s, w, into, what, query, values, row)
}

func fetch[T any](ctx context.Context, s *Store, w way, into []T, what, query string, values []any, row func(scanner) (T, error)) ([]T, error) {
	err := s.retry(ctx, what, func() error {
		into = into[:0]
		q, run, done, err := s.reach(ctx, w)
		if err != nil {
			return err
		}
		defer done()
		rows, err := q.query(run, query, values)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // Err tells what went wrong
		scan, err := rows.scanner()
		if err != nil {
			return err
		}
		for rows.Next() {
			v, err := row(scan)
			if err != nil {
				return err
			}
			if into == nil {
				into = make([]T, 0, w.rows)
			}
			into = append(into, v)
		}
		return rows.Err()
	})
	return into, err
}

// noRowError is a query's having found nothing.
type noRowError struct{ what string }

func (e *noRowError) Error() string { return "store: " + e.what + ": " + hub.ErrNotFound.Error() }

func (e *noRowError) Unwrap() error { return hub.ErrNotFound }

// isNothing tells whether a query found no row, as opposed to a reference that points at none.
func isNothing(err error) bool {
	_, nothing := errors.AsType[*noRowError](err)
	return nothing
}

// fail turns an error of a driver into what the contract promises. The cause stays in the chain.
func (s *Store) fail(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("store: %s: %w", what, err) // the caller's wish
	}
	switch s.db.classify(err) {
	case faultExists:
		return fmt.Errorf("store: %s: %w (%w)", what, hub.ErrExists, err)
	case faultMissing:
		return fmt.Errorf("store: %s: what it belongs to: %w (%w)", what, hub.ErrNotFound, err)
	case faultRetry:
		return unavailable("The hub's database is very busy. Please try again.", what, err)
	case faultAway:
		return unavailable("The hub cannot reach its database at the moment. Please try again in a few seconds.", what, err)
	case faultOther:
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return unavailable("The hub's database did not answer in time. Please try again in a few seconds.", what, err)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

func unavailable(sentence, what string, err error) error {
	return &hub.Error{
		Kind: hub.Unavailable, Message: sentence, RetryAfter: 2 * time.Second, Err: fmt.Errorf("store: %s: %w", what, err),
	}
}

// Package store keeps the hub's intent in SQL: it is [hub.Store] for SQLite, which the embedded form uses, and for Postgres.
//
// There is one text for each query, which both databases understand; a small dialect holds what truly differs. Each file has the
// concept's name that its contract has in package hub. How a call travels:
//
//	CreateUser ─► transact ─► exec ─► retry ─┬─► database/sql ─► modernc.org/sqlite: one writer, several readers
//	 (user.go)    (tx.go)   (query.go)       └─► pgx: a pool that notices dead connections (pool.go),
//	                                             and on which lookups travel together (together.go)
//	                          └─► errors by code: hub.ErrNotFound, ErrExists, or a sentence for what is away
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

var _ hub.Store = (*Store)(nil)

// Options say which database to use and how.
type Options struct {
	// DSN names the database:
	//
	//	postgres://user:password@host:5432/database?sslmode=verify-full   all that libpq knows, and pool_max_conns
	//	sqlite:///var/lib/nomadhub/hub.db                                 an absolute path, taken literally
	//	sqlite:hub.db                                                     a path relative to the working folder
	//	sqlite::memory:                                                   gone with the store; for tests
	DSN string
	// MaxConns bounds how many connections are open at once; 0: 16 for Postgres, one for each processor and no less than
	// four for SQLite's readers.
	MaxConns int
	// Logger gets migrations and retries; nil: nobody does.
	Logger *slog.Logger
	// Now is the clock by which leases end; nil: the database server's, which all replicas share.
	Now func() time.Time
}

// Store is a [hub.Store] in SQL. It is safe for use by many goroutines.
type Store struct {
	db *database
	// read and write are where statements go: the pools, or both the transaction.
	read, write querier
	// lookups is where lookups go outside of transactions; nil: to none of their own.
	lookups querier
	// depth is how many transactions this store is inside: 0 for none, more than 1 for savepoints.
	depth int
	// users is set in a transaction in which users came or went.
	users *atomic.Bool
}

// database is what a store shares with the stores of its transactions.
type database struct {
	dialect
	// pool is Postgres, where several may write at once and contexts are watched while statements run, at no cost; nil for SQLite.
	pool *pool
	// reader, writer and turns are SQLite's.
	reader, writer *sql.DB
	turns          *turns
	log            *slog.Logger
	now            func() time.Time // nil: the database's clock
	places         places
	// userRow and userWithShares are the columns of [userColumns] as this database is asked for them, without and with what is shared with the user.
	userRow, userWithShares string
	// serverRows is the begin of a query for whole servers.
	serverRows string
}

// Open prepares the database that opts.DSN names. It makes no connection to Postgres yet, so that it also succeeds while the
// server is away, and it does not migrate: see [Store.Migrate]. An SQLite file is created if there is none.
func Open(ctx context.Context, opts Options) (*Store, error) {
	var db *database
	var err error
	scheme, rest, _ := strings.Cut(opts.DSN, ":")
	switch scheme {
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, opts)
	case "sqlite":
		var path string
		if path, err = sqlitePath(rest); err == nil {
			db, err = openSQLite(path, opts)
		}
	default:
		// The text is not repeated: it may hold a password.
		err = errors.New("a database URL begins with postgres:// or sqlite:, and this one does not")
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.log = opts.Logger
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	db.now = opts.Now
	db.serverRows = serverRows(db.dialect)
	db.userRow, db.userWithShares = db.row(userColumns(db.dialect, "NULL")), db.row(userColumns(db.dialect, sharedWith(db.dialect)))
	s := &Store{db: db, read: standard{db.reader}, write: standard{db.writer}}
	if db.pool != nil {
		s.read, s.write, s.lookups = db.pool, db.pool, newLookups(db.pool)
	}
	return s, nil
}

// sqlitePath returns the path in what follows "sqlite:".
func sqlitePath(rest string) (string, error) {
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return "", errors.New("a URL of an SQLite file is sqlite:///absolute/path or sqlite:relative/path")
		}
		path = after
	}
	if path == "" {
		return "", errors.New("the database URL names no file")
	}
	return path, nil
}

// Close ends all connections. Calls under way are waited for.
func (s *Store) Close() error {
	if s.db.pool != nil {
		s.db.pool.Close()
		return nil
	}
	err := s.db.writer.Close()
	if s.db.reader != s.db.writer {
		err = errors.Join(err, s.db.reader.Close())
	}
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.hasTable(ctx, "users")
	return err
}

func (s *Store) hasTable(ctx context.Context, name string) (bool, error) {
	var n int
	err := s.one(ctx, "look for the table "+name, s.db.hasTable, args{name}, &n)
	return n > 0, err
}

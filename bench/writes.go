package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// writeCounter counts the transactions that wrote to a database, by what the database itself counts.
type writeCounter interface {
	// so is how many there were so far; only differences mean something.
	so(ctx context.Context) (float64, error)
	close()
}

// countWrites opens the counter of our database at that URL, which is in use.
func countWrites(ctx context.Context, dsn string) (writeCounter, error) {
	if !strings.HasPrefix(dsn, "sqlite:") {
		db, err := pgx.Connect(ctx, dsn)
		return postgresWrites{db}, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	index, err := os.Open(u.Path + "-shm")
	return sqliteLog{index}, err
}

// sqliteLog counts those of SQLite with a write-ahead log. The log's index begins with its version, four bytes of nothing, and the number of transactions (iChange of
// WalIndexHdr). The file stays open until the counter is closed: a process that closes any descriptor of it loses all locks that it has on it.
type sqliteLog struct{ index *os.File }

func (l sqliteLog) so(context.Context) (float64, error) {
	number := make([]byte, 4)
	_, err := l.index.ReadAt(number, 8)
	return float64(binary.NativeEndian.Uint32(number)), err
}

func (l sqliteLog) close() { _ = l.index.Close() }

// sqliteHeader counts those of SQLite without such a log: by the file change counter at offset 24. This process has no locks on the file.
type sqliteHeader struct{ path string }

func (h sqliteHeader) so(context.Context) (float64, error) {
	file, err := os.Open(h.path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	head := make([]byte, 28)
	if _, err := file.ReadAt(head, 0); err != nil {
		return 0, err
	}
	if head[18] != 1 {
		return 0, fmt.Errorf("%s has a write-ahead log, and its changes are not counted in it", h.path)
	}
	return float64(binary.BigEndian.Uint32(head[24:])), nil
}

func (sqliteHeader) close() {}

// postgresWrites counts those of all databases of a Postgres: each that writes is given a number, and others none.
type postgresWrites struct{ db *pgx.Conn }

func (p postgresWrites) so(ctx context.Context) (n float64, err error) {
	err = p.db.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8").Scan(&n)
	return n, err
}

func (p postgresWrites) close() { _ = p.db.Close(context.Background()) }

const (
	// countedPosts are reported at countedRate a second, as by 10,000 servers each 50 seconds. In a rush more of them share a transaction.
	countedPosts = 1000
	countedRate  = 200
	// countedAfter is how long after the last one transactions still belong to them.
	countedAfter = 3 * time.Second
)

// transactions is how many transactions wrote to the database for 1,000 reports of activity, what the hub writes beside them included.
func (e examined) transactions(ctx context.Context) (float64, error) {
	before, err := e.counted.so(ctx)
	if err != nil {
		return 0, err
	}
	report := activity()
	var sent atomic.Int64
	within, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	paced(within, countedRate, func(i int, _ time.Time) {
		if i >= countedPosts {
			return
		}
		if err := e.ask(ctx, report, i%e.users); err != nil {
			enough(err)
		}
		if sent.Add(1) == countedPosts {
			enough(nil)
		}
	})
	if sent.Load() < countedPosts {
		return 0, fmt.Errorf("of %d reports of activity %d were made: %w", countedPosts, sent.Load(), context.Cause(within))
	}
	pause(ctx, countedAfter)
	after, err := e.counted.so(ctx)
	return after - before, err
}

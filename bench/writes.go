package main

import (
	"context"
	"encoding/binary"
	"errors"
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
	// during is how many there were while do went on.
	during(ctx context.Context, do func() error) (float64, error)
	close()
}

// growth is by how much a number grows while do goes on.
func growth(number func() (float64, error), do func() error) (float64, error) {
	before, err := number()
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := number()
	return after - before, err
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

func (l sqliteLog) during(_ context.Context, do func() error) (float64, error) {
	return growth(l.so, do)
}

func (l sqliteLog) so() (float64, error) {
	number := make([]byte, 4)
	_, err := l.index.ReadAt(number, 8)
	return float64(binary.NativeEndian.Uint32(number)), err
}

func (l sqliteLog) close() { _ = l.index.Close() }

// sqliteHeader counts those of SQLite without such a log: by the file change counter at offset 24. This process has no locks on the file.
type sqliteHeader struct{ path string }

func (h sqliteHeader) during(_ context.Context, do func() error) (float64, error) {
	return growth(h.so, do)
}

func (h sqliteHeader) so() (float64, error) {
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

// postgresWrites counts those of all databases of a Postgres: each that writes is given a number, as is each part of one that can be undone by itself, and others none. Nobody
// else may write meanwhile: hubs beside this one are held, and Postgres itself is kept from looking after tables, for which it takes numbers, too.
type postgresWrites struct{ db *pgx.Conn }

func (p postgresWrites) during(ctx context.Context, do func() error) (n float64, err error) {
	defer func() {
		err = errors.Join(err, p.configure(context.WithoutCancel(ctx), "ALTER SYSTEM RESET autovacuum"))
	}()
	if err := p.configure(ctx, "ALTER SYSTEM SET autovacuum = off"); err != nil {
		return 0, err
	}
	if err := p.awaitNoVacuum(ctx); err != nil {
		return 0, err
	}
	return growth(func() (n float64, err error) {
		err = p.db.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8").Scan(&n)
		return n, err
	}, do)
}

// configure changes a setting, which counts from now on.
func (p postgresWrites) configure(ctx context.Context, statement string) error {
	for _, s := range []string{statement, "SELECT pg_reload_conf()"} {
		if _, err := p.db.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// vacuumPatience is how long Postgres may still look after tables that it has begun with.
const vacuumPatience = time.Minute

// awaitNoVacuum waits until nothing of Postgres looks after tables.
func (p postgresWrites) awaitNoVacuum(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, vacuumPatience)
	defer cancel()
	for {
		var n int
		if err := p.db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum %'").Scan(&n); err != nil || n == 0 {
			return err
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("wait until Postgres has looked after its tables: %w", ctx.Err())
		}
	}
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
	return e.counted.during(ctx, func() error {
		err := e.reportAll(ctx)
		pause(ctx, countedAfter)
		return err
	})
}

// reportAll reports the activity of the users in turn, so many times and as fast as is counted.
func (e examined) reportAll(ctx context.Context) error {
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
		return fmt.Errorf("of %d reports of activity %d were made: %w", countedPosts, sent.Load(), context.Cause(within))
	}
	return nil
}

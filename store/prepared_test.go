package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/pgtest"
)

func openMigrated(t testing.TB, dsn string, conns int) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{DSN: dsn, MaxConns: conns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// kept returns the statements that the only connection of a pool keeps.
func kept(t *testing.T, db *sql.DB) map[string]*prepared {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var known map[string]*prepared
	err = conn.Raw(func(c any) error { known = c.(*preparedConn).known; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestSQLiteKeepsWhatItHasPrepared(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	const query = "SELECT count(*) FROM users WHERE id = $1"
	count := func(q interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}) {
		t.Helper()
		var n int
		if err := q.QueryRowContext(t.Context(), query, "nobody").Scan(&n); err != nil || n != 0 {
			t.Fatalf("%d, err %v", n, err)
		}
	}
	count(s.db.writer)
	first := kept(t, s.db.writer)[query]
	tx, err := s.db.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	count(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if again := kept(t, s.db.writer)[query]; first == nil || again != first || again.busy {
		t.Errorf("prepared %p, then %+v", first, again)
	}
	if kept(t, s.db.reader)[query] != nil {
		t.Error("connections share a statement")
	}
}

func TestSQLiteRunsAStatementInsideItself(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite::memory:", 0)
	tx, err := s.db.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	const query = "SELECT value FROM json_each($1)"
	var got []int
	outer, err := tx.QueryContext(t.Context(), query, "[1, 2, 3]")
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	for outer.Next() {
		var a, b int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(t.Context(), query, fmt.Sprintf("[%d]", 10*a)).Scan(&b); err != nil {
			t.Fatal(err)
		}
		got = append(got, a, b)
	}
	if err := outer.Err(); err != nil || !slices.Equal(got, []int{1, 10, 2, 20, 3, 30}) {
		t.Errorf("read %v, err %v", got, err)
	}
}

func TestSQLiteKeepsSoManyStatementsAndNoMore(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	for i := range maxPrepared + 50 {
		var n int
		if err := s.db.reader.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d", i)).Scan(&n); err != nil || n != i {
			t.Fatalf("%d, err %v", n, err)
		}
	}
	if n := len(kept(t, s.db.reader)); n != maxPrepared {
		t.Errorf("%d statements are kept", n)
	}
}

// A statement that failed, or that its caller gave up, is as good as new for the next.
func TestSQLiteStatementsSurviveFailures(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite::memory:", 0)
	const insert = "INSERT INTO groups (name) VALUES ($1) RETURNING id"
	add := func(ctx context.Context, name string) error {
		var id int
		return s.db.writer.QueryRowContext(ctx, insert, name).Scan(&id)
	}
	if err := add(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), "a"); s.db.classify(err) != faultExists {
		t.Errorf("the same name twice: %v", err)
	}
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT max(i) FROM n"
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var n int
	if err := s.db.writer.QueryRowContext(ctx, endless, int64(1)<<50).Scan(&n); err == nil {
		t.Error("an endless query ended")
	}
	if err := s.db.writer.QueryRowContext(t.Context(), endless, 5).Scan(&n); err != nil || n != 5 {
		t.Errorf("afterwards: %d, err %v", n, err)
	}
	if err := add(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	// A change of the schema, as a later migration makes it, is seen by statements from before.
	all := func() int {
		rows, err := s.db.writer.QueryContext(t.Context(), "SELECT * FROM groups")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil || !rows.Next() {
			t.Fatal(err, rows.Err())
		}
		return len(columns)
	}
	before := all()
	if _, err := s.db.writer.ExecContext(t.Context(), "ALTER TABLE groups ADD COLUMN colour TEXT"); err != nil {
		t.Fatal(err)
	}
	if after := all(); after != before+1 {
		t.Errorf("%d columns before, %d after", before, after)
	}
}

// What pgx prepares by itself stays prepared on its connection, inside transactions and out of them.
func TestPostgresKeepsWhatItHasPrepared(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, pgtest.New(t), 1)
	for range 3 {
		if _, err := s.UserByName(t.Context(), "nobody"); err == nil {
			t.Fatal("nobody is there")
		}
		err := s.atomic(t.Context(), func(tx *Store) error {
			if _, err := tx.UserByName(t.Context(), "nobody"); err == nil {
				t.Error("nobody is there")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var times int
	err := s.db.pool.QueryRow(t.Context(),
		"SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%FROM users u WHERE u.name = $1%' AND statement NOT LIKE '%pg_prepared%'").Scan(&times)
	if err != nil || times != 6 {
		t.Errorf("one statement was run %d times, want 6; err %v", times, err)
	}
}

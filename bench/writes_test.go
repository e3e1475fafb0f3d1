package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/store"
)

// testedWrites are so many writes, each in a transaction, and again so many in one.
const testedWrites = 7

// TestWrites holds that the counters count each transaction that writes, and none that does not.
func TestWrites(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		testWrites(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), testedWrites+1)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.NewServer(t).URL("postgres")      // its own, since it counts all databases of a server
		testWrites(t, dsn, testedWrites+1+testedWrites) // each of those in one transaction can be undone by itself
		awaitVacuum(t, dsn)
	})
}

func testWrites(t *testing.T, dsn string, want float64) {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	counted, err := countWrites(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer counted.close()
	n, err := counted.during(ctx, func() error { return writeSome(ctx, db, testedWrites) })
	if err != nil {
		t.Fatal(err)
	}
	if n != want {
		t.Errorf("%g transactions were counted, and %g were made", n, want)
	}
}

// writeSome makes users, each in a transaction, and reads them, and deletes all of them in one.
func writeSome(ctx context.Context, db *store.Store, writes int) error {
	var made []hub.User
	for i := range writes {
		u := newUser(userName(i), false)
		if err := db.CreateUser(ctx, u); err != nil {
			return err
		}
		if _, err := db.UserByName(ctx, u.Name); err != nil {
			return err
		}
		made = append(made, u)
	}
	return db.InTx(ctx, func(tx hub.Store) error {
		for _, u := range made {
			if err := tx.DeleteUser(ctx, u.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// awaitVacuum waits until Postgres looks after its tables again.
func awaitVacuum(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(ctx) }()
	for n := 0; n == 0; {
		if err := db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum launcher'").Scan(&n); err != nil {
			t.Fatal("it does not: ", err)
		}
	}
}

package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/nomadhub/nomadhub/store"
)

// migrateEnv makes this test binary migrate the database that it names, as a process of its own.
const migrateEnv = "STORE_TEST_MIGRATE"

func migrateChild(dsn string) int {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{DSN: dsn})
	if err == nil {
		err = errors.Join(s.Migrate(ctx), s.Ping(ctx), s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestMigrateTellsWhatIsPendingAndIsDoneOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := openOnly(t, store.Options{DSN: dsn})
		pending, err := s.Pending(t.Context())
		if err != nil || len(pending) == 0 || pending[0] != "0001_initial" {
			t.Fatalf("pending before: %v, err %v", pending, err)
		}
		for range 2 {
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if pending, err = s.Pending(t.Context()); err != nil || len(pending) != 0 {
				t.Fatalf("pending after: %v, err %v", pending, err)
			}
		}
	})
}

func TestManyMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 4 { // processes
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), migrateEnv+"="+dsn)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		for range 8 { // stores of one process
			wg.Go(func() {
				if err := openOnly(t, store.Options{DSN: dsn}).Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if pending, err := openOnly(t, store.Options{DSN: dsn}).Pending(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("pending after: %v, err %v", pending, err)
		}
	})
}

func TestMigrateRefusesADatabaseOfANewerVersion(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := open(t, store.Options{DSN: dsn})
		db := raw(t, dsn)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO schema_migrations VALUES (9999, '9999_future', 0)"); err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); !errors.Is(err, store.ErrNewerSchema) {
			t.Errorf("Migrate: %v", err)
		}
		if _, err := s.Pending(t.Context()); !errors.Is(err, store.ErrNewerSchema) {
			t.Errorf("Pending: %v", err)
		}
	})
}

// raw opens the database behind a store's back.
func raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, name := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite://"); ok {
		driver, name = "sqlite", "file:"+strings.NewReplacer("%", "%25", "#", "%23", "?", "%3f").Replace(path)
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/store"
	"github.com/nomadhub/nomadhub/store/storetest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(migrateEnv); dsn != "" {
		os.Exit(migrateChild(dsn))
	}
	os.Exit(pgtest.Main(m))
}

func TestSQLiteFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) hub.Store { return open(t, store.Options{DSN: sqliteFile(t)}) })
}

func TestSQLiteMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) hub.Store { return open(t, store.Options{DSN: "sqlite::memory:"}) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) hub.Store { return open(t, store.Options{DSN: pgtest.New(t)}) })
}

// eachDatabase runs a test on both databases, each time with the address of an empty one.
func eachDatabase(t *testing.T, run func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); run(t, sqliteFile(t)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); run(t, pgtest.New(t)) })
}

func sqliteFile(t *testing.T) string {
	t.Helper()
	// A folder whose name would mean something in a URI.
	dir := filepath.Join(t.TempDir(), "a b%20#?&c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + filepath.Join(dir, "hub.db")
}

// open returns a migrated store, closed at the end of the test.
func open(t *testing.T, opts store.Options) *store.Store {
	t.Helper()
	s := openOnly(t, opts)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func openOnly(t *testing.T, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

func TestSQLiteFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dsn := sqliteFile(t)
	s := open(t, store.Options{DSN: dsn})
	if err := s.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(dsn, "sqlite://")
	files, err := filepath.Glob(filepath.Dir(filepath.Dir(path)) + "/*/hub.db*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, err %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, err %v", file, info.Mode(), err)
		}
	}
}

func TestSQLiteSettingsHoldOnEveryConnection(t *testing.T) {
	t.Parallel()
	dsn := sqliteFile(t)
	one, two := open(t, store.Options{DSN: dsn}), open(t, store.Options{DSN: dsn})
	// A reader of the second store sees at once what the first one wrote, and its writer waits while the first is busy.
	err := one.InTx(t.Context(), func(tx hub.Store) error {
		if err := tx.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"}); err != nil {
			return err
		}
		_, _, err := two.Users(t.Context(), hub.UserQuery{}) // is not held up
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.UserByName(t.Context(), "ada"); err != nil {
		t.Error(err)
	}
	done := make(chan error, 1)
	err = one.InTx(t.Context(), func(tx hub.Store) error {
		go func() { done <- two.CreateUser(t.Context(), hub.User{ID: "2", Name: "bob"}) }()
		select {
		case err := <-done:
			t.Errorf("two writers at once: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		return tx.CreateUser(t.Context(), hub.User{ID: "3", Name: "eve"})
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSQLiteRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	s := open(t, store.Options{DSN: "sqlite:hub.db"})
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("hub.db"); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                              "postgres://",
		"mysql://u:hidden@h/d":          "postgres://",
		"sqlite:":                       "names no file",
		"sqlite://host/file":            "sqlite:///absolute",
		"sqlite:///no/such/folder/h.db": "folder must exist",
		"postgres://u:hidden@h:x/d":     "database URL",
	} {
		_, err := store.Open(t.Context(), store.Options{DSN: dsn})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestLeaseEndsByTheInjectedClock(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, dsn string) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := open(t, store.Options{DSN: dsn, Now: func() time.Time { return now }})
		acquire := func(holder string) (bool, int64) {
			held, fence, err := s.AcquireLease(t.Context(), "l", holder, 15*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return held, fence
		}
		steps := []struct {
			after  time.Duration
			holder string
			held   bool
			fence  int64
		}{
			{0, "a", true, 1},
			{14 * time.Second, "b", false, 0},
			{0, "a", true, 1}, // renewed
			{14 * time.Second, "b", false, 0},
			{time.Second - time.Microsecond, "b", false, 0},
			{time.Microsecond, "b", true, 2},
			{0, "a", false, 0},
			{time.Hour, "b", true, 2}, // late, but nobody had it meanwhile
		}
		for i, step := range steps {
			now = now.Add(step.after)
			if held, fence := acquire(step.holder); held != step.held || fence != step.fence {
				t.Errorf("step %d: held %v, fence %d; want %v, %d", i, held, fence, step.held, step.fence)
			}
		}
	})
}

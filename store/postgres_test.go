package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/store"
)

// A restart of Postgres breaks every pooled connection. None of them may reach a caller afterwards, not even once.
func TestPostgresRestartIsNotNoticedAfterwards(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	s := open(t, store.Options{DSN: server.URL("postgres"), MaxConns: 8})
	if err := s.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	everybody := func() (failures []error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		ready := make(chan struct{})
		for i := range 8 {
			wg.Go(func() {
				<-ready
				for range 20 {
					var err error
					if i%2 == 0 {
						_, err = s.UserByName(t.Context(), "ada")
					} else {
						err = s.RecordActivity(t.Context(), []hub.ActivityUpdate{{UserID: "1", Time: time.Now()}})
					}
					if err != nil {
						mu.Lock()
						failures = append(failures, err)
						mu.Unlock()
					}
				}
			})
		}
		close(ready)
		wg.Wait()
		return failures
	}
	for round := range 3 {
		if failures := everybody(); len(failures) > 0 {
			t.Fatalf("round %d: %d calls failed, the first with: %v", round, len(failures), failures[0])
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPostgresThatIsAwayIsUnavailableAndComesBack(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	s := open(t, store.Options{DSN: server.URL("postgres")})
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"Ping": func() error { return s.Ping(t.Context()) },
		"read": func() error { _, err := s.UserByName(t.Context(), "ada"); return err },
		"write": func() error {
			return s.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"})
		},
		"transaction": func() error { return s.InTx(t.Context(), func(hub.Store) error { return nil }) },
	}
	for name, call := range calls {
		began := time.Now()
		err := call()
		if hub.KindOf(err) != hub.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		he, ok := errors.AsType[*hub.Error](err)
		if !ok || he.RetryAfter == 0 || !strings.Contains(he.Message, "database") {
			t.Errorf("%s: no sentence in %#v", name, err)
		}
		if took := time.Since(began); took > time.Minute { // it does not hang; how quick it is depends on the machine
			t.Errorf("%s took %v", name, took)
		}
	}
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if err := call(); err != nil && !errors.Is(err, hub.ErrNotFound) {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

// A transaction that is cut off is undone, and says so.
func TestPostgresRestartInATransactionUndoesIt(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	s := open(t, store.Options{DSN: server.URL("postgres")})
	runs := 0
	err := s.InTx(t.Context(), func(tx hub.Store) error {
		runs++
		if err := tx.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"}); err != nil {
			return err
		}
		if err := server.Restart(t.Context()); err != nil {
			return err
		}
		return tx.CreateUser(t.Context(), hub.User{ID: "2", Name: "bob"})
	})
	if hub.KindOf(err) != hub.Unavailable || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	if _, err := s.UserByName(t.Context(), "ada"); !errors.Is(err, hub.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

// Open does not connect, so that a hub starts, and says that it is not ready, while its database is away.
func TestPostgresNeedNotBeThereToOpen(t *testing.T) {
	t.Parallel()
	s := openOnly(t, store.Options{DSN: "postgres://u:hidden@127.0.0.1:1/x?sslmode=disable"})
	err := s.Migrate(t.Context())
	if hub.KindOf(err) != hub.Unavailable || strings.Contains(err.Error(), "hidden") {
		t.Errorf("Migrate: %v", err)
	}
}

// Two that read the same and then write what follows from it cannot both be right: one runs again, and sees the other's.
func TestTransactionRunsAgainWhenItLost(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{DSN: pgtest.New(t)})
	if err := s.CreateUser(t.Context(), hub.User{ID: "1", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	var runs, seen atomic.Int64
	var bothHaveRead, wg sync.WaitGroup
	bothHaveRead.Add(2)
	for i := range 2 {
		wg.Go(func() {
			first := true
			err := s.InTx(t.Context(), func(tx hub.Store) error {
				runs.Add(1)
				_, total, err := tx.Servers(t.Context(), hub.ServerQuery{UserIDs: []string{"1"}})
				if err != nil {
					return err
				}
				if first {
					first = false
					bothHaveRead.Done()
					bothHaveRead.Wait()
				}
				seen.Store(int64(total))
				return tx.CreateServer(t.Context(), hub.Server{ID: fmt.Sprint(i), UserID: "1", Name: fmt.Sprint(i), State: hub.Stopped})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() < 3 || seen.Load() != 1 {
		t.Errorf("%d runs; the last saw %d servers", runs.Load(), seen.Load())
	}
}

// Names sort and compare by bytes, whatever language the operator's database was made for.
func TestPostgresOfAnyLanguage(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	err := server.Exec(t.Context(), "postgres",
		"CREATE DATABASE swedish TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE' LOCALE 'C.UTF-8'")
	if err != nil {
		t.Skip("this Postgres was built without ICU: ", err)
	}
	s := open(t, store.Options{DSN: server.URL("swedish")})
	want := []string{"B", "a", "a-b", "ab", "b", "z", "ä", "ö"} // Swedish would have a, ab, a-b, b, B, z, ä, ö
	for i, name := range []string{"ö", "b", "ab", "z", "a", "B", "ä", "a-b"} {
		if err := s.CreateUser(t.Context(), hub.User{ID: fmt.Sprint(i), Name: name, Groups: want}); err != nil {
			t.Fatal(err)
		}
	}
	users, _, err := s.Users(t.Context(), hub.UserQuery{Sort: hub.SortByName})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range users {
		got = append(got, u.Name)
		if !slices.Equal(u.Groups, want) {
			t.Errorf("the groups of %s are %v", u.Name, u.Groups)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %v", got)
	}
}

func TestPostgresPoolIsBounded(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := open(t, store.Options{DSN: dsn, MaxConns: 3})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := s.InTx(t.Context(), func(tx hub.Store) error { return tx.Ping(t.Context()) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var open int
	err := raw(t, dsn).QueryRowContext(t.Context(), `
		SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nomadhub'`).Scan(&open)
	if err != nil || open == 0 || open > 3 {
		t.Errorf("%d connections, err %v", open, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = s.InTx(t.Context(), func(hub.Store) error {
		return s.InTx(t.Context(), func(hub.Store) error {
			return s.InTx(t.Context(), func(hub.Store) error { return s.Ping(ctx) })
		})
	})
	if hub.KindOf(err) != hub.Unavailable {
		t.Errorf("with no connection left: %v", err)
	}
}

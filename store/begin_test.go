package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

func TestSQLiteTransactionsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.InTx(ctx, func(tx hub.Store) error {
		err := tx.CreateUser(ctx, hub.User{ID: "u1", Name: "ada"})
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("committed after its context ended, err %v", err)
	}
	if err := s.CreateUser(t.Context(), hub.User{ID: "u2", Name: "ada"}); err != nil {
		t.Errorf("after a transaction that was given up: %v", err)
	}
}

// SQLite ends a transaction by itself if, for example, the disk is full. The connection goes on, and nothing is taken for written.
func TestSQLiteGoesOnAfterATransactionThatItEndedItself(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite::memory:", 0)
	err := s.transact(t.Context(), 0, false, func(tx *Store) error {
		if err := tx.CreateUser(t.Context(), hub.User{ID: "u1", Name: "ada"}); err != nil {
			return err
		}
		_, err := tx.exec(t.Context(), "end the transaction early", "ROLLBACK", nil)
		return err
	})
	if err == nil {
		t.Error("what was undone counts as written")
	}
	// In memory, another connection would be another database.
	if err := s.CreateUser(t.Context(), hub.User{ID: "u2", Name: "ada"}); err != nil {
		t.Errorf("the connection is lost: %v", err)
	}
}

func TestSQLiteLooksUpByTheWriterOnlyIfItIsFree(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	if err := s.CreateUser(t.Context(), hub.User{ID: "u1", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	by := func() querier {
		q, _, done, err := s.reach(t.Context(), lookup)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		return q
	}
	if by() != s.write {
		t.Error("the writer has nothing to do, and another looks up")
	}
	err := s.InTx(t.Context(), func(tx hub.Store) error {
		if by() == s.write {
			t.Error("a lookup waits for the writer")
		}
		if err := tx.UpdateUser(t.Context(), hub.User{ID: "u1", Name: "bob"}); err != nil {
			return err
		}
		u, err := s.UserByID(t.Context(), "u1")
		if err == nil && u.Name != "ada" {
			t.Errorf("%q is seen before it is committed", u.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := s.UserByID(t.Context(), "u1"); err != nil || u.Name != "bob" {
		t.Errorf("after the commit %q is seen, err %v", u.Name, err)
	}
}

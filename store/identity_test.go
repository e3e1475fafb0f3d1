package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// counter counts what is asked of the database.
type counter struct {
	querier
	n int
}

func (c *counter) exec(ctx context.Context, query string, args []any) (int64, error) {
	c.n++
	return c.querier.exec(ctx, query, args)
}

func (c *counter) query(ctx context.Context, query string, args []any) (rows, error) {
	c.n++
	return c.querier.query(ctx, query, args)
}

// What a login does in its transaction is as many journeys, while others who log in for the first time wait. See TestStatementsOfALogin in hub for the whole of it.
func TestStepsOfALoginAreOneStatementEach(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"sqlite": "sqlite://" + filepath.Join(t.TempDir(), "hub.db"), "postgres": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := openMigrated(t, dsn, 1), t.Context()
			ada, ben := hub.User{ID: "a", Name: "ada", Roles: []string{"teacher"}}, hub.User{ID: "b", Name: "ben", Groups: []string{"art", "maths"}}
			err := s.transact(ctx, s.db.isolation, false, func(tx *Store) error {
				c := &counter{querier: tx.write}
				counted := &Store{db: tx.db, read: c, write: c, depth: tx.depth, users: tx.users}
				for _, step := range []struct {
					what string
					do   func() error
					want int
				}{
					{"a user", func() error { return counted.CreateUser(ctx, ada) }, 1},
					{"a user in groups", func() error { return counted.CreateUser(ctx, ben) }, 3},
					{"an identity", func() error { return counted.LinkIdentity(ctx, ada.ID, "test", "1") }, 1},
					{"a session", func() error {
						return counted.CreateSession(ctx, hub.Session{ID: "s", UserID: ada.ID, BrowserID: "b", Expires: time.Now()})
					}, 1},
					{"who comes", func() error { _, err := counted.Acquaintance(ctx, "test", "1", "ada"); return err }, 1},
				} {
					c.n = 0
					if err := step.do(); err != nil || c.n != step.want {
						t.Errorf("%s: %d statements, not %d; %v", step.what, c.n, step.want, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

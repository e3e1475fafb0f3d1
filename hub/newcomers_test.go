package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/store"
)

// countingRetries counts the transactions of a store that lost against others more than once.
type countingRetries struct {
	slog.Handler

	n *atomic.Int64
}

// Enabled implements [slog.Handler].
func (countingRetries) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (c countingRetries) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "database transaction runs again" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "attempt" && a.Value.Int64() > 1 {
				c.n.Add(1)
			}
			return true
		})
	}
	return nil
}

// TestAClassLogsInForTheFirstTime has everybody log in at once, on the database of a cluster, first as people who never came and of whom half have an account, and then again. Nobody is refused, and
// nobody's login is undone twice: once may be, if another newcomer was done between its first look and its turn.
func TestAClassLogsInForTheFirstTime(t *testing.T) {
	t.Parallel()
	var again atomic.Int64
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.New(t), Logger: slog.New(countingRetries{slog.DiscardHandler, &again})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := hubtest.New(t, func(o *hub.Options) { o.Store = db })
	const pupils = 150
	for i := range pupils / 2 { // an account was made for every other one
		if _, err := b.Hub.CreateUser(t.Context(), fmt.Sprintf("pupil-%d", 2*i), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"at first", "later"} {
		var wg sync.WaitGroup
		for i := range pupils {
			wg.Go(func() {
				name := fmt.Sprintf("pupil-%d", i)
				_, u, err := b.Hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: name, Name: name}, hub.Browser{}, hub.LoginOptions{})
				if err != nil || u.Name != name {
					t.Errorf("%s, %s is %q, %v", when, name, u.Name, err)
				}
			})
		}
		wg.Wait()
		if _, total, err := db.Users(t.Context(), hub.UserQuery{Limit: 1}); err != nil || total != pupils {
			t.Errorf("%s there are %d users, %v", when, total, err)
		}
		if n := again.Load(); n > 0 {
			t.Errorf("%s, transactions were undone %d times more than once", when, n)
		}
	}
}

// Who waits for their turn and goes away is not enrolled, and holds nobody up.
func TestANewcomerWhoGoesAwayHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	login := func(ctx context.Context, name string) error {
		_, _, err := b.Hub.Login(ctx, auth.Identity{Provider: "test", Subject: name, Name: name}, hub.Browser{}, hub.LoginOptions{})
		return err
	}
	for range 2 {
		if err := login(gone, "ada"); err == nil {
			t.Fatal("who has gone away has logged in")
		}
	}
	if err := login(t.Context(), "ben"); err != nil {
		t.Error(err)
	}
	if _, err := b.Hub.UserByName(t.Context(), "ada"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("who went away: %v", err)
	}
}

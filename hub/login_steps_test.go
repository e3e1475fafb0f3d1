package hub_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// stepped is a store that counts transactions, and in which something happens just before a step.
type stepped struct {
	hub.Store
	transactions             atomic.Int64
	beforeTx, beforeSessions func()
}

func (s *stepped) InTx(ctx context.Context, fn func(hub.Store) error) error {
	s.transactions.Add(1)
	once(&s.beforeTx)
	return s.Store.InTx(ctx, fn)
}

func (s *stepped) Enroll(ctx context.Context, u hub.User, provider, subject string, v hub.Session) error {
	s.transactions.Add(1)
	once(&s.beforeTx)
	return s.Store.Enroll(ctx, u, provider, subject, v)
}

func (s *stepped) Welcome(ctx context.Context, u hub.User, provider, subject string, v hub.Session) error {
	s.transactions.Add(1)
	once(&s.beforeTx)
	return s.Store.Welcome(ctx, u, provider, subject, v)
}

func (s *stepped) CreateSession(ctx context.Context, v hub.Session) error {
	once(&s.beforeSessions)
	return s.Store.CreateSession(ctx, v)
}

// once calls what is there, and forgets it before.
func once(what *func()) {
	if do := *what; do != nil {
		*what = nil
		do()
	}
}

func newStepped(t *testing.T, change ...func(*hub.Options)) (*bench, *stepped) {
	t.Helper()
	s := &stepped{}
	b := newBench(t, append(change, func(o *hub.Options) {
		s.Store = o.Store
		o.Store = s
	})...)
	return b, s
}

// A login of somebody who comes back is two statements, and no transaction that could lose against others. Only what changes is worth one.
func TestWhoComesBackNeedsNoTransaction(t *testing.T) {
	t.Parallel()
	b, s := newStepped(t)
	for _, c := range []struct {
		what         string
		identity     auth.Identity
		transactions int64
	}{
		{"a newcomer", auth.Identity{Groups: []string{"maths"}}, 1},
		{"the same once more", auth.Identity{Groups: []string{"maths"}}, 0},
		{"of whose groups nothing is said", auth.Identity{}, 0},
		{"in another group", auth.Identity{Groups: []string{"maths", "art"}}, 1},
		{"in these groups, in another order", auth.Identity{Groups: []string{"maths", "art", "art"}}, 0},
		{"in no group", auth.Identity{Groups: []string{}}, 1},
	} {
		c.identity.Provider, c.identity.Subject, c.identity.Name = "test", "1", "ada"
		before := s.transactions.Load()
		_, u, err := b.hub.Login(t.Context(), c.identity, hub.Browser{}, hub.LoginOptions{})
		if err != nil || u.Name != "ada" {
			t.Fatalf("%s: %+v, %v", c.what, u, err)
		}
		if n := s.transactions.Load() - before; n != c.transactions {
			t.Errorf("%s: %d transactions, not %d", c.what, n, c.transactions)
		}
	}
}

// Each statement on Postgres is a journey, but for the first of a transaction, which goes along with its begin.
func TestStatementsOfALogin(t *testing.T) {
	t.Parallel()
	asked := tally{busy: true}
	db, err := store.Open(t.Context(), store.Options{DSN: countedPostgres(t, pgtest.New(t), &asked)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var of hub.Options
	h := openBench(t, db, schedulertest.NewFake(), func(o *hub.Options) { of = *o })
	h.stop() // its rounds ask, too
	h.hub, err = hub.New(of)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreateUser(t.Context(), hub.User{ID: "u", Name: "made"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what       string
		identity   auth.Identity
		o          hub.LoginOptions
		refused    bool
		statements int
	}{
		{what: "a newcomer", identity: auth.Identity{Name: "ada"}, statements: 2},         // look, all of it
		{what: "the same once more", identity: auth.Identity{Name: "ada"}, statements: 2}, // look, session
		// with new groups and who belongs to them
		{what: "a newcomer with groups", identity: auth.Identity{Name: "ben", Groups: []string{"art", "maths"}, Roles: []string{}}, statements: 8},
		{what: "the same once more", identity: auth.Identity{Name: "ben", Groups: []string{"art", "maths"}, Roles: []string{}}, statements: 2},
		{what: "who has an account and never came", identity: auth.Identity{Name: "made"}, statements: 2}, // look, all of it
		{what: "the same once more", identity: auth.Identity{Name: "made"}, statements: 2},
		{what: "another one of the name", identity: auth.Identity{Name: "made", Subject: "other"}, refused: true, statements: 1},
		{what: "a stranger where nobody becomes a user", identity: auth.Identity{Name: "eve"}, o: hub.LoginOptions{KnownOnly: true}, refused: true, statements: 1},
	} {
		c.identity.Provider = "test"
		if c.identity.Subject == "" {
			c.identity.Subject = c.identity.Name
		}
		before := asked.count()
		_, _, err := h.hub.Login(t.Context(), c.identity, hub.Browser{}, c.o)
		if n := asked.count() - before; n != c.statements || c.refused != (err != nil && hub.KindOf(err) == hub.Forbidden) || !c.refused && err != nil {
			t.Errorf("%s: %d statements, not %d; %v", c.what, n, c.statements, err)
		}
	}
}

// Who is deleted while they log in is a newcomer, who is let in only if the rules allow it.
func TestWhoIsDeletedDuringALoginIsANewcomer(t *testing.T) {
	t.Parallel()
	b, s := newStepped(t)
	first, err := b.tryLogin("1", "ada")
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		if err := b.hub.DeleteUser(t.Context(), "ada"); err != nil {
			t.Error(err)
		}
	}
	s.beforeSessions = remove
	again, err := b.tryLogin("1", "ada")
	if err != nil || again.ID == first.ID || again.Name != "ada" {
		t.Fatalf("after it was deleted the account is %+v, %v; it was %+v", again, err, first)
	}
	if sessions, err := b.hub.Sessions(t.Context(), again.ID); err != nil || len(sessions) != 1 {
		t.Errorf("the new one has the sessions %v, %v", sessions, err)
	}
	s.beforeSessions = remove
	identity := auth.Identity{Provider: "test", Subject: "1", Name: "ada"}
	if _, err := b.hub.LoginOnce(t.Context(), identity, hub.Browser{}, hub.LoginOptions{}); err != nil {
		t.Errorf("a request that begins no session: %v", err)
	}
	remove()
	s.beforeSessions = nil
	if _, err := b.hub.LoginOnce(t.Context(), identity, hub.Browser{}, hub.LoginOptions{}); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("a request of somebody who is gone: %v", err)
	}
}

// The same person may log in twice at once for the first time, as when a browser opens its tabs again: both become one user.
func TestTwoFirstLoginsOfOnePerson(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ada", "lovelace"} { // as the provider calls them in the other login
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := newStepped(t)
			other := hub.User{ID: "0190a0a0-0000-7000-8000-000000000001", Name: name}
			s.beforeTx = func() { // by another replica, for which nobody waits
				err := s.Store.InTx(t.Context(), func(tx hub.Store) error {
					if err := tx.CreateUser(t.Context(), other); err != nil {
						return err
					}
					return tx.LinkIdentity(t.Context(), other.ID, "test", "1")
				})
				if err != nil {
					t.Error(err)
				}
			}
			if u, err := b.tryLogin("1", "ada"); err != nil || u.ID != other.ID {
				t.Errorf("the second login is of %+v, %v; the first of %+v", u, err, other)
			}
			if _, total, err := b.hub.Users(t.Context(), hub.UserQuery{}); err != nil || total != 1 {
				t.Errorf("there are %d users, %v", total, err)
			}
		})
	}
}

// Who comes for an account that gets another name at this moment does not get that account.
func TestAnAccountThatIsRenamedDuringItsFirstLogin(t *testing.T) {
	t.Parallel()
	b, s := newStepped(t)
	before, err := b.hub.CreateUser(t.Context(), "ada", true)
	if err != nil {
		t.Fatal(err)
	}
	s.beforeTx = func() {
		if err := s.RenameUser(t.Context(), before.ID, "lovelace"); err != nil {
			t.Error(err)
		}
	}
	if u, err := b.tryLogin("1", "ada"); err != nil || u.ID == before.ID || u.Admin {
		t.Errorf("the one of the name is %+v, %v; the account was %+v", u, err, before)
	}
}

// Who is refused is told at once, whoever has the turn of newcomers.
func TestRefusedNewcomersWaitForNobody(t *testing.T) {
	t.Parallel()
	b, s := newStepped(t, func(o *hub.Options) { o.Admission = hub.Admission{AllowedUsers: []string{"ada", "ben", "carol"}} })
	if _, err := b.tryLogin("4", "carol"); err != nil {
		t.Fatal(err)
	}
	s.beforeTx = func() {
		for name, want := range map[string]hub.Kind{"mallory": hub.Forbidden, "carol": hub.Forbidden, "b\x00d": hub.Invalid} {
			if _, err := b.tryLogin("2", name); err == nil || hub.KindOf(err) != want {
				t.Errorf("a stranger called %q: %v", name, err)
			}
		}
		ben := auth.Identity{Provider: "test", Subject: "3", Name: "ben"}
		if _, err := b.hub.LoginOnce(t.Context(), ben, hub.Browser{}, hub.LoginOptions{}); hub.KindOf(err) != hub.Forbidden {
			t.Errorf("somebody who never logged in: %v", err)
		}
	}
	if _, err := b.tryLogin("1", "ada"); err != nil {
		t.Error(err)
	}
}

// Rules that come into force while a newcomer waits are for that one, too, and so does what happens to the user of their name.
func TestNewcomersAreJudgedWhenItIsTheirTurn(t *testing.T) {
	t.Parallel()
	b, s := newStepped(t)
	if _, err := b.hub.CreateUser(t.Context(), "ada", false); err != nil {
		t.Fatal(err)
	}
	s.beforeTx = func() { b.hub.SetAdmission(hub.Admission{AllowAll: true, BlockedUsers: []string{"ada"}}) }
	ada := auth.Identity{Provider: "test", Subject: "1", Name: "ada", Groups: []string{"maths"}}
	if _, _, err := b.hub.Login(t.Context(), ada, hub.Browser{}, hub.LoginOptions{}); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("who was blocked while waiting: %v", err)
	}
	id := func() string {
		u := hub.User{ID: "0190a0a0-0000-7000-8000-000000000001", Name: "ben"}
		if err := s.CreateUser(t.Context(), u); err != nil {
			t.Error(err)
		}
		return u.ID
	}
	other := func() {
		if err := s.LinkIdentity(t.Context(), id(), "another provider", "7"); err != nil {
			t.Error(err)
		}
	}
	s.beforeTx = other // whose the name is by now
	if u, err := b.tryLogin("2", "ben"); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("who has a name that was taken while waiting: %+v, %v", u, err)
	}
	if err := b.hub.DeleteUser(t.Context(), "ben"); err != nil {
		t.Fatal(err)
	}
	ben := id() // an account that nobody has come to
	s.beforeTx = func() {
		if err := s.LinkIdentity(t.Context(), ben, "another provider", "7"); err != nil {
			t.Error(err)
		}
	}
	if u, err := b.tryLogin("2", "ben"); hub.KindOf(err) != hub.Forbidden {
		t.Errorf("who comes for an account that somebody else took while waiting: %+v, %v", u, err)
	}
}

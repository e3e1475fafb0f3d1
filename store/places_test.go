package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// Pages follow each other by an index, and what comes or goes between them is seen.
func TestPagesOfUsersFollowEachOther(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := Open(ctx, Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	const all = 50
	id := func(i int) string { return fmt.Sprintf("u%03d", i) }
	for i := range all {
		if err := s.CreateUser(ctx, hub.User{ID: id(i), Name: id(i)}); err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{querier: s.read}
	s.read = r
	read := func(q hub.UserQuery, total int, want ...string) {
		t.Helper()
		users, n, err := s.Users(ctx, q)
		var got []string
		for _, u := range users {
			got = append(got, u.ID)
		}
		if err != nil || n != total || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%+v gives %v of %d, %v; want %v of %d", q, got, n, err, want, total)
		}
	}
	skipped := func() bool {
		t.Helper()
		for _, a := range r.asked {
			if strings.Contains(a.query, "OFFSET") {
				return a.args[1] != 0
			}
		}
		t.Fatal("no page was asked for")
		return false
	}

	read(hub.UserQuery{Limit: 2, Offset: 10}, all, id(10), id(11))
	if !skipped() {
		t.Error("the first page was found without a look at what comes before it")
	}
	for _, next := range []int{12, 14, 10} { // the page after, the one after that, and again the first
		r.asked = nil
		read(hub.UserQuery{Limit: 2, Offset: next}, all, id(next), id(next+1))
		if skipped() {
			t.Errorf("all before user %d were looked at once more", next)
		}
	}
	r.asked = nil
	read(hub.UserQuery{Limit: 2, Offset: 10, Descending: true}, all, id(39), id(38))
	read(hub.UserQuery{Limit: 2, Offset: 12, Descending: true}, all, id(37), id(36))

	if err := s.DeleteUser(ctx, id(3)); err != nil {
		t.Fatal(err)
	}
	read(hub.UserQuery{Limit: 2, Offset: 10}, all-1, id(11), id(12))
	err = s.InTx(ctx, func(tx hub.Store) error {
		if err := tx.CreateUser(ctx, hub.User{ID: "a", Name: "a"}); err != nil {
			return err
		}
		users, n, err := tx.Users(ctx, hub.UserQuery{Limit: 1, Offset: 10})
		if err == nil && (n != all || users[0].ID != id(10)) {
			t.Errorf("within the transaction there is %v of %d", users[0].ID, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read(hub.UserQuery{Limit: 2, Offset: 10}, all, id(10), id(11))
	read(hub.UserQuery{Limit: 3, Offset: all - 1}, all, id(all-1))
	read(hub.UserQuery{Limit: 3, Offset: all + 7}, all)
}

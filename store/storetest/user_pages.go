package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func userPages() []test {
	return []test{
		{"An empty store has no users", func(f fixture) {
			found, total, err := f.store.Users(f.ctx, hub.UserQuery{Limit: 10})
			f.must(err)
			f.same("the page", found, []hub.User(nil))
			f.same("the total", total, 0)
		}},
		{"Users come by ID, and pages neither overlap nor leave any out", func(f fixture) {
			var want []string
			for i := range 25 {
				want = append(want, f.user(fmt.Sprintf("u%02d", 25-i), "everyone", fmt.Sprintf("group%d", i%3)).Name)
			}
			f.finds(hub.UserQuery{}, want...)
			var got []string
			for offset := 0; offset < 30; offset += 10 {
				page, total, err := f.store.Users(f.ctx, hub.UserQuery{Offset: offset, Limit: 10})
				f.must(err)
				f.same("the total", total, 25)
				for _, u := range page {
					got = append(got, u.Name)
					f.same("the number of groups of "+u.Name, len(u.Groups), 2)
				}
			}
			f.same("the pages", got, want)
			page, total, err := f.store.Users(f.ctx, hub.UserQuery{Offset: 100, Limit: 10})
			f.must(err)
			f.same("the page after the end", page, []hub.User(nil))
			f.same("the total after the end", total, 25)
			f.finds(hub.UserQuery{Offset: 23}, want[23:]...)
		}},
		{"Names are in the order of their bytes", func(f fixture) {
			for _, name := range []string{"b", "a", "ä", "B", "a-b", "a_b", "ab", "Z"} {
				f.user(name)
			}
			f.finds(hub.UserQuery{Sort: hub.SortByName}, "B", "Z", "a", "a-b", "a_b", "ab", "b", "ä")
			f.finds(hub.UserQuery{Sort: hub.SortByName, Descending: true, Limit: 3}, "ä", "b", "ab")
		}},
		{"By last activity, those who never were come first, and last when descending", func(f fixture) {
			never, old, recent, never2 := f.user("never"), f.user("old"), f.user("recent"), f.user("never2")
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{
				{UserID: old.ID, Time: noon}, {UserID: recent.ID, Time: noon.Add(time.Microsecond)},
			}))
			f.finds(hub.UserQuery{Sort: hub.SortByLastActivity}, never.Name, never2.Name, "old", "recent")
			f.finds(hub.UserQuery{Sort: hub.SortByLastActivity, Descending: true}, "recent", "old", never2.Name, never.Name)
			f.finds(hub.UserQuery{Sort: hub.SortByLastActivity, Descending: true, Offset: 1, Limit: 1}, "old")
			f.finds(hub.UserQuery{Descending: true, Limit: 1}, never2.Name)
		}},
		{"A search is for a part of the name in any case, and has no wildcards", func(f fixture) {
			for _, name := range []string{"Ada.Lovelace", "100%", "a_b", "axb", `back\slash`, "ÉMILE", "émilie"} {
				f.user(name)
			}
			f.finds(hub.UserQuery{NameContains: "LOVE"}, "Ada.Lovelace")
			f.finds(hub.UserQuery{NameContains: "%"}, "100%")
			f.finds(hub.UserQuery{NameContains: "a_b"}, "a_b")
			f.finds(hub.UserQuery{NameContains: `\s`}, `back\slash`)
			f.finds(hub.UserQuery{NameContains: "Émil"}, "ÉMILE", "émilie")
			f.finds(hub.UserQuery{NameContains: "émil", Descending: true, Limit: 1}, "émilie")
			f.finds(hub.UserQuery{NameContains: "'; DROP TABLE users; --"})
		}},
		{"A search finds parts of long names, and of names as they are now", func(f fixture) {
			long := strings.Repeat("a", 40) + "-" + strings.Repeat("bc", 40) + "@example.org"
			f.user(long)
			f.finds(hub.UserQuery{NameContains: strings.Repeat("a", 40) + "-b"}, long)
			f.finds(hub.UserQuery{NameContains: strings.Repeat("a", 41)})
			f.finds(hub.UserQuery{NameContains: strings.Repeat("bc", 40) + "@"}, long)
			f.finds(hub.UserQuery{NameContains: strings.Repeat("bc", 39) + "b@"})
			f.finds(hub.UserQuery{NameContains: long}, long)
			f.finds(hub.UserQuery{NameContains: long + "x"})
			f.finds(hub.UserQuery{NameContains: "g"}, long)

			ada, bob := f.user("ada"), f.user("bob")
			ada.Name = "grace"
			f.must(f.store.UpdateUser(f.ctx, ada))
			f.must(f.store.RenameUser(f.ctx, bob.ID, "barbara"))
			f.finds(hub.UserQuery{NameContains: "da"})
			f.finds(hub.UserQuery{NameContains: "ob"})
			f.finds(hub.UserQuery{NameContains: "ra"}, "grace", "barbara")
			f.must(f.store.DeleteUser(f.ctx, ada.ID))
			f.finds(hub.UserQuery{NameContains: "ra"}, "barbara")
			f.must(f.store.CreateUser(f.ctx, hub.User{ID: ada.ID, Name: "lin"}))
			f.finds(hub.UserQuery{NameContains: "ra"}, "barbara")
			f.wants(f.store.InTx(f.ctx, func(tx hub.Store) error {
				f.must(tx.RenameUser(f.ctx, ada.ID, "never"))
				return errChangedMyMind
			}), errChangedMyMind)
			f.finds(hub.UserQuery{NameContains: "lin"}, "lin")
			f.finds(hub.UserQuery{NameContains: "never"})
		}},
		{"A search finds as much where very many names have the part", func(f fixture) {
			const many = 1_200
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				for i := range many {
					if err := tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: fmt.Sprintf("of-%04d", i)}); err != nil {
						return err
					}
				}
				return nil
			}))
			for part, want := range map[string]int{"of": many, "f-0": 1_000, "f-1": 200, "-00": 100, "119": 12, "of-0119": 1, "1200": 0} {
				_, total, err := f.store.Users(f.ctx, hub.UserQuery{NameContains: part, Limit: 1})
				f.must(err)
				f.same("how many have "+part, total, want)
			}
			f.finds(hub.UserQuery{NameContains: "of", Offset: 1, Limit: 2}, "of-0001", "of-0002")
			f.finds(hub.UserQuery{NameContains: "f-1", Offset: 1, Limit: 2, Descending: true}, "of-1198", "of-1197")
		}},
		{"Users are selected by what their servers do", func(f fixture) {
			f.user("none")
			idle, mixed, starting, stopping := f.user("idle"), f.user("mixed"), f.user("starting"), f.user("stopping")
			f.server(idle, "", hub.Stopped)
			f.server(mixed, "", hub.Stopped)
			f.server(mixed, "gpu", hub.Ready)
			f.server(mixed, "big", hub.Ready)
			f.server(starting, "", hub.Starting)
			f.server(stopping, "", hub.Stopping)
			f.finds(hub.UserQuery{Activity: hub.ActiveServers}, "mixed", "starting", "stopping")
			f.finds(hub.UserQuery{Activity: hub.ReadyServers}, "mixed")
			f.finds(hub.UserQuery{Activity: hub.InactiveServers}, "none", "idle")
			other, third := f.user("other"), f.user("third")
			f.server(third, "", hub.Ready)
			f.server(other, "", hub.Ready)
			f.finds(hub.UserQuery{Activity: hub.ReadyServers}, "mixed", "other", "third")
			f.finds(hub.UserQuery{Activity: hub.ReadyServers, Descending: true, Limit: 2}, "third", "other")
			f.finds(hub.UserQuery{Activity: hub.ReadyServers, Offset: 1, Limit: 1}, "other")
			f.finds(hub.UserQuery{Activity: hub.ReadyServers, Offset: 3})
			f.finds(hub.UserQuery{Activity: hub.ReadyServers, Sort: hub.SortByName, Limit: 1}, "mixed")
			found, total, err := f.store.Users(f.ctx, hub.UserQuery{Offset: 1, Limit: 1, Uncounted: true})
			f.must(err)
			f.same("a page that is not counted", []int{len(found), total}, []int{1, 0})
			f.finds(hub.UserQuery{Activity: hub.ActiveServers, NameContains: "ing", Sort: hub.SortByName, Descending: true, Limit: 1},
				"stopping")
		}},
		{"An unknown order or selection is refused", func(f fixture) {
			_, _, err := f.store.Users(f.ctx, hub.UserQuery{Sort: "id; DROP TABLE users"})
			f.same("the kind of error", hub.KindOf(err), hub.Invalid)
			_, _, err = f.store.Users(f.ctx, hub.UserQuery{Activity: "sleepy"})
			f.same("the kind of error", hub.KindOf(err), hub.Invalid)
		}},
	}
}

// finds asks for users and compares their names; the total must be what the query finds without its page.
func (f fixture) finds(q hub.UserQuery, names ...string) {
	f.Helper()
	found, total, err := f.store.Users(f.ctx, q)
	f.must(err)
	var got []string
	for _, u := range found {
		got = append(got, u.Name)
	}
	f.same(fmt.Sprintf("the result of %+v", q), got, names)
	q.Limit, q.Offset = 0, 0
	all, _, err := f.store.Users(f.ctx, q)
	f.must(err)
	f.same("the total", total, len(all))
}

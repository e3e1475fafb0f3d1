package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/nomadhub/nomadhub/hub"
)

func groups() []test {
	return []test{
		{"A group comes back as it was stored", func(f fixture) {
			props := json.RawMessage(`{"budget":12345678901234567890,"name":"Ärzte 👩‍🔬","list":[1,null]}`)
			f.must(f.store.CreateGroup(f.ctx, "staff", props))
			f.members("staff", f.user("zoe"), f.user("ada"), f.user("Émile"))
			f.holds("the group", hub.GroupQuery{}, hub.Group{Name: "staff", Users: []string{"ada", "zoe", "Émile"}, Properties: props})
			f.must(f.store.CreateGroup(f.ctx, "empty", nil))
			f.holds("an empty group", hub.GroupQuery{Names: []string{"empty"}}, hub.Group{Name: "empty"})
		}},
		{"Names are unique, and tell case", func(f fixture) {
			f.must(f.store.CreateGroup(f.ctx, "staff", nil))
			f.wants(f.store.CreateGroup(f.ctx, "staff", json.RawMessage(`{"a":1}`)), hub.ErrExists)
			f.must(f.store.CreateGroup(f.ctx, "Staff", nil))
			f.user("ada", "students") // a login makes groups, too
			f.wants(f.store.CreateGroup(f.ctx, "students", nil), hub.ErrExists)
			f.holds("the groups", hub.GroupQuery{}, hub.Group{Name: "staff"}, hub.Group{Name: "Staff"}, hub.Group{Name: "students", Users: []string{"ada"}})
		}},
		{"An unknown group is not found", func(f fixture) {
			ada := f.user("ada")
			for _, err := range []error{
				f.store.DeleteGroup(f.ctx, "none"),
				f.store.SetGroupProperties(f.ctx, "none", nil),
				f.store.AddMembers(f.ctx, "none", []string{ada.ID}),
				f.store.RemoveMembers(f.ctx, "none", []string{ada.ID}),
				f.store.DeleteGroup(f.ctx, "a\x00"),
			} {
				if hub.KindOf(err) != hub.Invalid { // what cannot be stored
					f.wants(err, hub.ErrNotFound)
				}
			}
			f.holds("no group", hub.GroupQuery{Names: []string{"none", "\x00"}})
		}},
		{"Properties are replaced as a whole, and members stay", func(f fixture) {
			f.user("ada", "staff")
			f.must(f.store.SetGroupProperties(f.ctx, "staff", json.RawMessage(`{"a":1,"b":2}`)))
			f.must(f.store.SetGroupProperties(f.ctx, "staff", json.RawMessage(`{"b":3}`)))
			f.holds("the group", hub.GroupQuery{}, hub.Group{Name: "staff", Users: []string{"ada"}, Properties: json.RawMessage(`{"b":3}`)})
			f.must(f.store.SetGroupProperties(f.ctx, "staff", nil))
			f.holds("without properties", hub.GroupQuery{}, hub.Group{Name: "staff", Users: []string{"ada"}})
		}},
		{"Members are added and removed once, and users tell it", groupMembers},
		{"An unknown user changes nothing", func(f fixture) {
			ada, bob := f.user("ada", "staff"), f.user("bob")
			f.wants(f.store.AddMembers(f.ctx, "staff", []string{bob.ID, newID()}), hub.ErrNotFound)
			f.wants(f.store.RemoveMembers(f.ctx, "staff", []string{ada.ID, newID()}), hub.ErrNotFound)
			f.holds("the group", hub.GroupQuery{}, hub.Group{Name: "staff", Users: []string{"ada"}})
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error { // also within a transaction, which goes on
				f.wants(tx.AddMembers(f.ctx, "staff", []string{newID()}), hub.ErrNotFound)
				return tx.AddMembers(f.ctx, "staff", []string{bob.ID})
			}))
			f.holds("after it", hub.GroupQuery{}, hub.Group{Name: "staff", Users: []string{"ada", "bob"}})
		}},
		{"A group goes, its members stay; a user goes, their groups stay", func(f fixture) {
			ada := f.user("ada", "staff", "students")
			f.user("bob", "staff")
			f.must(f.store.DeleteGroup(f.ctx, "staff"))
			got, err := f.store.UserByName(f.ctx, "ada")
			f.must(err)
			f.same("ada's groups", got.Groups, []string{"students"})
			f.must(f.store.CreateGroup(f.ctx, "staff", nil))
			f.must(f.store.DeleteUser(f.ctx, ada.ID))
			f.holds("the groups", hub.GroupQuery{ByName: true}, hub.Group{Name: "staff"}, hub.Group{Name: "students"})
		}},
		{"Pages follow one another by age or by name, with the number of all", groupPages},
		{"Of many that create one group at once, one does", func(f fixture) {
			var wg sync.WaitGroup
			made := make(chan struct{}, 20)
			for range 20 {
				wg.Go(func() {
					if err := f.store.CreateGroup(f.ctx, "staff", nil); err == nil {
						made <- struct{}{}
					} else {
						f.wants(err, hub.ErrExists)
					}
				})
			}
			wg.Wait()
			f.same("how many were made", len(made), 1)
		}},
		{"Users are found by their names", func(f fixture) {
			f.user("ada")
			f.user("bob")
			f.user("boba")
			f.finds(hub.UserQuery{Names: []string{"bob", "ada", "bob", "nobody", "\x00"}})
			f.finds(hub.UserQuery{Names: []string{"bob", "ada", "bob", "nobody"}}, "ada", "bob")
			f.finds(hub.UserQuery{Names: []string{"bob", "ada"}, NameContains: "a"}, "ada")
			f.finds(hub.UserQuery{Names: []string{}})
		}},
	}
}

func (f fixture) members(group string, users ...hub.User) {
	f.Helper()
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	f.must(f.store.AddMembers(f.ctx, group, ids))
}

func (f fixture) holds(what string, q hub.GroupQuery, want ...hub.Group) {
	f.Helper()
	got, total, err := f.store.Groups(f.ctx, q)
	f.must(err)
	f.same(what, got, want)
	f.same(what+": how many", total, len(want))
}

func groupMembers(f fixture) {
	ada, bob, eve := f.user("ada", "other"), f.user("bob"), f.user("eve")
	f.must(f.store.CreateGroup(f.ctx, "staff", nil))
	f.members("staff", ada, bob, ada)
	f.members("staff", bob, eve)
	f.members("staff")
	f.holds("three", hub.GroupQuery{Names: []string{"staff"}}, hub.Group{Name: "staff", Users: []string{"ada", "bob", "eve"}})
	got, err := f.store.UserByID(f.ctx, ada.ID)
	f.must(err)
	f.same("ada's groups", got.Groups, []string{"other", "staff"})

	f.must(f.store.RemoveMembers(f.ctx, "staff", []string{bob.ID, bob.ID}))
	f.must(f.store.RemoveMembers(f.ctx, "staff", []string{bob.ID})) // no longer one
	f.must(f.store.RemoveMembers(f.ctx, "staff", nil))
	f.holds("two", hub.GroupQuery{Names: []string{"staff"}}, hub.Group{Name: "staff", Users: []string{"ada", "eve"}})

	ada.Groups = []string{"new"} // as a login writes it
	f.must(f.store.UpdateUser(f.ctx, ada))
	f.holds("after a login", hub.GroupQuery{Names: []string{"staff", "new", "other"}, ByName: true},
		hub.Group{Name: "new", Users: []string{"ada"}}, hub.Group{Name: "other"}, hub.Group{Name: "staff", Users: []string{"eve"}})
}

func groupPages(f fixture) {
	for i := range 25 {
		f.must(f.store.CreateGroup(f.ctx, fmt.Sprintf("g%02d", (i*7)%25), nil))
	}
	f.must(f.store.CreateGroup(f.ctx, "g% _'", nil))
	for _, byName := range []bool{false, true} {
		var names []string
		for offset := 0; offset < 30; offset += 10 {
			page, total, err := f.store.Groups(f.ctx, hub.GroupQuery{ByName: byName, Offset: offset, Limit: 10})
			f.must(err)
			f.same("the number of all", total, 26)
			for _, g := range page {
				names = append(names, g.Name)
			}
		}
		first := map[bool]string{false: "g00 g07 g14 g21 g03", true: "g% _' g00 g01 g02 g03"}[byName]
		if all := strings.Join(names, " "); len(names) != 26 || !strings.HasPrefix(all, first) {
			f.Errorf("the pages hold %s", all)
		}
	}
	page, total, err := f.store.Groups(f.ctx, hub.GroupQuery{Names: []string{"g03", "g01", "g02"}, ByName: true, Offset: 1, Limit: 1})
	f.must(err)
	f.same("one of three", page, []hub.Group{{Name: "g02"}})
	f.same("the number of the three", total, 3)
}

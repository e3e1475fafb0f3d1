package storetest

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func users() []test {
	return []test{
		{"A user comes back as it was stored", func(f fixture) {
			want := hub.User{
				ID: newID(), Name: "ada", Admin: true, Groups: []string{"zoology", "algebra", "Ärzte"}, Created: noon,
				LastActivity: noon.Add(time.Microsecond), Roles: []string{"instructor", "auditor"},
			}
			f.must(f.store.CreateUser(f.ctx, want))
			want.Groups = []string{"algebra", "zoology", "Ärzte"} // sorted by bytes
			byID, err := f.store.UserByID(f.ctx, want.ID)
			f.must(err)
			f.same("the user by ID", byID, want)
			byName, err := f.store.UserByName(f.ctx, "ada")
			f.must(err)
			f.same("the user by name", byName, want)
			id, err := f.store.UserIDByName(f.ctx, "ada")
			f.must(err)
			f.same("whose name it is", id, want.ID)
		}},
		{"An unknown user is not found", func(f fixture) {
			_, err := f.store.UserByID(f.ctx, newID())
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.UserByName(f.ctx, "nobody")
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.UserIDByName(f.ctx, "nobody")
			f.wants(err, hub.ErrNotFound)
			f.wants(f.store.UpdateUser(f.ctx, hub.User{ID: newID(), Name: "nobody"}), hub.ErrNotFound)
			f.wants(f.store.DeleteUser(f.ctx, newID()), hub.ErrNotFound)
		}},
		{"Names and IDs are unique, and names tell case", func(f fixture) {
			ada := f.user("ada")
			f.wants(f.store.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada", Groups: []string{"never"}}), hub.ErrExists)
			f.wants(f.store.CreateUser(f.ctx, hub.User{ID: ada.ID, Name: "other"}), hub.ErrExists)
			f.user("Ada")
			bob := f.user("bob")
			bob.Name = "ada"
			f.wants(f.store.UpdateUser(f.ctx, bob), hub.ErrExists)
			_, total, err := f.store.Users(f.ctx, hub.UserQuery{})
			f.must(err)
			f.same("the number of users", total, 3)
		}},
		{"An update writes name, admin, roles and groups, and nothing else", func(f fixture) {
			u := f.user("ada", "one", "two")
			u.Name, u.Admin, u.Groups, u.Roles = "countess", true, []string{"two", "three", "three"}, []string{"instructor"}
			f.must(f.store.UpdateUser(f.ctx, hub.User{ID: u.ID, Name: u.Name, Admin: true, Roles: u.Roles, Groups: u.Groups, LastActivity: noon}))
			got, err := f.store.UserByID(f.ctx, u.ID)
			f.must(err)
			u.Groups = []string{"three", "two"}
			f.same("the user", got, u)

			listed, _, err := f.store.Users(f.ctx, hub.UserQuery{})
			f.must(err)
			f.same("the user in a list", listed, []hub.User{u})

			u.Groups, u.Roles = nil, nil
			f.must(f.store.UpdateUser(f.ctx, u))
			got, err = f.store.UserByName(f.ctx, "countess")
			f.must(err)
			f.same("the user without groups and roles", got, u)
			_, err = f.store.UserByName(f.ctx, "ada")
			f.wants(err, hub.ErrNotFound)
		}},
		{"A search finds the new name and not the old one", func(f fixture) {
			u := f.user("ada")
			u.Name = "grace"
			f.must(f.store.UpdateUser(f.ctx, u))
			f.finds(hub.UserQuery{NameContains: "RAC"}, "grace")
			f.finds(hub.UserQuery{NameContains: "ada"})
		}},
		{"What belongs to a user goes with it, and what belongs to others stays", userCascade},
		{"Of fifty that create one name at once, one does", func(f fixture) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			made := 0
			for range 50 {
				wg.Go(func() {
					err := f.store.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada", Groups: []string{"b", "a"}})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						made++
					} else {
						f.wants(err, hub.ErrExists)
					}
				})
			}
			wg.Wait()
			f.same("how many were made", made, 1)
		}},
		{"Many that create users in the same new groups at once all succeed", func(f fixture) {
			var wg sync.WaitGroup
			for i := range 30 {
				groups := []string{"a", "b", "c"}
				if i%2 == 0 {
					slices.Reverse(groups)
				}
				wg.Go(func() {
					if err := f.store.CreateUser(f.ctx, hub.User{ID: newID(), Name: "u" + strconv.Itoa(i), Groups: groups}); err != nil {
						f.Error(err)
					}
				})
			}
			wg.Wait()
			found, total, err := f.store.Users(f.ctx, hub.UserQuery{})
			f.must(err)
			f.same("the number of users", total, 30)
			for _, u := range found {
				f.same("the groups of "+u.Name, u.Groups, []string{"a", "b", "c"})
			}
		}},
	}
}

func userCascade(f fixture) {
	fill := func(name string) (hub.User, hub.Server, hub.OAuthClient, hub.OAuthCode, hub.Token, hub.Session) {
		u := f.user(name, "shared")
		s := f.server(u, "", hub.Ready)
		c := f.client(s)
		f.must(f.store.LinkIdentity(f.ctx, u.ID, "github", name))
		return u, s, c, f.code(u, c), f.token(hub.Token{UserID: u.ID, ClientID: c.ID, ServerID: s.ID}), f.session(u, "browser")
	}
	gone, goneServer, goneClient, goneCode, goneToken, goneSession := fill("ada")
	kept, keptServer, keptClient, keptCode, keptToken, keptSession := fill("bob")
	crossing := f.token(hub.Token{UserID: kept.ID, ClientID: goneClient.ID}) // bob's visit to ada's server

	f.must(f.store.DeleteUser(f.ctx, gone.ID))

	look := func(u hub.User, s hub.Server, c hub.OAuthClient, code hub.OAuthCode, t hub.Token, session hub.Session) []error {
		_, err1 := f.store.UserByID(f.ctx, u.ID)
		_, err2 := f.store.ServerByID(f.ctx, s.ID)
		_, err3 := f.store.Client(f.ctx, c.ID)
		_, err4 := f.store.CodeByHash(f.ctx, code.Hash)
		_, err5 := f.store.TokenByHash(f.ctx, t.Hash)
		_, err6 := f.store.SessionByID(f.ctx, session.ID)
		_, err7 := f.store.Acquaintance(f.ctx, "github", u.Name, "")
		return []error{err1, err2, err3, err4, err5, err6, err7}
	}
	for _, err := range look(gone, goneServer, goneClient, goneCode, goneToken, goneSession) {
		f.wants(err, hub.ErrNotFound)
	}
	for _, err := range look(kept, keptServer, keptClient, keptCode, keptToken, keptSession) {
		f.must(err)
	}
	_, err := f.store.TokenByHash(f.ctx, crossing.Hash)
	f.wants(err, hub.ErrNotFound)
	again := f.user("ada")
	got, err := f.store.UserByID(f.ctx, again.ID)
	f.must(err)
	f.same("the groups of the next user of that name", got.Groups, []string(nil))
}

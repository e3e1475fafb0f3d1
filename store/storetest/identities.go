package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func identities() []test {
	return []test{
		{"A subject finds its user", func(f fixture) {
			ada, bob := f.user("ada", "maths"), f.user("bob")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"))
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "oidc", "17"))
			f.must(f.store.LinkIdentity(f.ctx, bob.ID, "github", "18"))
			for _, name := range []string{"ada", "bob", "nobody", ""} { // whatever it is: the subject counts
				got, err := f.store.Acquaintance(f.ctx, "oidc", "17", name)
				f.must(err)
				f.same("who it is", got, hub.Acquaintance{User: ada, Identified: true})
			}
			_, err := f.store.Acquaintance(f.ctx, "oidc", "18", "")
			f.wants(err, hub.ErrNotFound)
		}},
		{"Where nobody has the subject, the name finds its user", func(f fixture) {
			ada, bob := f.user("ada", "art", "maths"), f.user("bob")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "oidc", "17"))
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "18"))
			for name, want := range map[string]hub.Acquaintance{
				"ada": {User: ada, Providers: []string{"github", "oidc"}},
				"bob": {User: bob},
			} {
				got, err := f.store.Acquaintance(f.ctx, "oidc", "18", name) // the subject of another provider
				f.must(err)
				f.same("who has the name", got, want)
			}
			_, err := f.store.Acquaintance(f.ctx, "oidc", "18", "Ada")
			f.wants(err, hub.ErrNotFound)
		}},
		{"A transaction knows whom it has made, and goes on after a subject that is taken", func(f fixture) {
			ada := f.user("ada")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "oidc", "17"))
			bob := hub.User{ID: newID(), Name: "bob", Admin: true, Groups: []string{"art", "maths"}, Roles: []string{"teacher"}, Created: noon}
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				_, err := tx.Acquaintance(f.ctx, "oidc", "18", "bob")
				f.wants(err, hub.ErrNotFound)
				f.must(tx.CreateUser(f.ctx, bob))
				f.wants(tx.LinkIdentity(f.ctx, bob.ID, "oidc", "17"), hub.ErrExists)
				f.must(tx.LinkIdentity(f.ctx, bob.ID, "oidc", "18"))
				f.wants(tx.LinkIdentity(f.ctx, bob.ID, "oidc", "19"), hub.ErrExists)
				got, err := tx.Acquaintance(f.ctx, "oidc", "18", "ada")
				f.same("who was made", got, hub.Acquaintance{User: bob, Identified: true})
				return err
			}))
			got, err := f.store.Acquaintance(f.ctx, "oidc", "18", "ada")
			f.must(err)
			f.same("who was made", got.User, bob)
		}},
		{"Who comes for the first time is enrolled as a whole or not at all", func(f fixture) {
			begun := func(u hub.User) hub.Session {
				return hub.Session{ID: newID(), UserID: u.ID, BrowserID: "b", Provider: "oidc", Address: "::1", UserAgent: "x", Created: noon, LastSeen: noon, Expires: noon.Add(time.Hour)}
			}
			for name, groups := range map[string][]string{"ada": nil, "bob": {"art", "maths"}} {
				u := hub.User{ID: newID(), Name: name, Admin: true, Groups: groups, Roles: []string{"teacher"}, Created: noon}
				v := begun(u)
				f.must(f.store.Enroll(f.ctx, u, "oidc", name, v))
				got, err := f.store.Acquaintance(f.ctx, "oidc", name, "")
				f.must(err)
				f.same("who it is", got, hub.Acquaintance{User: u, Identified: true})
				session, err := f.store.SessionByID(f.ctx, v.ID)
				f.must(err)
				f.same("the session", session, v)
			}
			_, total, err := f.store.Users(f.ctx, hub.UserQuery{Limit: 1, Offset: 1})
			f.must(err)
			f.same("how many there are", total, 2)
			for what, taken := range map[string]hub.User{"name": {Name: "ada"}, "subject": {Name: "cleo"}, "ID": {Name: "dora"}} {
				subject := "new"
				taken.ID = newID()
				switch what {
				case "subject":
					subject = "bob"
				case "ID":
					u, err := f.store.UserByName(f.ctx, "ada")
					f.must(err)
					taken.ID = u.ID
				}
				for _, taken.Groups = range [][]string{nil, {"art"}} {
					v := begun(taken)
					f.wants(f.store.Enroll(f.ctx, taken, "oidc", subject, v), hub.ErrExists)
					_, err := f.store.SessionByID(f.ctx, v.ID)
					f.wants(err, hub.ErrNotFound)
					_, total, err := f.store.Users(f.ctx, hub.UserQuery{})
					f.must(err)
					f.same("how many there are where the "+what+" is taken", total, 2)
				}
			}
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				eve := hub.User{ID: newID(), Name: "eve"}
				f.wants(tx.Enroll(f.ctx, eve, "oidc", "ada", begun(eve)), hub.ErrExists)
				f.must(tx.Enroll(f.ctx, eve, "oidc", "eve", begun(eve)))
				return nil
			}))
			f.finds(hub.UserQuery{NameContains: "e"}, "eve")
		}},
		{"Who comes first to an account has it", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			begun := func(id string) hub.Session {
				return hub.Session{ID: newID(), UserID: id, Created: noon, LastSeen: noon, Expires: noon}
			}
			v := begun(ada.ID)
			f.must(f.store.Welcome(f.ctx, ada, "oidc", "a", v))
			got, err := f.store.Acquaintance(f.ctx, "oidc", "a", "")
			f.must(err)
			f.same("who it is", got, hub.Acquaintance{User: ada, Identified: true})
			session, err := f.store.SessionByID(f.ctx, v.ID)
			f.must(err)
			f.same("the session", session, v)
			refused := func(u hub.User, provider, subject string) {
				v := begun(u.ID)
				f.wants(f.store.Welcome(f.ctx, u, provider, subject, v), hub.ErrExists)
				f.wants(f.store.InTx(f.ctx, func(tx hub.Store) error { return tx.Welcome(f.ctx, u, provider, subject, v) }), hub.ErrExists)
				_, err := f.store.SessionByID(f.ctx, v.ID)
				f.wants(err, hub.ErrNotFound)
			}
			refused(ada, "github", "a")
			refused(ada, "oidc", "another")
			refused(bob, "oidc", "a") // whose subject is somebody else's
			refused(hub.User{ID: newID(), Name: "bob"}, "oidc", "nobody")
			refused(hub.User{ID: bob.ID, Name: "another"}, "oidc", "nobody")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "a")) // by whoever may
			f.must(f.store.LinkIdentity(f.ctx, bob.ID, "github", "b"))
			refused(bob, "oidc", "b")
		}},
		{"Who comes first to an account that gets another name at this moment does not have it", func(f fixture) {
			ada := f.user("ada")
			came := make(chan error, 1)
			come := sync.OnceFunc(func() {
				go func() { came <- f.store.Welcome(f.ctx, ada, "oidc", "a", hub.Session{ID: newID(), UserID: ada.ID}) }()
			})
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				err := tx.RenameUser(f.ctx, ada.ID, "lovelace")
				come()
				for range 20 { // until it is asked for, as nearly always
					if err == nil {
						_, err = tx.UserByName(f.ctx, "lovelace")
					}
				}
				return err
			}))
			f.wants(<-came, hub.ErrExists)
		}},
		{"Of many who come first at the same moment, one does", func(f fixture) {
			for i := range 5 {
				u := f.user(fmt.Sprintf("u%d", i))
				var first atomic.Int32
				var all sync.WaitGroup
				for j := range 8 {
					all.Go(func() {
						provider := fmt.Sprintf("provider-%d", j)
						err := f.store.Welcome(f.ctx, u, provider, "s", hub.Session{ID: newID(), UserID: u.ID, Provider: provider})
						if err == nil {
							first.Add(1)
							return
						}
						f.wants(err, hub.ErrExists)
					})
				}
				all.Wait()
				got, err := f.store.Acquaintance(f.ctx, "another", "s", u.Name)
				f.must(err)
				f.same("how many came first, and how many vouch", []int{int(first.Load()), len(got.Providers)}, []int{1, 1})
			}
		}},
		{"A subject belongs to one user, and a user has one subject of a provider", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"))
			f.wants(f.store.LinkIdentity(f.ctx, bob.ID, "github", "17"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, ada.ID, "github", "18"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, newID(), "github", "19"), hub.ErrNotFound)
			got, err := f.store.Acquaintance(f.ctx, "github", "17", "bob")
			f.must(err)
			f.same("the owner", got, hub.Acquaintance{User: ada, Identified: true})
		}},
	}
}

package storetest

import (
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

func hostileText() []test {
	return []test{
		{"What looks like SQL, a pattern or markup is text like any other", func(f fixture) {
			for _, text := range []string{
				"' OR 1=1 --", `"; DROP TABLE users; --`, "$1", "?", "%", "_", `\`, "<script>", "a/b", "../..", "ﬀ", "\u202eadmin",
				"a\x1fb", "\n", "👩‍🔬", strings.Repeat("x", 4000), `["a"]`, "NULL",
			} {
				u := f.user(text, text)
				got, err := f.store.UserByName(f.ctx, text)
				f.must(err)
				f.same("the user", got, u)
				s := f.server(u, text, hub.Stopped)
				server, err := f.store.ServerByName(f.ctx, u.ID, text)
				f.must(err)
				f.same("the server", server, s)
				f.must(f.store.LinkIdentity(f.ctx, u.ID, text, text))
				owner, err := f.store.Acquaintance(f.ctx, text, text, "")
				f.must(err)
				f.same("the owner", owner, hub.Acquaintance{User: u, Identified: true})
				namesake, err := f.store.Acquaintance(f.ctx, text, "another", text)
				f.must(err)
				f.same("who has the name", namesake, hub.Acquaintance{User: u, Providers: []string{text}})
			}
		}},
		{"Names that look alike are not the same", func(f fixture) {
			for _, name := range []string{"é", "e\u0301", "a", "a ", "A", "а" /* Cyrillic */} {
				f.user(name)
			}
			_, total, err := f.store.Users(f.ctx, hub.UserQuery{})
			f.must(err)
			f.same("the number of users", total, 6)
		}},
		{"What no database can store is nowhere, and refused with a sentence", func(f fixture) {
			ada := f.user("ada")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "oidc", "7"))
			for _, text := range []string{"\x00", "ada\x00", "\xff", "a\xc3"} {
				_, err := f.store.UserByName(f.ctx, text)
				f.wants(err, hub.ErrNotFound)
				_, err = f.store.ServerByName(f.ctx, ada.ID, text)
				f.wants(err, hub.ErrNotFound)
				_, err = f.store.Acquaintance(f.ctx, "oidc", text, text)
				f.wants(err, hub.ErrNotFound)
				for _, by := range [][2]string{{"7", text}, {text, "ada"}} {
					found, err := f.store.Acquaintance(f.ctx, "oidc", by[0], by[1])
					f.must(err)
					f.same("who is found by the rest", found.User, ada)
				}
				f.finds(hub.UserQuery{NameContains: text + "x"})
				_, total, err := f.store.Servers(f.ctx, hub.ServerQuery{UserIDs: []string{text}})
				f.must(err)
				f.same("the total", total, 0)
				for _, err := range []error{
					f.store.LinkIdentity(f.ctx, ada.ID, "github", text),
					f.store.CreateUser(f.ctx, hub.User{ID: newID(), Name: text}),
					f.store.CreateUser(f.ctx, hub.User{ID: newID(), Name: "bob", Groups: []string{text}}),
					f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, Name: text, State: hub.Stopped}),
					f.store.InTx(f.ctx, func(tx hub.Store) error {
						_, err := tx.CreateToken(f.ctx, hub.Token{UserID: ada.ID, Hash: hashOf("x"), Note: text})
						return err
					}),
				} {
					f.same("the kind of error", hub.KindOf(err), hub.Invalid)
				}
			}
			f.finds(hub.UserQuery{}, "ada")
		}},
	}
}

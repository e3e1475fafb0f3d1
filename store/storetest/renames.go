package storetest

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
)

func renames() []test {
	return []test{
		{"A user's other name is everywhere, and the old one is free", func(f fixture) {
			ada, bob := f.user("ada", "math"), f.user("bob")
			s := f.server(ada, "lab", hub.Stopped)
			f.volume(ofUser(ada, "home"), func(v *hub.Volume) { v.UserName = "ada" })
			f.run(ada, 1, "i1", noon)
			f.session(ada, "b")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "dummy", "7"))
			f.must(f.store.RenameUser(f.ctx, ada.ID, "Éda"))

			_, err := f.store.UserByName(f.ctx, "ada")
			f.wants(err, hub.ErrNotFound)
			now, err := f.store.Acquaintance(f.ctx, "dummy", "7", "ada")
			f.must(err)
			want := ada
			want.Name = "Éda"
			f.same("the user", now.User, want)
			found, _, err := f.store.Users(f.ctx, hub.UserQuery{NameContains: "éd"})
			f.must(err)
			f.same("the users of the name", found, []hub.User{want})
			s, err = f.store.ServerByID(f.ctx, s.ID)
			f.must(err)
			f.same("the server's owner", s.UserName, "Éda")
			v, err := f.store.VolumeByOwner(f.ctx, ofUser(ada, "home"))
			f.must(err)
			f.same("the volume's owner", []any{v.UserName, v.Revision}, []any{"Éda", int64(1)})
			f.same("the run's user", f.runs()[0].UserName, "Éda")

			f.wants(f.store.RenameUser(f.ctx, ada.ID, "bob"), hub.ErrExists)
			f.wants(f.store.RenameUser(f.ctx, newID(), "nobody"), hub.ErrNotFound)
			f.must(f.store.RenameUser(f.ctx, bob.ID, "ada"))
		}},
		{"Scopes follow the name of a user, and no other scope changes", func(f fixture) {
			const name = `a%"\<_`
			ada, bob := f.user(name), f.user("bob")
			scopes := func(name string) []string {
				return []string{
					"self", "read:users!user=" + name, "servers!server=" + name + "/", "access:servers!server=" + name + "/l!user=" + name,
					"read:users!user=" + name + "x", "servers!server=x" + name + "/", "read:groups!group=" + name, "read:users!user",
				}
			}
			before, after := scopes(name), scopes("ada")
			for i := 4; i < len(after); i++ {
				after[i] = before[i]
			}
			after[3] = "access:servers!server=ada/l!user=" + name // the server is called so
			mine, others := f.token(hub.Token{UserID: ada.ID, Scopes: before}), f.token(hub.Token{UserID: bob.ID, Scopes: before})
			code := hub.OAuthCode{Hash: hashOf("c"), ClientID: f.client(f.server(bob, "", hub.Ready)).ID, UserID: ada.ID, Scopes: before, Expires: noon}
			f.must(f.store.CreateCode(f.ctx, code))
			f.must(f.store.RenameUser(f.ctx, ada.ID, "ada"))
			for owner, id := range map[string]int64{ada.ID: mine.ID, bob.ID: others.ID} {
				t, err := f.store.TokenByID(f.ctx, owner, id)
				f.must(err)
				f.same("the token's scopes", t.Scopes, after)
			}
			code, err := f.store.CodeByHash(f.ctx, code.Hash)
			f.must(err)
			f.same("the code's scopes", code.Scopes, after)
		}},
		{"What is shared is shared under the names of the server and of its owner", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			s := f.server(ada, "lab", hub.Stopped)
			f.share(s, bob.ID, "")
			f.must(f.store.RenameUser(f.ctx, ada.ID, "eda"))
			s.Name = "gpu"
			s, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			f.must(f.store.ServerRenamed(f.ctx, s.ID, "lab"))
			f.shared(bob, "access:servers!server=eda/gpu")
		}},
		{"A server's other name is with its volumes and in scopes", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			s := f.server(ada, "lab", hub.Stopped)
			f.server(bob, "lab", hub.Stopped)
			own := hub.VolumeOwner{Share: profile.ShareServer, UserID: ada.ID, ServerName: "lab", Name: "home"}
			bobs := own
			bobs.UserID = bob.ID
			kept := f.volume(own)
			f.volume(bobs)
			given := f.volume(own, released)
			token := f.token(hub.Token{UserID: bob.ID, Scopes: []string{"servers!server=ada/lab", "servers!server=bob/lab", "servers!server=ada/labs", "servers!user=lab"}})
			s.Name = "gpu"
			s, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			f.must(f.store.ServerRenamed(f.ctx, s.ID, "lab"))

			own.ServerName = "gpu"
			now, err := f.store.VolumeByOwner(f.ctx, own)
			f.must(err)
			f.same("the volume", now.ID, kept.ID)
			_, err = f.store.VolumeByOwner(f.ctx, bobs)
			f.must(err)
			old, err := f.store.VolumeByID(f.ctx, given.ID)
			f.must(err)
			f.same("what was given up before", old.ServerName, "lab")
			token, err = f.store.TokenByID(f.ctx, bob.ID, token.ID)
			f.must(err)
			f.same("the scopes", token.Scopes, []string{"servers!server=ada/gpu", "servers!server=bob/lab", "servers!server=ada/labs", "servers!user=lab"})
			f.wants(f.store.ServerRenamed(f.ctx, newID(), "lab"), hub.ErrNotFound)

			own.ServerName = "next"
			f.volume(own, func(v *hub.Volume) { v.Created = noon.Add(time.Hour) })
			s.Name = "next"
			_, err = f.store.UpdateServer(f.ctx, s)
			f.must(err)
			f.wants(f.store.ServerRenamed(f.ctx, s.ID, "gpu"), hub.ErrExists)
		}},
	}
}

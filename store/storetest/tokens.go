package storetest

import (
	"math"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func tokens() []test {
	return []test{
		{"A token comes back as it was stored, with its ID", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Starting)
			c := f.client(s)
			want := hub.Token{
				UserID: u.ID, Hash: hashOf("secret"), ClientID: c.ID, BrowserID: "b", ServerID: s.ID,
				Scopes: []string{"users:activity!user", `odd"scope,\ü`}, Note: "Server at /user/ada/",
				Created: noon, LastActivity: noon.Add(time.Second), Expires: noon.Add(time.Hour),
			}
			made, err := f.store.CreateToken(f.ctx, want)
			f.must(err)
			if made.ID <= 0 {
				f.Errorf("the token got the ID %d", made.ID)
			}
			want.ID = made.ID
			f.same("the token made", made, want)
			byHash, err := f.store.TokenByHash(f.ctx, want.Hash)
			f.must(err)
			f.same("the token by hash", byHash, want)
			byID, err := f.store.TokenByID(f.ctx, u.ID, want.ID)
			f.must(err)
			f.same("the token by ID", byID, want)
		}},
		{"A token of a person has no client, browser or server", func(f fixture) {
			made := f.token(hub.Token{UserID: f.user("ada").ID, Created: noon})
			got, err := f.store.TokenByHash(f.ctx, made.Hash)
			f.must(err)
			f.same("the token", got, made)
		}},
		{"Hashes are unique, and a token needs what it belongs to", func(f fixture) {
			u := f.user("ada")
			made := f.token(hub.Token{UserID: u.ID})
			_, err := f.store.CreateToken(f.ctx, made)
			f.wants(err, hub.ErrExists)
			for _, t := range []hub.Token{{UserID: newID()}, {UserID: u.ID, ClientID: "gone"}, {UserID: u.ID, ServerID: newID()}} {
				t.Hash = hashOf(newID())
				_, err := f.store.CreateToken(f.ctx, t)
				f.wants(err, hub.ErrNotFound)
			}
		}},
		{"Another user's token is not found by ID", func(f fixture) {
			made := f.token(hub.Token{UserID: f.user("ada").ID})
			_, err := f.store.TokenByID(f.ctx, f.user("bob").ID, made.ID)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.TokenByID(f.ctx, made.UserID, math.MaxInt64)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.TokenByHash(f.ctx, hashOf("other"))
			f.wants(err, hub.ErrNotFound)
		}},
		{"A user's tokens are listed by ID, and an ID is never used again", func(f fixture) {
			u, other := f.user("ada"), f.user("bob")
			one, two := f.token(hub.Token{UserID: u.ID}), f.token(hub.Token{UserID: u.ID})
			f.token(hub.Token{UserID: other.ID})
			f.must(f.store.DeleteToken(f.ctx, two.ID))
			f.must(f.store.DeleteToken(f.ctx, two.ID))
			three := f.token(hub.Token{UserID: u.ID})
			if three.ID <= two.ID {
				f.Errorf("ID %d came after %d", three.ID, two.ID)
			}
			got, err := f.store.Tokens(f.ctx, u.ID)
			f.must(err)
			f.same("the tokens", got, []hub.Token{one, three})
		}},
		{"Tokens go with their browser, and with that one only", func(f fixture) {
			u, other := f.user("ada"), f.user("bob")
			f.token(hub.Token{UserID: u.ID, BrowserID: "b1", Note: "gone"})
			f.token(hub.Token{UserID: u.ID, BrowserID: "b2", Note: "kept"})
			f.token(hub.Token{UserID: u.ID, Note: "kept too"})
			f.token(hub.Token{UserID: other.ID, BrowserID: "b1", Note: "other"})
			f.must(f.store.DeleteTokensOfBrowser(f.ctx, u.ID, "b1"))
			f.must(f.store.DeleteTokensOfBrowser(f.ctx, u.ID, "")) // is no browser, and not all the others
			f.notes(u, "kept", "kept too")
			f.notes(other, "other")
		}},
		{"Tokens go with their client, of one user or of all", func(f fixture) {
			u, other := f.user("ada"), f.user("bob")
			c := f.client(f.server(u, "", hub.Ready))
			for _, user := range []hub.User{u, other} {
				f.token(hub.Token{UserID: user.ID, ClientID: c.ID, Note: "issued"})
				f.token(hub.Token{UserID: user.ID, Note: "own"})
			}
			f.must(f.store.DeleteTokensOfClient(f.ctx, c.ID, u.ID))
			f.notes(u, "own")
			f.notes(other, "issued", "own")
			f.must(f.store.DeleteTokensOfClient(f.ctx, c.ID, ""))
			f.must(f.store.DeleteTokensOfClient(f.ctx, "", ""))
			f.notes(other, "own")
		}},
		{"Tokens go with their server", func(f fixture) {
			u := f.user("ada")
			one, two := f.server(u, "", hub.Ready), f.server(u, "two", hub.Ready)
			f.token(hub.Token{UserID: u.ID, ServerID: one.ID, Note: "one"})
			f.token(hub.Token{UserID: u.ID, ServerID: two.ID, Note: "two"})
			f.token(hub.Token{UserID: u.ID, Note: "own"})
			f.must(f.store.DeleteTokensOfServer(f.ctx, one.ID))
			f.must(f.store.DeleteTokensOfServer(f.ctx, ""))
			f.notes(u, "two", "own")
			f.must(f.store.DeleteServer(f.ctx, two.ID))
			f.notes(u, "own")
		}},
		{"Only what expired before then is removed, and what never expires stays", func(f fixture) {
			u := f.user("ada")
			f.token(hub.Token{UserID: u.ID, Note: "old", Expires: noon.Add(-time.Microsecond)})
			f.token(hub.Token{UserID: u.ID, Note: "now", Expires: noon})
			f.token(hub.Token{UserID: u.ID, Note: "never"})
			n, err := f.store.DeleteTokensBefore(f.ctx, noon)
			f.must(err)
			f.same("how many were removed", n, 1)
			f.notes(u, "now", "never")
		}},
	}
}

// notes compares the notes of a user's tokens.
func (f fixture) notes(u hub.User, want ...string) {
	f.Helper()
	list, err := f.store.Tokens(f.ctx, u.ID)
	f.must(err)
	var got []string
	for _, t := range list {
		got = append(got, t.Note)
	}
	f.same("the tokens of "+u.Name, got, want)
}

package storetest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func oauth() []test {
	return []test{
		{"A client comes back as it was put, and its tokens outlive a new put", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Ready)
			c := f.client(s)
			got, err := f.store.Client(f.ctx, c.ID)
			f.must(err)
			f.same("the client", got, c)
			issued := f.token(hub.Token{UserID: u.ID, ClientID: c.ID})

			c.SecretHash, c.RedirectURI, c.AllowedScopes, c.Description = hashOf("new"), "https://x/cb", nil, "other"
			f.must(f.store.PutClient(f.ctx, c))
			got, err = f.store.Client(f.ctx, c.ID)
			f.must(err)
			f.same("the client put again", got, c)
			_, err = f.store.TokenByHash(f.ctx, issued.Hash)
			f.must(err)
			_, err = f.store.Client(f.ctx, "jupyterhub-user-nobody")
			f.wants(err, hub.ErrNotFound)
		}},
		{"A client needs no server, but one that it names must be there", func(f fixture) {
			c := hub.OAuthClient{ID: "service-x", SecretHash: hashOf("x"), RedirectURI: "/services/x/oauth_callback"}
			f.must(f.store.PutClient(f.ctx, c))
			got, err := f.store.Client(f.ctx, c.ID)
			f.must(err)
			f.same("the client", got, c)
			f.must(f.store.DeleteClientsOfServer(f.ctx, ""))
			_, err = f.store.Client(f.ctx, c.ID)
			f.must(err)
			c.ServerID = newID()
			f.wants(f.store.PutClient(f.ctx, c), hub.ErrNotFound)
		}},
		{"A server's clients go with their codes and tokens, and others stay", func(f fixture) {
			u := f.user("ada")
			one, two := f.server(u, "", hub.Ready), f.server(u, "two", hub.Ready)
			gone, kept := f.client(one), f.client(two)
			goneCode, keptCode := f.code(u, gone), f.code(u, kept)
			f.token(hub.Token{UserID: u.ID, ClientID: gone.ID, Note: "gone"})
			f.token(hub.Token{UserID: u.ID, ClientID: kept.ID, Note: "kept"})
			f.token(hub.Token{UserID: u.ID, ServerID: one.ID, Note: "the server's own"})
			f.must(f.store.DeleteClientsOfServer(f.ctx, one.ID))
			_, err := f.store.Client(f.ctx, gone.ID)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.CodeByHash(f.ctx, goneCode.Hash)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.CodeByHash(f.ctx, keptCode.Hash)
			f.must(err)
			f.notes(u, "kept", "the server's own")
		}},
		{"A code comes back as it was stored, also when it has expired", func(f fixture) {
			u := f.user("ada")
			want := f.code(u, f.client(f.server(u, "", hub.Ready)))
			got, err := f.store.CodeByHash(f.ctx, want.Hash)
			f.must(err)
			f.same("the code", got, want)
			f.wants(f.store.CreateCode(f.ctx, want), hub.ErrExists)
			want.Hash, want.ClientID = hashOf("other"), "gone"
			f.wants(f.store.CreateCode(f.ctx, want), hub.ErrNotFound)
		}},
		{"A code is taken once, by one of fifty", func(f fixture) {
			u := f.user("ada")
			c := f.code(u, f.client(f.server(u, "", hub.Ready)))
			var won atomic.Int64
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					taken, err := f.store.TakeCode(f.ctx, c.Hash)
					if err != nil {
						f.Error(err)
					}
					if taken {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			f.same("how many took it", won.Load(), int64(1))
			_, err := f.store.CodeByHash(f.ctx, c.Hash)
			f.wants(err, hub.ErrNotFound)
			taken, err := f.store.TakeCode(f.ctx, hashOf("never was"))
			f.must(err)
			f.same("whether an unknown code was taken", taken, false)
		}},
		{"A code gives one token, which is found again by the code and its client", func(f fixture) {
			u := f.user("ada")
			one, two := f.client(f.server(u, "", hub.Ready)), f.client(f.server(u, "two", hub.Ready))
			given := f.token(hub.Token{UserID: u.ID, ClientID: one.ID, CodeHash: hashOf("code"), Note: "given"})
			f.token(hub.Token{UserID: u.ID, ClientID: one.ID, CodeHash: hashOf("other"), Note: "other"})
			f.token(hub.Token{UserID: u.ID, ClientID: one.ID, Note: "of no code"})
			got, err := f.store.TokenByHash(f.ctx, given.Hash)
			f.must(err)
			f.same("the token", got, given)
			again := given
			again.Hash = hashOf("again")
			_, err = f.store.CreateToken(f.ctx, again)
			f.wants(err, hub.ErrExists)
			for _, miss := range []struct {
				client string
				code   []byte
			}{{two.ID, hashOf("code")}, {one.ID, hashOf("unknown")}, {one.ID, nil}, {one.ID, []byte{}}, {"", hashOf("code")}} {
				gone, err := f.store.DeleteTokenOfCode(f.ctx, miss.client, miss.code)
				f.must(err)
				f.same("whether there was a token", gone, false)
			}
			f.notes(u, "given", "other", "of no code")
			for _, want := range []bool{true, false} {
				gone, err := f.store.DeleteTokenOfCode(f.ctx, one.ID, hashOf("code"))
				f.must(err)
				f.same("whether there was a token", gone, want)
			}
			f.notes(u, "other", "of no code")
		}},
		{"Of many who exchange a code one makes a token, and one of the others revokes it", func(f fixture) {
			u := f.user("ada")
			c := f.code(u, f.client(f.server(u, "", hub.Ready)))
			var made, found atomic.Int64
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					mine := false
					err := f.store.InTx(f.ctx, func(tx hub.Store) (err error) {
						if mine, err = tx.TakeCode(f.ctx, c.Hash); err != nil || !mine {
							return err
						}
						_, err = tx.CreateToken(f.ctx, hub.Token{UserID: u.ID, ClientID: c.ClientID, CodeHash: c.Hash, Hash: hashOf(strconv.Itoa(i))})
						return err
					})
					if err != nil {
						f.Error(err)
						return
					}
					if mine {
						made.Add(1)
						return
					}
					gone, err := f.store.DeleteTokenOfCode(f.ctx, c.ClientID, c.Hash)
					if err != nil {
						f.Error(err)
					}
					if gone {
						found.Add(1)
					}
				})
			}
			wg.Wait()
			f.same("how many made a token", made.Load(), int64(1))
			f.same("how many revoked it", found.Load(), int64(1))
			f.notes(u)
		}},
		{"Only codes that expired before then are removed", func(f fixture) {
			u := f.user("ada")
			c := f.code(u, f.client(f.server(u, "", hub.Ready))) // expires at noon
			n, err := f.store.DeleteCodesBefore(f.ctx, noon)
			f.must(err)
			f.same("how many were removed", n, 0)
			n, err = f.store.DeleteCodesBefore(f.ctx, noon.Add(time.Microsecond))
			f.must(err)
			f.same("how many were removed", n, 1)
			_, err = f.store.CodeByHash(f.ctx, c.Hash)
			f.wants(err, hub.ErrNotFound)
		}},
	}
}

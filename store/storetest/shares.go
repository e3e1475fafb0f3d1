package storetest

import (
	"math"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// access is what people share.
func access() []string { return []string{"access:servers"} }

func (f fixture) share(s hub.Server, userID, group string, scopes ...string) hub.Share {
	f.Helper()
	if scopes == nil {
		scopes = access()
	}
	made, err := f.store.PutShare(f.ctx, s.ID, userID, group, scopes, noon)
	f.must(err)
	return made
}

// shared compares what the one user is told to have been lent, however they are read.
func (f fixture) shared(u hub.User, want ...string) {
	f.Helper()
	byID, err := f.store.UserByID(f.ctx, u.ID)
	f.must(err)
	f.same("what is shared with "+u.Name, byID.Shared, want)
	byName, err := f.store.UserByName(f.ctx, u.Name)
	f.must(err)
	f.same("what is shared with "+u.Name+", by name", byName.Shared, want)
}

// findsShares compares which shares match, by ID, and their number.
func (f fixture) findsShares(what string, q hub.ShareQuery, want ...hub.Share) {
	f.Helper()
	got, total, err := f.store.Shares(f.ctx, q)
	f.must(err)
	f.same(what, got, want)
	f.same("the total of "+what, total, len(want))
}

func shares() []test {
	return []test{
		{"A share comes back as it was put, with its names, and is replaced by the next of the same kind", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob", "lab")
			s := f.server(ada, "two", hub.Ready)
			one := f.share(s, bob.ID, "")
			f.same("the share", one, hub.Share{
				ID: one.ID, ServerID: s.ID, UserName: "ada", ServerName: "two", Ready: true, User: "bob", Scopes: access(), Created: noon,
			})
			two := f.share(s, "", "lab", "access:servers", "read:servers")
			f.same("the share with a group", two, hub.Share{
				ID: two.ID, ServerID: s.ID, UserName: "ada", ServerName: "two", Ready: true, Group: "lab", Scopes: []string{"access:servers", "read:servers"}, Created: noon,
			})
			again, err := f.store.PutShare(f.ctx, s.ID, bob.ID, "", []string{"shares"}, noon.Add(time.Hour))
			f.must(err)
			one.Scopes = []string{"shares"}
			f.same("the share put again", again, one)
			f.findsShares("all shares", hub.ShareQuery{ServerID: s.ID}, one, two)
		}},
		{"A share needs its server, and the user or group that it is for", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			s := f.server(ada, "", hub.Stopped)
			for _, c := range []struct{ server, user, group string }{
				{newID(), bob.ID, ""}, {s.ID, newID(), ""}, {s.ID, "", "nobody"}, {s.ID, "", ""}, {newID(), "", "nobody"},
			} {
				_, err := f.store.PutShare(f.ctx, c.server, c.user, c.group, access(), noon)
				f.wants(err, hub.ErrNotFound)
			}
			f.findsShares("shares", hub.ShareQuery{})
		}},
		{"A user is read with what is shared with them and their groups, under the names of now", func(f fixture) {
			ada, bob, cleo := f.user("ada"), f.user("bob", "lab", "choir"), f.user("cleo", "choir")
			f.shared(bob)
			one, two := f.server(ada, "", hub.Stopped), f.server(ada, `t"wo]`, hub.Stopped)
			f.share(one, bob.ID, "")
			f.share(two, "", "choir", "access:servers", "read:servers")
			f.share(one, "", "lab")
			f.shared(cleo, `access:servers!server=ada/t"wo]`, `read:servers!server=ada/t"wo]`)
			f.shared(ada)
			f.shared(bob, "access:servers!server=ada/", `access:servers!server=ada/t"wo]`, `read:servers!server=ada/t"wo]`)
			f.must(f.store.LinkIdentity(f.ctx, cleo.ID, "oidc", "c"))
			u, err := f.store.Acquaintance(f.ctx, "oidc", "c", "")
			f.must(err)
			f.same("what is shared with cleo, by identity", len(u.User.Shared), 2)
			list, _, err := f.store.Users(f.ctx, hub.UserQuery{NameContains: "bob"})
			f.must(err)
			f.same("what a list says", len(list[0].Shared), 0)

			ada.Name = "ada lovelace"
			f.must(f.store.UpdateUser(f.ctx, ada))
			cleo.Groups = nil
			f.must(f.store.UpdateUser(f.ctx, cleo))
			f.shared(cleo)
			bob.Groups = []string{"lab"}
			f.must(f.store.UpdateUser(f.ctx, bob))
			f.shared(bob, "access:servers!server=ada lovelace/")
		}},
		{"Shares are selected by owner, server, user and groups", func(f fixture) {
			ada, bob, cleo := f.user("ada"), f.user("bob", "lab", "choir"), f.user("cleo", "choir")
			one, two, other := f.server(ada, "", hub.Stopped), f.server(ada, "two", hub.Stopped), f.server(cleo, "", hub.Stopped)
			direct, lab, choir := f.share(one, bob.ID, ""), f.share(one, "", "lab"), f.share(two, "", "choir")
			cleos := f.share(other, bob.ID, "")
			f.findsShares("of ada", hub.ShareQuery{OwnerID: ada.ID}, direct, lab, choir)
			f.findsShares("of one server", hub.ShareQuery{ServerID: one.ID}, direct, lab)
			f.findsShares("with bob", hub.ShareQuery{UserID: bob.ID}, direct, cleos)
			f.findsShares("with bob of ada", hub.ShareQuery{UserID: bob.ID, OwnerID: ada.ID}, direct)
			f.findsShares("with groups", hub.ShareQuery{Groups: []string{"lab", "choir", "none"}}, lab, choir)
			f.findsShares("with a group, of one server", hub.ShareQuery{Groups: []string{"lab"}, ServerID: two.ID})
			f.findsShares("with bob or his groups", hub.ShareQuery{UserID: bob.ID, Groups: bob.Groups, Either: true}, direct, lab, choir, cleos)
			f.findsShares("with bob or no group", hub.ShareQuery{UserID: bob.ID, Either: true}, direct, cleos)
			f.findsShares("with bob or his groups, of one server", hub.ShareQuery{UserID: bob.ID, Groups: bob.Groups, Either: true, ServerID: one.ID}, direct, lab)
			f.findsShares("by ID", hub.ShareQuery{ID: lab.ID}, lab)
			f.findsShares("with no group", hub.ShareQuery{Groups: []string{}})

			page, total, err := f.store.Shares(f.ctx, hub.ShareQuery{UserID: bob.ID, Groups: bob.Groups, Either: true, Offset: 1, Limit: 2})
			f.must(err)
			f.same("a page", page, []hub.Share{lab, choir})
			f.same("how many there are in all", total, 4)
		}},
		{"Shares are removed one by one, and by server", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob", "lab")
			one, two := f.server(ada, "", hub.Stopped), f.server(ada, "two", hub.Stopped)
			gone, kept := f.share(one, bob.ID, ""), f.share(two, bob.ID, "")
			f.share(one, "", "lab")
			f.must(f.store.DeleteShare(f.ctx, gone.ID))
			f.must(f.store.DeleteShare(f.ctx, gone.ID))
			f.shared(bob, "access:servers!server=ada/", "access:servers!server=ada/two")
			f.share(one, bob.ID, "")
			n, err := f.store.DeleteSharesOfServer(f.ctx, one.ID)
			f.must(err)
			f.same("how many were removed", n, 2)
			f.findsShares("what is left", hub.ShareQuery{}, kept)
		}},
		{"Shares go with the server, the user and the group", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob", "lab")
			one, two, three := f.server(ada, "", hub.Stopped), f.server(ada, "two", hub.Stopped), f.server(bob, "", hub.Stopped)
			f.share(one, bob.ID, "")
			kept := f.share(two, "", "lab")
			f.share(three, ada.ID, "")
			f.shareCode(one, noon.Add(time.Hour))
			f.must(f.store.DeleteServer(f.ctx, one.ID))
			f.findsShares("shares of ada", hub.ShareQuery{OwnerID: ada.ID}, kept)
			f.must(f.store.DeleteUser(f.ctx, bob.ID))
			f.findsShares("shares", hub.ShareQuery{}, kept)
			_, total, err := f.store.ShareCodes(f.ctx, hub.ShareCodeQuery{})
			f.must(err)
			f.same("the codes of the server that is gone", total, 0)
		}},
		{"What cannot be stored is nobody to share with", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			_, err := f.store.PutShare(f.ctx, s.ID, "", "a\x00", access(), noon)
			f.same("the kind of error", hub.KindOf(err), hub.Invalid)
			f.findsShares("shares", hub.ShareQuery{Groups: []string{"\xff"}})
		}},
	}
}

func (f fixture) shareCode(s hub.Server, expires time.Time) hub.ShareCode {
	f.Helper()
	made, err := f.store.CreateShareCode(f.ctx, hub.ShareCode{ServerID: s.ID, Hash: hashOf(newID()), Scopes: access(), Created: noon, Expires: expires})
	f.must(err)
	return made
}

func (f fixture) findsCodes(what string, q hub.ShareCodeQuery, want ...hub.ShareCode) {
	f.Helper()
	got, total, err := f.store.ShareCodes(f.ctx, q)
	f.must(err)
	f.same(what, got, want)
	f.same("the total of "+what, total, len(want))
}

func shareCodes() []test {
	return []test{
		{"A code comes back as it was made, also when it has expired, and counts its exchanges", func(f fixture) {
			s := f.server(f.user("ada"), "two", hub.Ready)
			made := f.shareCode(s, noon)
			f.same("the code", made, hub.ShareCode{
				ID: made.ID, ServerID: s.ID, UserName: "ada", ServerName: "two", Ready: true, Hash: made.Hash, Scopes: access(), Created: noon, Expires: noon,
			})
			f.must(f.store.CountExchange(f.ctx, made.ID, noon.Add(time.Minute)))
			f.must(f.store.CountExchange(f.ctx, made.ID, noon.Add(time.Hour)))
			made.Exchanges, made.LastExchanged = 2, noon.Add(time.Hour)
			got, err := f.store.ShareCodeByHash(f.ctx, made.Hash)
			f.must(err)
			f.same("the code by hash", got, made)
			_, err = f.store.ShareCodeByHash(f.ctx, hashOf("other"))
			f.wants(err, hub.ErrNotFound)
			f.wants(f.store.CountExchange(f.ctx, math.MaxInt64, noon), hub.ErrNotFound)
		}},
		{"Hashes are unique, and a code needs its server", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			made := f.shareCode(s, noon)
			_, err := f.store.CreateShareCode(f.ctx, made)
			f.wants(err, hub.ErrExists)
			_, err = f.store.CreateShareCode(f.ctx, hub.ShareCode{ServerID: newID(), Hash: hashOf("new"), Expires: noon})
			f.wants(err, hub.ErrNotFound)
		}},
		{"Codes are selected by owner and server, without those that have expired", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			one, two, other := f.server(ada, "", hub.Stopped), f.server(ada, "two", hub.Stopped), f.server(bob, "", hub.Stopped)
			f.shareCode(one, noon)
			a, b, c := f.shareCode(one, noon.Add(time.Microsecond)), f.shareCode(two, noon.Add(time.Hour)), f.shareCode(other, noon.Add(time.Hour))
			f.findsCodes("of ada", hub.ShareCodeQuery{OwnerID: ada.ID, Now: noon}, a, b)
			f.findsCodes("of one server", hub.ShareCodeQuery{ServerID: two.ID, OwnerID: ada.ID, Now: noon}, b)
			f.findsCodes("of all", hub.ShareCodeQuery{Now: noon}, a, b, c)
			page, total, err := f.store.ShareCodes(f.ctx, hub.ShareCodeQuery{Now: noon, Offset: 1, Limit: 1})
			f.must(err)
			f.same("a page", page, []hub.ShareCode{b})
			f.same("how many there are in all", total, 3)
		}},
		{"Codes are removed by ID, by hash, all of a server, and by age", func(f fixture) {
			ada := f.user("ada")
			one, two := f.server(ada, "", hub.Stopped), f.server(ada, "two", hub.Stopped)
			later := noon.Add(time.Hour)
			a, b, c := f.shareCode(one, later), f.shareCode(one, later), f.shareCode(one, later)
			other, old := f.shareCode(two, later), f.shareCode(two, noon)
			remove := func(server hub.Server, id int64, hash []byte, want int) {
				f.Helper()
				n, err := f.store.DeleteShareCodes(f.ctx, server.ID, id, hash)
				f.must(err)
				f.same("how many were removed", n, want)
			}
			remove(one, other.ID, nil, 0)
			remove(one, 0, other.Hash, 0)
			remove(one, a.ID, nil, 1)
			remove(one, 0, b.Hash, 1)
			f.findsCodes("what is left", hub.ShareCodeQuery{Now: noon}, c, other)
			remove(one, 0, nil, 1)
			f.findsCodes("what is left", hub.ShareCodeQuery{Now: noon}, other)
			n, err := f.store.DeleteShareCodesBefore(f.ctx, noon)
			f.must(err)
			f.same("how many were older", n, 0)
			n, err = f.store.DeleteShareCodesBefore(f.ctx, noon.Add(time.Microsecond))
			f.must(err)
			f.same("how many were older", n, 1)
			_, err = f.store.ShareCodeByHash(f.ctx, old.Hash)
			f.wants(err, hub.ErrNotFound)
		}},
	}
}

package storetest

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func audit() []test {
	return []test{
		{"What was added comes back, the newest first", func(f fixture) {
			first, second := auditEntry("server.start", 0), auditEntry("server.stop", 1)
			second.Token, second.Detail = 7, json.RawMessage(`{"status":202,"what":"\"<é>\""}`)
			second.Result, second.Kind = hub.AuditRefused, hub.ActorService
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{first, second}))
			f.must(f.store.AddAudit(f.ctx, nil))
			f.same("the log", f.audit(hub.AuditQuery{}), []hub.AuditEntry{second, first})
		}},
		{"Each filter selects", func(f fixture) {
			a, b, c := auditEntry("server.start", 0), auditEntry("user.create", 1), auditEntry("token.create", 2)
			b.Actor, b.Owner, b.OwnerID, b.Target = "root", "bob", "id-of-bob", "user/bob"
			c.Target = "token/3"
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{a, b, c}))
			f.same("of an owner", f.audit(hub.AuditQuery{Owner: "bob"}), []hub.AuditEntry{b})
			f.same("of an owner by ID", f.audit(hub.AuditQuery{OwnerID: "id-of-ada"}), []hub.AuditEntry{c, a})
			f.same("of an owner's servers", f.audit(hub.AuditQuery{OwnerID: "id-of-ada", Servers: true}), []hub.AuditEntry{a})
			f.same("of an actor", f.audit(hub.AuditQuery{Actor: "root"}), []hub.AuditEntry{b})
			f.same("of actions", f.audit(hub.AuditQuery{Actions: []string{"token.create", "server.start"}}), []hub.AuditEntry{c, a})
			f.same("of no action", f.audit(hub.AuditQuery{Actions: []string{}}), []hub.AuditEntry{})
			f.same("since", f.audit(hub.AuditQuery{Since: b.At}), []hub.AuditEntry{c, b})
			f.same("until", f.audit(hub.AuditQuery{Until: b.At}), []hub.AuditEntry{a})
			f.same("all at once", f.audit(hub.AuditQuery{Owner: "bob", Actor: "root", Actions: []string{"user.create"}, Since: a.At, Until: c.At}),
				[]hub.AuditEntry{b})
			f.same("what cannot be stored", f.audit(hub.AuditQuery{Actor: "a\x00"}), []hub.AuditEntry{})
		}},
		{"Pages go on where the last one ended, whatever is added meanwhile", func(f fixture) {
			var all []hub.AuditEntry
			for i := range 5 {
				all = append(all, auditEntry("server.start", i))
			}
			f.must(f.store.AddAudit(f.ctx, all))
			page, err := f.store.Audit(f.ctx, hub.AuditQuery{Limit: 2})
			f.must(err)
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{auditEntry("server.stop", 9)}))
			f.same("the rest", f.audit(hub.AuditQuery{Before: page[1].ID}), []hub.AuditEntry{all[2], all[1], all[0]})
		}},
		{"An entry outlives whom it is about", func(f fixture) {
			u := f.user("ada")
			e := auditEntry("user.delete", 0)
			e.OwnerID = u.ID
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{e}))
			f.must(f.store.DeleteUser(f.ctx, u.ID))
			f.same("the log", f.audit(hub.AuditQuery{}), []hub.AuditEntry{e})
		}},
		{"Old entries are forgotten, and their IDs never come again", func(f fixture) {
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{auditEntry("a", 0), auditEntry("b", 1)}))
			before, err := f.store.Audit(f.ctx, hub.AuditQuery{Limit: 1})
			f.must(err)
			n, err := f.store.DeleteAuditBefore(f.ctx, auditEntry("", 1).At)
			f.must(err)
			f.same("how many were forgotten", n, 1)
			n, err = f.store.DeleteAuditBefore(f.ctx, auditEntry("", 2).At)
			f.must(err)
			f.same("how many were forgotten", n, 1)
			f.must(f.store.AddAudit(f.ctx, []hub.AuditEntry{auditEntry("c", 2)}))
			after, err := f.store.Audit(f.ctx, hub.AuditQuery{})
			f.must(err)
			if len(after) != 1 || after[0].ID <= before[0].ID {
				f.Errorf("after the last entry %d was forgotten there are %+v", before[0].ID, after)
			}
		}},
		{"Several may add at once, and nothing is lost", func(f fixture) {
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := range 10 {
						if err := f.store.AddAudit(f.ctx, []hub.AuditEntry{auditEntry("x", w), auditEntry("y", i)}); err != nil {
							f.Error(err)
						}
					}
				})
			}
			wg.Wait()
			f.same("how many there are", len(f.audit(hub.AuditQuery{})), 80)
		}},
		{"Text that cannot be stored is refused", func(f fixture) {
			for _, bad := range []string{"a\x00", "a\xff"} {
				e := auditEntry("server.start", 0)
				e.Actor = bad
				if err := f.store.AddAudit(f.ctx, []hub.AuditEntry{e}); hub.KindOf(err) != hub.Invalid {
					f.Errorf("the actor %q: got error %v, want Invalid", bad, err)
				}
			}
		}},
	}
}

// auditEntry is one of ada's, some minutes after noon.
func auditEntry(action string, minutes int) hub.AuditEntry {
	return hub.AuditEntry{
		At: noon.Add(time.Duration(minutes) * time.Minute), Kind: hub.ActorUser, Actor: "ada", Address: "2001:db8::1", Action: action,
		Target: "server/ada/lab", Owner: "ada", OwnerID: "id-of-ada", Result: hub.AuditDone,
	}
}

// audit reads the log, without the IDs, which the store chooses.
func (f fixture) audit(q hub.AuditQuery) []hub.AuditEntry {
	f.Helper()
	all, err := f.store.Audit(f.ctx, q)
	f.must(err)
	for i := range all {
		all[i].ID = 0
	}
	return all
}

package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func activity() []test {
	return []test{
		{"Activity moves server and owner forward, never back", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Ready)
			for _, step := range []struct {
				at, want time.Time
			}{
				{noon, noon},
				{noon.Add(-time.Hour), noon},
				{noon.Add(time.Microsecond), noon.Add(time.Microsecond)},
			} {
				f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{ServerID: s.ID, Time: step.at}}))
				f.active(u, s, step.want, step.want)
			}
		}},
		{"Activity of a user says nothing of the servers", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Ready)
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{UserID: u.ID, Time: noon}}))
			f.active(u, s, noon, time.Time{})
		}},
		{"The last of many counts, unknown ones are skipped, and none is nothing", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			s, named := f.server(ada, "", hub.Ready), f.server(ada, "named", hub.Ready)
			f.must(f.store.RecordActivity(f.ctx, nil))
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{
				{ServerID: s.ID, Time: noon.Add(time.Second)},
				{ServerID: s.ID, Time: noon},
				{ServerID: named.ID, UserID: ada.ID, Time: noon.Add(3 * time.Second)},
				{ServerID: newID(), Time: noon}, {UserID: newID(), Time: noon}, {UserID: "\x00", Time: noon}, {UserID: `"\é`, Time: noon}, {Time: noon},
			}))
			f.active(ada, s, noon.Add(3*time.Second), noon.Add(time.Second))
			f.active(ada, named, noon.Add(3*time.Second), noon.Add(3*time.Second))
			got, err := f.store.UserByID(f.ctx, bob.ID)
			f.must(err)
			f.same("the one who did nothing", got.LastActivity, time.Time{})
		}},
		{"Thousands are written at once, by several at the same time", func(f fixture) {
			const n = 500
			var updates []hub.ActivityUpdate
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				updates = nil
				for i := range n {
					u := hub.User{ID: newID(), Name: fmt.Sprintf("u%d", i)}
					if err := tx.CreateUser(f.ctx, u); err != nil {
						return err
					}
					s := hub.Server{ID: newID(), UserID: u.ID, State: hub.Ready}
					if err := tx.CreateServer(f.ctx, s); err != nil {
						return err
					}
					updates = append(updates, hub.ActivityUpdate{ServerID: s.ID})
				}
				return nil
			}))
			var wg sync.WaitGroup
			for writer := range 4 {
				wg.Go(func() {
					mine := make([]hub.ActivityUpdate, n)
					for i := range mine {
						mine[(i*7+writer)%n] = hub.ActivityUpdate{
							ServerID: updates[i].ServerID, Time: noon.Add(time.Duration(writer) * time.Second),
						}
					}
					if err := f.store.RecordActivity(f.ctx, mine); err != nil {
						f.Error(err)
					}
				})
			}
			wg.Wait()
			all, _, err := f.store.Users(f.ctx, hub.UserQuery{})
			f.must(err)
			for _, u := range all {
				if !u.LastActivity.Equal(noon.Add(3 * time.Second)) {
					f.Fatalf("%s was last active at %v", u.Name, u.LastActivity)
				}
			}
		}},
		{"Tokens move forward, never back", func(f fixture) {
			u := f.user("ada")
			one, two := f.token(hub.Token{UserID: u.ID}), f.token(hub.Token{UserID: u.ID})
			f.must(f.store.TouchTokens(f.ctx, nil))
			f.must(f.store.TouchTokens(f.ctx, map[int64]time.Time{one.ID: noon, two.ID: noon, two.ID + 1000: noon}))
			f.must(f.store.TouchTokens(f.ctx, map[int64]time.Time{one.ID: noon.Add(-time.Hour), two.ID: noon.Add(time.Hour)}))
			one.LastActivity, two.LastActivity = noon, noon.Add(time.Hour)
			got, err := f.store.Tokens(f.ctx, u.ID)
			f.must(err)
			f.same("the tokens", got, []hub.Token{one, two})
		}},
	}
}

func (f fixture) active(u hub.User, s hub.Server, user, server time.Time) {
	f.Helper()
	gotUser, err := f.store.UserByID(f.ctx, u.ID)
	f.must(err)
	f.same("the user's last activity", gotUser.LastActivity, user)
	gotServer, err := f.store.ServerByID(f.ctx, s.ID)
	f.must(err)
	f.same("the server's last activity", gotServer.LastActivity, server)
}

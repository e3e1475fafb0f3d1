package storetest

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func times() []test {
	return []test{
		{"Times are kept to the microsecond and come back in UTC", func(f fixture) {
			zone := time.FixedZone("far east", 13*3600+1800)
			for _, c := range []struct{ stored, want time.Time }{
				{noon, noon},
				{noon.In(zone), noon},
				{noon.Add(999 * time.Nanosecond), noon},
				{time.Time{}, time.Time{}},
				{time.Unix(0, 0), time.Unix(0, 0).UTC()},
				{time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC), time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC)},
				{time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
			} {
				u := hub.User{ID: newID(), Name: newID(), Created: c.stored, LastActivity: c.stored}
				f.must(f.store.CreateUser(f.ctx, u))
				got, err := f.store.UserByID(f.ctx, u.ID)
				f.must(err)
				f.same("the creation", got.Created, c.want)
				f.same("the last activity", got.LastActivity, c.want)
				s := hub.Server{
					ID: newID(), UserID: u.ID, State: hub.Stopped, Started: c.stored, Failure: &hub.Failure{Message: "m", Time: c.stored},
				}
				f.must(f.store.CreateServer(f.ctx, s))
				server, err := f.store.ServerByID(f.ctx, s.ID)
				f.must(err)
				f.same("the start", server.Started, c.want)
				f.same("the time of the failure", server.Failure.Time, c.want)
			}
		}},
	}
}

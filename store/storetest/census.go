package storetest

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func census() []test {
	return []test{
		{"Users are counted, and those who were active since a time", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			f.user("never")
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{UserID: ada.ID, Time: noon}, {UserID: bob.ID, Time: noon.Add(-time.Hour)}}))
			got, err := f.store.CountUsers(f.ctx, noon.Add(time.Microsecond), noon, noon.Add(-time.Hour))
			f.must(err)
			f.same("the counts", got, hub.UserCount{Total: 3, Active: []int{0, 1, 2}})
			got, err = f.store.CountUsers(f.ctx)
			f.must(err)
			f.same("the count of all", got, hub.UserCount{Total: 3})
		}},
	}
}

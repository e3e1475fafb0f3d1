package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

func (f fixture) volume(o hub.VolumeOwner, change ...func(*hub.Volume)) hub.Volume {
	f.Helper()
	v := hub.Volume{
		ID: newID(), Share: o.Share, UserID: o.UserID, ServerName: o.ServerName, Group: o.Group, Name: o.Name,
		Kind: scheduler.MountDynamic, Retain: profile.RetainKeep, State: hub.VolumeReady, Created: noon,
	}
	for _, c := range change {
		c(&v)
	}
	f.must(f.store.CreateVolume(f.ctx, v))
	return v
}

func ofUser(u hub.User, name string) hub.VolumeOwner {
	return hub.VolumeOwner{Share: profile.ShareUser, UserID: u.ID, Name: name}
}

func released(v *hub.Volume) { v.State = hub.VolumeReleased }

func volumes() []test {
	return []test{
		{"A volume comes back as it was stored, by ID and by owner", func(f fixture) {
			u := f.user("ada")
			want := hub.Volume{
				ID: newID(), Share: profile.ShareServer, UserID: u.ID, UserName: "ada", ServerName: "gpu ü", Group: "", Name: "home",
				Profile: "small", Kind: scheduler.MountCSI, Source: "notebook-x", Node: "n1", NodeID: "id1", CapacityMB: 1 << 40,
				Retain: profile.RetainGrace, Grace: 36 * time.Hour, Created: noon, LastUsed: noon.Add(time.Second), Released: noon.Add(time.Minute),
				DeleteAfter: noon.Add(time.Hour), State: hub.VolumeMaking, Note: "It waits.", Revision: 4,
			}
			f.must(f.store.CreateVolume(f.ctx, want))
			byID, err := f.store.VolumeByID(f.ctx, want.ID)
			f.must(err)
			f.same("the volume by ID", byID, want)
			byOwner, err := f.store.VolumeByOwner(f.ctx, want.Owner())
			f.must(err)
			f.same("the volume by owner", byOwner, want)
		}},
		{"An owner has one live volume of a name, and any number that were given up", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			f.volume(ofUser(ada, "home"))
			for _, o := range []hub.VolumeOwner{
				ofUser(ada, "scratch"), ofUser(bob, "home"),
				{Share: profile.ShareServer, UserID: ada.ID, Name: "home"}, {Share: profile.ShareServer, UserID: ada.ID, ServerName: "x", Name: "home"},
				{Share: profile.ShareGroup, Group: "a", Name: "home"}, {Share: profile.ShareGroup, Group: "b", Name: "home"}, {Share: profile.ShareAll, Name: "home"},
			} {
				f.volume(o)
			}
			second := hub.Volume{ID: newID(), Share: profile.ShareUser, UserID: ada.ID, Name: "home", State: hub.VolumeMaking}
			f.wants(f.store.CreateVolume(f.ctx, second), hub.ErrExists)
			one := f.volume(ofUser(ada, "home"), released)
			f.volume(ofUser(ada, "home"), released)
			one.State = hub.VolumeReady
			_, err := f.store.UpdateVolume(f.ctx, one)
			f.wants(err, hub.ErrExists)
		}},
		{"Of many that make an owner's volume at once one wins", func(f fixture) {
			u := f.user("ada")
			var won atomic.Int64
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					err := f.store.CreateVolume(f.ctx, hub.Volume{ID: newID(), Share: profile.ShareUser, UserID: u.ID, Name: "home", State: hub.VolumeMaking})
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, hub.ErrExists):
						f.Errorf("got error %v, want %v", err, hub.ErrExists)
					}
				})
			}
			wg.Wait()
			f.same("how many won", won.Load(), int64(1))
		}},
		{"The unknown is not found, and deleting it is no error", func(f fixture) {
			_, err := f.store.VolumeByID(f.ctx, newID())
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.VolumeByOwner(f.ctx, hub.VolumeOwner{Share: profile.ShareAll, Name: "x"})
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.UpdateVolume(f.ctx, hub.Volume{ID: newID()})
			f.wants(err, hub.ErrNotFound)
			f.must(f.store.DeleteVolume(f.ctx, newID()))
		}},
		{"An update writes all but ID, creation and last use, and is refused if stale", func(f fixture) {
			ada := f.user("ada")
			before := f.volume(ofUser(ada, "home"))
			change := hub.Volume{
				ID: before.ID, Share: profile.ShareGroup, UserName: "x", ServerName: "y", Group: "g", Name: "other", Profile: "p", Kind: scheduler.MountCSI,
				Source: "s", Node: "n", NodeID: "i", CapacityMB: 5, Retain: profile.RetainDelete, Grace: time.Hour, Created: noon.Add(time.Hour),
				LastUsed: noon.Add(time.Hour), Released: noon, DeleteAfter: noon, State: hub.VolumeReleased, Note: "n.",
			}
			want := change
			want.Created, want.LastUsed, want.Revision = noon, time.Time{}, 1
			got, err := f.store.UpdateVolume(f.ctx, change)
			f.must(err)
			f.same("what the update returned", got, want)
			got, err = f.store.VolumeByID(f.ctx, before.ID)
			f.must(err)
			f.same("the volume", got, want)
			_, err = f.store.UpdateVolume(f.ctx, change)
			f.wants(err, hub.ErrStale)
		}},
		{"What a user gives up goes as each retention says, and nothing else does", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			retain := func(r profile.Retention) func(*hub.Volume) {
				return func(v *hub.Volume) { v.Retain, v.Grace = r, time.Hour }
			}
			keep, grace := f.volume(ofUser(ada, "keep"), retain(profile.RetainKeep)), f.volume(ofUser(ada, "grace"), retain(profile.RetainGrace))
			gone := f.volume(ofUser(ada, "delete"), retain(profile.RetainDelete))
			server := f.volume(hub.VolumeOwner{Share: profile.ShareServer, UserID: ada.ID, ServerName: "x", Name: "home"}, retain(profile.RetainDelete))
			other := f.volume(hub.VolumeOwner{Share: profile.ShareServer, UserID: ada.ID, Name: "home"})
			earlier := f.volume(ofUser(ada, "earlier"), released)
			bobs, common := f.volume(ofUser(bob, "home")), f.volume(hub.VolumeOwner{Share: profile.ShareAll, Name: "home"})

			name := "x"
			n, err := f.store.ReleaseVolumes(f.ctx, ada.ID, &name, noon)
			f.must(err)
			f.same("how many of the server", n, 1)
			n, err = f.store.ReleaseVolumes(f.ctx, ada.ID, nil, noon)
			f.must(err)
			f.same("how many of the user", n, 4)
			for _, c := range []struct {
				v     hub.Volume
				state hub.VolumeState
				after time.Time
			}{
				{keep, hub.VolumeReleased, time.Time{}}, {grace, hub.VolumeReleased, noon.Add(time.Hour)}, {gone, hub.VolumeReleased, noon},
				{server, hub.VolumeReleased, noon}, {other, hub.VolumeReleased, time.Time{}},
				{earlier, hub.VolumeReleased, time.Time{}}, {bobs, hub.VolumeReady, time.Time{}}, {common, hub.VolumeReady, time.Time{}},
			} {
				got, err := f.store.VolumeByID(f.ctx, c.v.ID)
				f.must(err)
				f.same(fmt.Sprintf("state of %s", c.v.Name), got.State, c.state)
				f.same(fmt.Sprintf("end of %s", c.v.Name), got.DeleteAfter, c.after)
				f.same(fmt.Sprintf("release of %s", c.v.Name), got.Released.IsZero(), got.State == hub.VolumeReady || c.v.ID == earlier.ID)
			}
			due, total, err := f.store.Volumes(f.ctx, hub.VolumeQuery{States: []hub.VolumeState{hub.VolumeReleased}, DueBefore: noon})
			f.must(err)
			f.same("how many are due", total, 2)
			f.same("the first that is due", due[0].ID, gone.ID)
		}},
		{"Volumes are selected by whose they are and by state, in pages", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			f.volume(ofUser(ada, "a1"))
			f.volume(ofUser(bob, "b1"))
			f.volume(hub.VolumeOwner{Share: profile.ShareGroup, Group: "red", Name: "g1"})
			f.volume(hub.VolumeOwner{Share: profile.ShareGroup, Group: "blue", Name: "g2"})
			f.volume(hub.VolumeOwner{Share: profile.ShareAll, Name: "all"})
			f.volume(ofUser(ada, "a2"), released)
			for _, c := range []struct {
				query hub.VolumeQuery
				want  []string
				total int
			}{
				{hub.VolumeQuery{}, []string{"a1", "b1", "g1", "g2", "all", "a2"}, 6},
				{hub.VolumeQuery{Offset: 1, Limit: 2}, []string{"b1", "g1"}, 6},
				{hub.VolumeQuery{UserID: ada.ID}, []string{"a1", "a2"}, 2},
				{hub.VolumeQuery{UserID: ada.ID, Groups: []string{"blue", "none"}, Common: true}, []string{"a1", "g2", "all", "a2"}, 4},
				{hub.VolumeQuery{UserID: ada.ID, States: []hub.VolumeState{hub.VolumeReleased}}, []string{"a2"}, 1},
				{hub.VolumeQuery{States: []hub.VolumeState{}}, nil, 0},
			} {
				found, total, err := f.store.Volumes(f.ctx, c.query)
				f.must(err)
				var got []string
				for _, v := range found {
					got = append(got, v.Name)
				}
				f.same(fmt.Sprintf("the result of %+v", c.query), got, c.want)
				f.same("the total", total, c.total)
			}
		}},
		{"Uses tell which servers mount a volume, and whether they do so now", func(f fixture) {
			ada := f.user("ada")
			v, unused := f.volume(ofUser(ada, "home")), f.volume(ofUser(ada, "other"))
			s, gone := f.server(ada, "x", hub.Starting), f.server(ada, "gone", hub.Ready)
			f.must(f.store.UseVolume(f.ctx, v.ID, s.ID, s.Generation, noon))
			f.must(f.store.UseVolume(f.ctx, v.ID, s.ID, s.Generation, noon.Add(time.Second)))
			f.must(f.store.UseVolume(f.ctx, v.ID, gone.ID, 0, noon.Add(time.Minute)))
			f.must(f.store.DeleteServer(f.ctx, gone.ID))
			uses := func(active bool) {
				f.Helper()
				got, err := f.store.VolumeUses(f.ctx, []string{v.ID, unused.ID, newID()})
				f.must(err)
				f.same("the uses", got, []hub.VolumeUse{{VolumeID: v.ID, ServerID: s.ID, UserName: "ada", ServerName: "x", Active: active}})
			}
			uses(true)
			mounted, total, err := f.store.Volumes(f.ctx, hub.VolumeQuery{ServerID: s.ID, States: []hub.VolumeState{hub.VolumeReady}})
			f.must(err)
			f.same("what the server mounts", []any{total, mounted[0].ID}, []any{1, v.ID})
			s.State = hub.Stopped
			s, err = f.store.UpdateServer(f.ctx, s)
			f.must(err)
			uses(false)
			s.State, s.Generation = hub.Starting, s.Generation+1
			_, err = f.store.UpdateServer(f.ctx, s)
			f.must(err)
			uses(false) // the run that mounted it has ended
			got, err := f.store.VolumeByID(f.ctx, v.ID)
			f.must(err)
			f.same("the last use", got.LastUsed, noon.Add(time.Minute))
			f.same("the revision", got.Revision, int64(0))
			f.wants(f.store.UseVolume(f.ctx, newID(), s.ID, 1, noon), hub.ErrNotFound)
			f.must(f.store.DeleteVolume(f.ctx, v.ID))
			var many []string
			for range 30 {
				many = append(many, newID())
			}
			f.must(f.store.UseVolume(f.ctx, unused.ID, s.ID, 1, noon))
			among, err := f.store.VolumeUses(f.ctx, append(many, unused.ID))
			f.must(err)
			f.same("the uses among many", len(among), 1)
			left, err := f.store.VolumeUses(f.ctx, []string{v.ID})
			f.must(err)
			f.same("the uses of a deleted volume", left, []hub.VolumeUse(nil))
		}},
		{"A volume stays when its user is deleted", func(f fixture) {
			ada := f.user("ada")
			v := f.volume(ofUser(ada, "home"))
			f.must(f.store.DeleteUser(f.ctx, ada.ID))
			_, err := f.store.VolumeByID(f.ctx, v.ID)
			f.must(err)
		}},
	}
}

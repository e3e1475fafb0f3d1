package storetest

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func sessions() []test {
	return []test{
		{"A session comes back as it was stored, also when it has expired", func(f fixture) {
			want := f.session(f.user("ada"), "0123456789abcdef")
			got, err := f.store.SessionByID(f.ctx, want.ID)
			f.must(err)
			f.same("the session", got, want)
			_, err = f.store.SessionByID(f.ctx, newID())
			f.wants(err, hub.ErrNotFound)
		}},
		{"IDs are unique, and a session needs its user", func(f fixture) {
			s := f.session(f.user("ada"), "b")
			f.wants(f.store.CreateSession(f.ctx, s), hub.ErrExists)
			s.ID, s.UserID = newID(), newID()
			f.wants(f.store.CreateSession(f.ctx, s), hub.ErrNotFound)
		}},
		{"A user's sessions are listed newest first", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			var want []hub.Session
			for i := range 3 {
				s := hub.Session{ID: newID(), UserID: ada.ID, Created: noon.Add(-time.Duration(i) * time.Minute), Expires: noon}
				f.must(f.store.CreateSession(f.ctx, s))
				want = append(want, s)
			}
			f.session(bob, "b")
			got, err := f.store.Sessions(f.ctx, ada.ID)
			f.must(err)
			f.same("the sessions", got, want)
		}},
		{"A touch moves the time forward and never back", func(f fixture) {
			s := f.session(f.user("ada"), "b")
			later := noon.Add(time.Microsecond)
			f.must(f.store.TouchSession(f.ctx, s.ID, later))
			f.must(f.store.TouchSession(f.ctx, s.ID, noon.Add(-time.Hour)))
			got, err := f.store.SessionByID(f.ctx, s.ID)
			f.must(err)
			s.LastSeen = later
			f.same("the session", got, s)
			f.wants(f.store.TouchSession(f.ctx, newID(), later), hub.ErrNotFound)

			unseen := hub.Session{ID: newID(), UserID: s.UserID}
			f.must(f.store.CreateSession(f.ctx, unseen))
			f.must(f.store.TouchSession(f.ctx, unseen.ID, noon))
			got, err = f.store.SessionByID(f.ctx, unseen.ID)
			f.must(err)
			f.same("the first touch", got.LastSeen, noon)
		}},
		{"A deleted session is gone, and deleting it again is no error", func(f fixture) {
			s := f.session(f.user("ada"), "b")
			f.must(f.store.DeleteSession(f.ctx, s.ID))
			f.must(f.store.DeleteSession(f.ctx, s.ID))
			_, err := f.store.SessionByID(f.ctx, s.ID)
			f.wants(err, hub.ErrNotFound)
		}},
		{"Only what expired before then is removed, and what never expires stays", func(f fixture) {
			ada := f.user("ada")
			for _, expires := range []time.Time{noon.Add(-time.Hour), noon.Add(-time.Microsecond), noon, noon.Add(time.Hour), {}} {
				f.must(f.store.CreateSession(f.ctx, hub.Session{ID: newID(), UserID: ada.ID, Expires: expires}))
			}
			n, err := f.store.DeleteSessionsBefore(f.ctx, noon)
			f.must(err)
			f.same("how many were removed", n, 2)
			rest, err := f.store.Sessions(f.ctx, ada.ID)
			f.must(err)
			f.same("how many stay", len(rest), 3)
		}},
	}
}

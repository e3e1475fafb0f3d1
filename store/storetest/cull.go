package storetest

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func culling() []test {
	return []test{
		{"Use moves forward, never back, and apart from activity", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Ready)
			for _, step := range []struct{ at, used, want time.Time }{
				{noon, time.Time{}, time.Time{}},
				{noon.Add(time.Hour), noon, noon},
				{noon, noon.Add(-time.Hour), noon},
				{noon, noon.Add(30 * time.Minute), noon.Add(30 * time.Minute)}, // later told by another proxy
			} {
				f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{
					{ServerID: s.ID, Time: step.at, Used: step.used}, {ServerID: s.ID, Time: step.at},
				}))
				got, err := f.store.ServerByID(f.ctx, s.ID)
				f.must(err)
				f.same("the last use", got.LastUsed, step.want)
			}
			got, err := f.store.ServerByID(f.ctx, s.ID)
			f.must(err)
			f.same("the last activity", got.LastActivity, noon.Add(time.Hour))
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{ServerID: s.ID, Output: noon.Add(2 * time.Hour)}, {ServerID: s.ID}}))
			got, err = f.store.ServerByID(f.ctx, s.ID)
			f.must(err)
			f.same("the last output", got.LastOutput, noon.Add(2*time.Hour))
			f.same("the last activity", got.LastActivity, noon.Add(time.Hour))
		}},
		{"Only what may be past a rule is a candidate", func(f fixture) {
			u := f.user("ada", "b", "a")
			server := func(name string, state hub.ServerState, change func(*hub.Server)) string {
				s := f.server(u, name, state)
				s.Started = noon
				change(&s)
				_, err := f.store.UpdateServer(f.ctx, s)
				f.must(err)
				f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{ServerID: s.ID, Time: noon.Add(time.Hour), Used: noon.Add(time.Hour)}}))
				return s.ID
			}
			plain := func(*hub.Server) {}
			used := server("used", hub.Ready, plain)
			server("stopped", hub.Stopped, func(s *hub.Server) { s.IdleAfter = time.Minute })
			idle := server("idle", hub.Ready, func(s *hub.Server) { s.IdleAfter = time.Hour })
			server("never", hub.Ready, func(s *hub.Server) { s.IdleAfter, s.MaxAge = -1*time.Microsecond, -1*time.Microsecond })
			old := server("old", hub.Ready, func(s *hub.Server) { s.MaxAge = 2 * time.Hour })
			noticed := server("noticed", hub.Ready, func(s *hub.Server) { s.Notice = &hub.Notice{Kind: hub.NoticeIdle, Message: "m", Time: noon} })
			for _, c := range []struct {
				what string
				q    hub.CullQuery
				want []string
			}{
				{"profiles", hub.CullQuery{Now: noon.Add(90*time.Minute + time.Second)}, []string{idle, noticed}},
				{"a notice", hub.CullQuery{Now: noon.Add(90 * time.Minute)}, []string{noticed}},
				{"age with its lead", hub.CullQuery{Now: noon.Add(80 * time.Minute), Lead: 41 * time.Minute}, []string{old, noticed}},
			} {
				f.same(c.what, f.candidates(c.q), c.want)
			}
			if got := f.candidates(hub.CullQuery{Now: noon, UsedBefore: noon.Add(time.Hour + time.Microsecond)}); len(got) != 5 || got[0] != used {
				f.Errorf("candidates by use are %v", got)
			}
			if got := f.candidates(hub.CullQuery{Now: noon, StartedBefore: noon.Add(time.Microsecond)}); len(got) != 5 {
				f.Errorf("candidates by age are %v", got)
			}
			all, err := f.store.CullCandidates(f.ctx, hub.CullQuery{Now: noon})
			f.must(err)
			f.same("its groups", all[0].Groups, []string{"a", "b"})
			f.same("its owner", all[0].UserName, "ada")
		}},
		{"Activity is watched since the latest of the replicas began, and as of the one that is most behind", func(f fixture) {
			at := func(h, m int) time.Time { return noon.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute) }
			watched := func(what string, now time.Time, began, seen time.Time) {
				f.Helper()
				b, s, err := f.store.ActivityWatched(f.ctx, now, time.Hour)
				f.must(err)
				f.same(what, []time.Time{b, s}, []time.Time{began, seen})
			}
			watched("without any", noon, time.Time{}, time.Time{})
			f.must(f.store.WatchActivity(f.ctx, "one", noon, at(1, 0)))
			f.must(f.store.WatchActivity(f.ctx, "one", noon, at(2, 0)))
			f.must(f.store.WatchActivity(f.ctx, "two", at(0, 1), at(2, 5)))
			f.must(f.store.WatchActivity(f.ctx, "dead", at(1, 0), at(1, 0)))
			watched("with one that is silent", at(2, 0), at(1, 0), at(1, 0))
			watched("as it is taken for dead", at(2, 10), at(2, 10), at(2, 0))
			watched("afterwards", at(2, 20), at(2, 10), at(2, 0))
			f.must(f.store.WatchActivity(f.ctx, "dead", at(2, 15), at(2, 25)))
			watched("when it was not dead", at(2, 25), at(2, 15), at(2, 0))
			f.must(f.store.UnwatchActivity(f.ctx, "dead"))
			watched("after its proxy ended", at(2, 25), at(0, 1), at(2, 0))
			f.must(f.store.UnwatchActivity(f.ctx, "two"))
			watched("after another ended", at(2, 25), noon, at(2, 0))
			watched("when all are silent", at(10, 0), time.Time{}, time.Time{})
			f.must(f.store.WatchActivity(f.ctx, "three", at(200, 0), at(200, 0)))
			watched("long after that", at(200, 0), at(200, 0), at(200, 0))
		}},
	}
}

func (f fixture) candidates(q hub.CullQuery) (ids []string) {
	f.Helper()
	all, err := f.store.CullCandidates(f.ctx, q)
	f.must(err)
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids
}

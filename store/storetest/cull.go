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
			began, seen, err := f.store.ActivityWatched(f.ctx, noon)
			f.must(err)
			f.same("without any", began.IsZero() && seen.IsZero(), true)
			f.must(f.store.WatchActivity(f.ctx, "one", noon, noon.Add(time.Hour)))
			f.must(f.store.WatchActivity(f.ctx, "one", noon, noon.Add(2*time.Hour)))
			f.must(f.store.WatchActivity(f.ctx, "two", noon.Add(time.Minute), noon.Add(3*time.Hour)))
			f.must(f.store.WatchActivity(f.ctx, "dead", noon.Add(time.Hour), noon.Add(time.Hour)))
			began, seen, err = f.store.ActivityWatched(f.ctx, noon.Add(time.Hour))
			f.must(err)
			f.same("with one that is silent", []time.Time{began, seen}, []time.Time{noon.Add(time.Hour), noon.Add(time.Hour)})
			began, seen, err = f.store.ActivityWatched(f.ctx, noon.Add(90*time.Minute))
			f.must(err)
			f.same("without the silent one", []time.Time{began, seen}, []time.Time{noon.Add(time.Minute), noon.Add(2 * time.Hour)})
			f.must(f.store.UnwatchActivity(f.ctx, "two"))
			began, _, err = f.store.ActivityWatched(f.ctx, noon)
			f.must(err)
			f.same("after a proxy ended", began, noon)
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

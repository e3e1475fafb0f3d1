package storetest

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func usage() []test {
	return []test{
		{"A run is opened once, and only its beginning moves, to an earlier time", func(f fixture) {
			u := f.user("ada", "b", "a")
			r := f.run(u, 1, "i1", noon)
			again := r
			again.ID, again.MemoryMB, again.Began = newID(), 1, noon.Add(-time.Minute)
			f.must(f.store.OpenRun(f.ctx, again))
			again.Began = noon.Add(time.Hour)
			f.must(f.store.OpenRun(f.ctx, again))
			r.Began, r.Groups = noon.Add(-time.Minute), []string{"a", "b"}
			f.same("the runs", f.runs(), []hub.UsageRun{r})
			r.Groups = nil
			open, err := f.store.OpenRuns(f.ctx)
			f.must(err)
			f.same("the open ones", open, []hub.RunKey{r.Key()})
		}},
		{"A server's row and its run are written together or not at all", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Starting)
			stale := s
			r := hub.UsageRun{ID: newID(), ServerID: s.ID, UserID: u.ID, UserName: u.Name, Generation: s.Generation, Instance: "i1", Began: noon}
			s.Instance = "i1"
			written, err := f.store.UpdateServerAndOpenRun(f.ctx, s, r)
			f.must(err)
			s.Revision = written.Revision
			f.same("the row", written, s)
			again := r
			again.ID, again.Instance = newID(), "i2"
			_, err = f.store.UpdateServerAndOpenRun(f.ctx, stale, again)
			f.wants(err, hub.ErrStale)
			open, err := f.store.OpenRuns(f.ctx)
			f.must(err)
			f.same("the open runs", open, []hub.RunKey{r.Key()})
			f.must(f.store.DeleteServer(f.ctx, s.ID))
			_, err = f.store.UpdateServerAndOpenRun(f.ctx, written, again)
			f.wants(err, hub.ErrNotFound)
		}},
		{"The first end stays, unless the scheduler knows an earlier one", func(f fixture) {
			r := f.run(f.user("ada"), 1, "i1", noon)
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(time.Hour), false, "stopped"))
			f.ends(noon.Add(time.Hour), "stopped")
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(time.Minute), false, "another"))
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(2*time.Hour), true, "another"))
			f.ends(noon.Add(time.Hour), "stopped")
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(30*time.Minute), true, "another"))
			f.ends(noon.Add(30*time.Minute), "stopped")
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(-time.Minute), true, ""))
			f.ends(noon, "stopped") // not before it began
			f.must(f.store.CloseRun(f.ctx, hub.RunKey{ServerID: newID()}, noon, true, ""))
			f.must(f.store.OpenRun(f.ctx, r))
			f.ends(noon, "stopped")
		}},
		{"All of a server end but one", func(f fixture) {
			u := f.user("ada")
			first := f.run(u, 1, "i1", noon)
			next := func(generation int64, instance string) hub.UsageRun {
				r := first
				r.ID, r.Generation, r.Instance = newID(), generation, instance
				f.must(f.store.OpenRun(f.ctx, r))
				return r
			}
			next(2, "i2")
			kept, newer := next(2, "i3"), next(3, "i4")
			other := f.run(u, 1, "i1", noon)
			open := func() []hub.RunKey {
				runs, err := f.store.OpenRuns(f.ctx)
				f.must(err)
				slices.SortFunc(runs, func(a, b hub.RunKey) int {
					return cmp.Or(cmp.Compare(a.ServerID, b.ServerID), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Instance, b.Instance))
				})
				return runs
			}
			f.must(f.store.CloseRunsOf(f.ctx, first.ServerID, 2, "i3", noon.Add(time.Hour), "moved"))
			f.same("what is open", open(), []hub.RunKey{kept.Key(), newer.Key(), other.Key()})
			f.must(f.store.CloseRunsOf(f.ctx, first.ServerID, 3, "", noon.Add(time.Hour), "stopped"))
			f.same("what is open", open(), []hub.RunKey{other.Key()})
		}},
		{"Sums count what lies within the period, and open runs until now", func(f fixture) {
			ada, bob := f.user("ada", "a", "b"), f.user("bob", "b")
			r := f.run(ada, 1, "i1", noon)
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(4*time.Hour), false, ""))
			f.run(bob, 1, "i1", noon.Add(2*time.Hour)) // goes on
			plain := f.user("cy")
			c := f.run(plain, 1, "i1", noon.Add(time.Hour))
			f.must(f.store.CloseRun(f.ctx, c.Key(), noon.Add(2*time.Hour), false, ""))
			q := hub.UsageQuery{From: noon.Add(time.Hour), To: noon.Add(10 * time.Hour), Now: noon.Add(3 * time.Hour)}
			hours := func(by hub.UsageBy) map[string]float64 {
				q.By = by
				sums, err := f.store.SumUsage(f.ctx, q)
				f.must(err)
				got := map[string]float64{}
				for _, s := range sums {
					got[s.Key] = math.Round(s.Hours*1e6) / 1e6
					if near := s.Hours * 2; math.Abs(s.MemoryHours-near) > 1e-6 || math.Abs(s.CPUHours-s.Hours*1.5) > 1e-6 || math.Abs(s.DeviceHours-s.Hours*3) > 1e-6 {
						f.Errorf("%s used %+v", s.Key, s)
					}
				}
				return got
			}
			f.same("by user", hours(hub.UsageByUser), map[string]float64{"ada": 2, "bob": 1, "cy": 1})
			f.same("by group", hours(hub.UsageByGroup), map[string]float64{"a": 2, "b": 3, "": 1})
			f.same("by profile", hours(hub.UsageByProfile), map[string]float64{"small": 4})
			f.same("in all", hours(hub.UsageInAll), map[string]float64{"": 4})
			q.Groups = []string{"a"}
			f.same("of one group", hours(hub.UsageByGroup), map[string]float64{"a": 2})
			f.same("of its users", hours(hub.UsageByUser), map[string]float64{"ada": 2})
			q.Groups, q.UserIDs = nil, []string{bob.ID}
			f.same("of one user", hours(hub.UsageByUser), map[string]float64{"bob": 1})
			q.UserIDs, q.Profiles = nil, []string{"large"}
			f.same("of a profile that nobody had", hours(hub.UsageInAll), map[string]float64{})
			q.Profiles, q.From = nil, noon.Add(5*time.Hour)
			f.same("of what is yet to come", hours(hub.UsageInAll), map[string]float64{})
		}},
		{"The ledger outlives its user, and is cut by time only", func(f fixture) {
			u := f.user("ada")
			r := f.run(u, 1, "i1", noon)
			f.must(f.store.CloseRun(f.ctx, r.Key(), noon.Add(time.Hour), false, ""))
			f.run(u, 1, "i1", noon)
			f.must(f.store.DeleteUser(f.ctx, u.ID))
			f.same("how many there are", len(f.runs()), 2)
			n, err := f.store.DeleteRunsBefore(f.ctx, noon.Add(time.Hour))
			f.must(err)
			f.same("how many went too early", n, 0)
			n, err = f.store.DeleteRunsBefore(f.ctx, noon.Add(time.Hour+time.Microsecond))
			f.must(err)
			f.same("how many went", n, 1)
			f.same("how many are left", len(f.runs()), 1)
		}},
		{"The clock tells when it was last set", func(f fixture) {
			before, err := f.store.UsageTouched(f.ctx)
			f.must(err)
			f.same("at first", before, time.Time{})
			for _, at := range []time.Time{noon, noon.Add(time.Hour)} {
				f.must(f.store.TouchUsage(f.ctx, at))
				before, err = f.store.UsageTouched(f.ctx)
				f.must(err)
				f.same("then", before, at)
			}
		}},
	}
}

// run opens a run of a new server with 2 GiB, 1.5 cores and 3 devices.
func (f fixture) run(u hub.User, generation int64, instance string, began time.Time) hub.UsageRun {
	f.Helper()
	r := hub.UsageRun{
		ID: newID(), ServerID: newID(), ServerName: "n", UserID: u.ID, UserName: u.Name, Profile: "small", Generation: generation,
		Instance: instance, MemoryMB: 2048, Cores: 1.5, Devices: 3,
		Held: &hub.Held{MemoryMB: 2048, Devices: map[string]int{"nvidia/gpu": 3}}, Began: began,
	}
	f.must(f.store.OpenRun(f.ctx, r))
	return r
}

func (f fixture) runs() []hub.UsageRun {
	f.Helper()
	runs, err := f.store.UsageRuns(f.ctx, hub.UsageQuery{From: noon.Add(-24 * time.Hour), To: noon.Add(24 * time.Hour)})
	f.must(err)
	return runs
}

// ends looks at the only run.
func (f fixture) ends(at time.Time, reason string) {
	f.Helper()
	runs := f.runs()
	if len(runs) != 1 {
		f.Fatalf("there are %d runs", len(runs))
	}
	f.same("the end", runs[0].Ended, at)
	f.same("the reason", runs[0].Reason, reason)
}

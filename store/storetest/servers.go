package storetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// withNotes sets what is noted of a server's present run.
func withNotes(s *hub.Server) {
	s.Queued, s.Admitted, s.KeepUntil = noon.Add(3*time.Second), noon.Add(4*time.Second), noon.Add(time.Hour)
	s.Wait = &hub.Wait{Reason: "None has room.", Resource: "memory", Pool: "gpu", Since: noon, Until: noon.Add(time.Hour), Blocked: true}
	s.Held = &hub.Held{CPU: 500, Cores: 1.5, MemoryMB: 2048, DiskMB: 300, Devices: map[string]int{"nvidia/gpu": 1}, Pool: "gpu", Image: "lab:1", Node: "n1"}
	s.Restart = &hub.Restart{Options: json.RawMessage(`{"profile":"large"}`), Reason: "It moves."}
	s.Notice = &hub.Notice{Kind: hub.NoticeDrain, Message: "Move.", Time: noon, Until: noon.Add(time.Minute), Evidence: []string{"é"}}
}

func servers() []test {
	return append(renames(), []test{
		{"A server comes back as it was stored", func(f fixture) {
			u := f.user("ada")
			want := hub.Server{
				ID: newID(), UserID: u.ID, UserName: "ada", Name: "gpu", DisplayName: "Großer Rechner", State: hub.Starting, Generation: 7, Revision: 3,
				Created: noon, Started: noon.Add(time.Second), LastActivity: noon.Add(2 * time.Second),
				Options:  json.RawMessage(`{"z": 1, "a": "\u0000 ü", "big": 12345678901234567890}`),
				Instance: "alloc", Address: "[2001:db8::1]:8888", Placement: math.MaxUint64,
				Failure: &hub.Failure{
					Message: "It ended.", Log: []string{"one", "", "tw\x00o"}, Time: noon, Cause: scheduler.CauseExited,
					Offer: json.RawMessage(`{"profile":"large"}`), Evidence: []string{"no kernel ran"},
				},
				Remove: true, Profile: "small",
			}
			withNotes(&want)
			f.must(f.store.CreateServer(f.ctx, want))
			byID, err := f.store.ServerByID(f.ctx, want.ID)
			f.must(err)
			f.same("the server by ID", byID, want)
			byName, err := f.store.ServerByName(f.ctx, u.ID, "gpu")
			f.must(err)
			f.same("the server by name", byName, want)
		}},
		{"A server that never ran has neither options nor failure", func(f fixture) {
			want := f.server(f.user("ada"), "", hub.Stopped)
			got, err := f.store.ServerByName(f.ctx, want.UserID, "")
			f.must(err)
			f.same("the server", got, want)
			if got.Options != nil || got.Failure != nil {
				f.Errorf("options %q, failure %v", got.Options, got.Failure)
			}
		}},
		{"Names are unique for a user, and a server needs its user", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			s := f.server(ada, "", hub.Stopped)
			f.server(bob, "", hub.Stopped)
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, State: hub.Stopped}), hub.ErrExists)
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: s.ID, UserID: ada.ID, Name: "x", State: hub.Stopped}), hub.ErrExists)
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: newID(), State: hub.Stopped}), hub.ErrNotFound)
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: newID(), UserName: "ada", State: hub.Stopped}), hub.ErrNotFound)
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, UserName: "ada", State: hub.Stopped}), hub.ErrExists)
		}},
		{"A server is not created for an owner by a name that they do not have any more", func(f fixture) {
			ada := f.user("ada")
			f.must(f.store.RenameUser(f.ctx, ada.ID, "eda"))
			f.wants(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, UserName: "ada", State: hub.Stopped}), hub.ErrStale)
			f.must(f.store.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, UserName: "eda", State: hub.Stopped}))
		}},
		{"An unknown server is not found, and deleting it is no error", func(f fixture) {
			u := f.user("ada")
			_, err := f.store.ServerByID(f.ctx, newID())
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.ServerByName(f.ctx, u.ID, "gone")
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.UpdateServer(f.ctx, hub.Server{ID: newID(), State: hub.Ready})
			f.wants(err, hub.ErrNotFound)
			f.must(f.store.DeleteServer(f.ctx, newID()))
		}},
		{"An update writes all but ID, owner, creation and activity", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			before := f.server(ada, "", hub.Stopped)
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{ServerID: before.ID, Time: noon}}))
			change := hub.Server{
				ID: before.ID, UserID: bob.ID, UserName: "bob", Name: "renamed", DisplayName: "Renamed", State: hub.Starting, Generation: 1,
				Created: noon.Add(time.Hour), Started: noon, LastActivity: noon.Add(time.Hour), Options: json.RawMessage(`{"a":1}`),
				Instance: "i", Address: "h:1", Placement: 5, Failure: &hub.Failure{Message: "m", Time: noon}, Remove: true, Profile: "large",
			}
			withNotes(&change)
			want := change
			want.UserID, want.UserName, want.Created, want.LastActivity, want.Revision = ada.ID, "ada", noon, noon, 1
			got, err := f.store.UpdateServer(f.ctx, change)
			f.must(err)
			f.same("what the update returned", got, want)
			got, err = f.store.ServerByID(f.ctx, before.ID)
			f.must(err)
			f.same("the server", got, want)

			got.Options, got.Failure, got.Started, got.Remove, got.Instance = nil, nil, time.Time{}, false, ""
			got.Wait, got.Held, got.Notice, got.Queued, got.Admitted, got.KeepUntil = nil, nil, nil, time.Time{}, time.Time{}, time.Time{}
			cleared, err := f.store.UpdateServer(f.ctx, got)
			f.must(err)
			got.Revision = 2
			f.same("the cleared server", cleared, got)
		}},
		{"An update of what changed meanwhile is refused", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			first, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			_, err = f.store.UpdateServer(f.ctx, s)
			f.wants(err, hub.ErrStale)
			f.must(f.store.RecordActivity(f.ctx, []hub.ActivityUpdate{{ServerID: s.ID, Time: noon}}))
			_, err = f.store.UpdateServer(f.ctx, first)
			f.must(err) // activity is not a change that anybody decides by
		}},
		{"In brief they are as they are in full", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "ready", hub.Ready)
			s.Instance, s.Generation = "i", 3
			s.Notice = &hub.Notice{Kind: hub.NoticeDrain, Message: "Its machine is being emptied.", Time: noon, Until: noon.Add(time.Hour)}
			s, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			starting := f.server(u, "starting", hub.Starting)
			f.server(u, "stopped", hub.Stopped)
			got, err := f.store.ServerBriefs(f.ctx, []hub.ServerState{hub.Ready, hub.Starting})
			f.must(err)
			slices.SortFunc(got, func(a, b hub.ServerBrief) int { return cmp.Compare(a.State, b.State) })
			f.same("those that are active", got, []hub.ServerBrief{s.Brief(), starting.Brief()})
			none, err := f.store.ServerBriefs(f.ctx, []hub.ServerState{})
			f.must(err)
			f.same("those in no state", len(none), 0)
		}},
		{"A name that is taken is refused", func(f fixture) {
			u := f.user("ada")
			f.server(u, "one", hub.Stopped)
			two := f.server(u, "two", hub.Stopped)
			two.Name = "one"
			_, err := f.store.UpdateServer(f.ctx, two)
			f.wants(err, hub.ErrExists)
		}},
		{"Of fifty updates at once one wins, and the others are told", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			var won atomic.Int64
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					mine := s
					mine.State, mine.Generation = hub.Starting, int64(i+1)
					got, err := f.store.UpdateServer(f.ctx, mine)
					switch {
					case err == nil:
						won.Add(1)
						if got.Generation != mine.Generation || got.Revision != 1 {
							f.Errorf("the winner got %+v", got)
						}
					case !errors.Is(err, hub.ErrStale):
						f.Errorf("got error %v, want %v", err, hub.ErrStale)
					}
				})
			}
			wg.Wait()
			f.same("how many won", won.Load(), int64(1))
		}},
		{"Counters that read, add and write until they are not stale lose nothing", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 10 {
						if err := increment(f, s.ID); err != nil {
							f.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			got, err := f.store.ServerByID(f.ctx, s.ID)
			f.must(err)
			f.same("the generation", got.Generation, int64(40))
			f.same("the revision", got.Revision, int64(40))
		}},
		{"A server goes with its clients, codes and tokens", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "", hub.Ready)
			c := f.client(s)
			code, t := f.code(u, c), f.token(hub.Token{UserID: u.ID, ClientID: c.ID})
			f.must(f.store.DeleteServer(f.ctx, s.ID))
			_, err := f.store.Client(f.ctx, c.ID)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.CodeByHash(f.ctx, code.Hash)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.TokenByHash(f.ctx, t.Hash)
			f.wants(err, hub.ErrNotFound)
		}},
	}...)
}

// increment adds one to a server's generation, however often others are faster.
func increment(f fixture, id string) error {
	for {
		s, err := f.store.ServerByID(f.ctx, id)
		if err != nil {
			return err
		}
		s.Generation++
		if _, err = f.store.UpdateServer(f.ctx, s); !errors.Is(err, hub.ErrStale) {
			return err
		}
	}
}

func serverPages() []test {
	return []test{
		{"Servers come by ID with their owners' names, in pages", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			var want []hub.Server
			for i := range 7 {
				owner := ada
				if i%2 == 1 {
					owner = bob
				}
				want = append(want, f.server(owner, fmt.Sprintf("s%d", i), hub.Stopped))
			}
			got, total, err := f.store.Servers(f.ctx, hub.ServerQuery{})
			f.must(err)
			f.same("all servers", got, want)
			f.same("the total", total, 7)
			got, total, err = f.store.Servers(f.ctx, hub.ServerQuery{Offset: 5, Limit: 5})
			f.must(err)
			f.same("the last page", got, want[5:])
			f.same("the total", total, 7)
		}},
		{"Servers are selected by owner and state; no owners is not all owners", func(f fixture) {
			ada, bob, eve := f.user("ada"), f.user("bob"), f.user("eve")
			f.server(ada, "a1", hub.Ready)
			f.server(ada, "a2", hub.Stopped)
			f.server(bob, "b1", hub.Starting)
			f.server(eve, "e1", hub.Ready)
			for _, c := range []struct {
				query hub.ServerQuery
				want  []string
			}{
				{hub.ServerQuery{UserIDs: []string{ada.ID, bob.ID, newID()}}, []string{"a1", "a2", "b1"}},
				{hub.ServerQuery{States: []hub.ServerState{hub.Ready, hub.Starting}}, []string{"a1", "b1", "e1"}},
				{hub.ServerQuery{UserIDs: []string{ada.ID}, States: []hub.ServerState{hub.Ready}}, []string{"a1"}},
				{hub.ServerQuery{UserIDs: []string{}}, nil},
				{hub.ServerQuery{States: []hub.ServerState{}}, nil},
			} {
				found, total, err := f.store.Servers(f.ctx, c.query)
				f.must(err)
				var got []string
				for _, s := range found {
					got = append(got, s.Name)
				}
				f.same(fmt.Sprintf("the result of %+v", c.query), got, c.want)
				f.same("the total", total, len(c.want))
				if c.query.UserIDs == nil {
					continue
				}
				slices.SortStableFunc(found, func(a, b hub.Server) int { return cmp.Compare(a.UserID, b.UserID) })
				var shown []hub.ServerOutline
				for _, s := range found {
					shown = append(shown, s.Outline())
				}
				outlines, err := f.store.ServerOutlines(f.ctx, hub.Owners{IDs: c.query.UserIDs}, c.query.States)
				f.must(err)
				f.same(fmt.Sprintf("the outlines of %+v", c.query), outlines, shown)
			}
			none, err := f.store.ServerOutlines(f.ctx, hub.Owners{Adjacent: true}, nil)
			f.must(err)
			f.same("the outlines of nobody's servers", none, []hub.ServerOutline(nil))
			for _, c := range []struct {
				ids    []string
				states []hub.ServerState
				want   []string
			}{
				{[]string{bob.ID, ada.ID}, nil, []string{"a1", "a2", "b1"}},
				{[]string{eve.ID, bob.ID}, []hub.ServerState{hub.Ready, hub.Stopping}, []string{"e1"}},
				{[]string{eve.ID}, nil, []string{"e1"}},
			} {
				outlines, err := f.store.ServerOutlines(f.ctx, hub.Owners{IDs: c.ids, Adjacent: true}, c.states)
				f.must(err)
				var got []string
				for _, s := range outlines {
					got = append(got, s.Name)
				}
				f.same(fmt.Sprintf("the servers of %d adjacent users", len(c.ids)), got, c.want)
			}
		}},
		{"An outline shows what lists show", func(f fixture) {
			u := f.user("ada")
			s := f.server(u, "lab", hub.Ready)
			withNotes(&s)
			s.DisplayName, s.Options, s.Instance, s.Address = "My lab", json.RawMessage(`{"profile": "small"}`), "a1", "127.0.0.1:8888"
			s.Started, s.Failure = noon, &hub.Failure{Message: "It ended.", Time: noon}
			s, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			got, err := f.store.ServerOutlines(f.ctx, hub.Owners{IDs: []string{u.ID}}, []hub.ServerState{hub.Ready})
			f.must(err)
			f.same("the outline", got, []hub.ServerOutline{s.Outline()})
		}},
		{"Servers are counted by state", func(f fixture) {
			u := f.user("ada")
			f.server(u, "1", hub.Ready)
			f.server(u, "2", hub.Ready)
			f.server(u, "3", hub.Stopping)
			got, err := f.store.CountServers(f.ctx)
			f.must(err)
			f.same("the counts", got, map[hub.ServerState]int{hub.Stopped: 0, hub.Starting: 0, hub.Ready: 2, hub.Stopping: 1})
		}},
	}
}

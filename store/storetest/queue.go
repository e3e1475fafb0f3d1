package storetest

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// startOf makes a start of the user that has been queued since the second.
func (f fixture) startOf(u hub.User, name string, second int, change ...func(*hub.Server)) hub.Server {
	f.Helper()
	s := hub.Server{ID: newID(), UserID: u.ID, UserName: u.Name, Name: name, State: hub.Starting, Created: noon, Queued: noon.Add(time.Duration(second) * time.Second)}
	for _, c := range change {
		c(&s)
	}
	f.must(f.store.CreateServer(f.ctx, s))
	return s
}

func admitted(s *hub.Server) { s.Admitted = s.Queued }

func blocked(s *hub.Server) {
	s.Admitted, s.Wait, s.Held = s.Queued, &hub.Wait{Reason: "Full.", Blocked: true}, &hub.Held{Pool: "gpu"}
}

func placed(s *hub.Server) { s.Admitted, s.Instance = s.Queued, "alloc" }

func inState(state hub.ServerState) func(*hub.Server) {
	return func(s *hub.Server) { s.State, s.Admitted = state, s.Queued }
}

// crowd makes servers in all states that the queue tells apart, and returns who owns them.
func (f fixture) crowd() (ada, bob hub.User) {
	f.Helper()
	ada, bob = f.user("ada", "physics", "staff"), f.user("bob", "physics")
	eve := f.user("eve")
	f.startOf(ada, "waits", 3)
	f.startOf(ada, "starts", 2, admitted)
	f.startOf(bob, "blocked", 1, blocked)
	f.startOf(bob, "placed", 4, placed)
	f.startOf(bob, "ready", 0, inState(hub.Ready))
	f.startOf(bob, "stopping", 0, inState(hub.Stopping))
	f.startOf(eve, "stopped", 0, inState(hub.Stopped))
	f.startOf(eve, "ready", 0, inState(hub.Ready))
	return ada, bob
}

func queue() []test {
	return []test{
		{"Starts are counted by what they wait for", func(f fixture) {
			f.crowd()
			count, err := f.store.CountStarts(f.ctx)
			f.must(err)
			f.same("the starts", count, hub.StartCount{Starting: 2, Blocked: 1, Waiting: 1})
			active, err := f.store.CountActive(f.ctx)
			f.must(err)
			f.same("what is active", active, 6)
		}},
		{"Groups are charged for their members", func(f fixture) {
			f.crowd()
			all, err := f.store.LoadOfGroups(f.ctx, nil)
			f.must(err)
			f.same("all groups", all, map[string]hub.Load{"physics": {Starting: 2, Active: 5}, "staff": {Starting: 1, Active: 1}, "": {Active: 1}})
			one, err := f.store.LoadOfGroups(f.ctx, []string{"staff", "nobody"})
			f.must(err)
			f.same("one group", one, map[string]hub.Load{"staff": {Starting: 1, Active: 1}})
			many, err := f.store.LoadOfGroups(f.ctx, append(strings.Fields("a b c d e f g h i j"), "physics", "staff", "staff"))
			f.must(err)
			f.same("many groups", many, map[string]hub.Load{"physics": {Starting: 2, Active: 5}, "staff": {Starting: 1, Active: 1}})
			none, err := f.store.LoadOfGroups(f.ctx, []string{})
			f.must(err)
			f.same("no group", none, map[string]hub.Load{})
		}},
		{"Starts come by the time since when they are queued", func(f fixture) {
			ada, bob := f.crowd()
			starts, err := f.store.Starts(f.ctx)
			f.must(err)
			for i := range starts {
				starts[i].ID = ""
			}
			f.same("the starts", starts, []hub.QueuedStart{
				{UserID: bob.ID, Queued: noon.Add(time.Second), Admitted: true, Blocked: true, Pool: "gpu"},
				{UserID: ada.ID, Queued: noon.Add(2 * time.Second), Admitted: true},
				{UserID: ada.ID, Queued: noon.Add(3 * time.Second)},
				{UserID: bob.ID, Queued: noon.Add(4 * time.Second), Admitted: true, Placed: true},
			})
			groups, err := f.store.GroupsOfWaiting(f.ctx)
			f.must(err)
			f.same("their groups", groups, map[string][]string{ada.ID: {"physics", "staff"}})
		}},
		{"Only what waits is let through, once", func(f fixture) {
			ada, _ := f.crowd()
			s, err := f.store.ServerByName(f.ctx, ada.ID, "waits")
			f.must(err)
			other, err := f.store.ServerByName(f.ctx, ada.ID, "starts")
			f.must(err)
			through, err := f.store.AdmitStarts(f.ctx, []string{s.ID, other.ID, newID()}, noon)
			f.must(err)
			f.same("what was let through", through, []string{s.ID})
			now, err := f.store.ServerByID(f.ctx, s.ID)
			f.must(err)
			s.Admitted, s.Revision = noon, s.Revision+1
			f.same("the row", now, s)
			again, err := f.store.AdmitStarts(f.ctx, []string{s.ID}, noon)
			f.must(err)
			f.same("what was let through twice", again, []string(nil))
		}},
		{"Revisions are of those that there are", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			s.State = hub.Ready
			s, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			got, err := f.store.Revisions(f.ctx, []string{s.ID, newID()})
			f.must(err)
			f.same("the revisions", got, map[string]int64{s.ID: s.Revision})
		}},
		{"Who has its turn sees what those before it wrote", takeTurns},
		{"A turn that fails leaves nothing", func(f fixture) {
			u := f.user("ada")
			no := errors.New("no")
			f.wants(f.store.Exclusive(f.ctx, "x", func(tx hub.Store) error {
				f.must(tx.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: u.ID, State: hub.Starting}))
				return no
			}), no)
			_, err := f.store.ServerByName(f.ctx, u.ID, "")
			f.wants(err, hub.ErrNotFound)
		}},
	}
}

// takeTurns lets many let a start through if there are fewer than three, each on what it counts.
func takeTurns(f fixture) {
	u := f.user("ada")
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			err := f.store.Exclusive(f.ctx, "admission", func(tx hub.Store) error {
				count, err := tx.CountStarts(f.ctx)
				if err != nil || count.Starting >= 3 {
					return err
				}
				s := hub.Server{ID: newID(), UserID: u.ID, Name: strconv.Itoa(i), State: hub.Starting, Queued: noon, Admitted: noon}
				return tx.CreateServer(f.ctx, s)
			})
			if err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	count, err := f.store.CountStarts(f.ctx)
	f.must(err)
	f.same("the starts", count, hub.StartCount{Starting: 3})
}

package hub_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/checker/hubcalls"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF06_SameStartOnTwoHubsIsOneStart has many ask two hubs for the same server at the same instant, over and over. Each time exactly one start comes of it.
func TestF06_SameStartOnTwoHubsIsOneStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                   string
		servers, rounds, crowd int // rounds of each server, which are independent of each other; in each round the crowd asks at once
	}{
		{"a thousand rounds", 10, 100, 10},
		{"crowds of two hundred", 1, 20, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hubs := twoHubs(t, func(o *hub.Options) { o.Notebook.PlaceTimeout, o.Notebook.AnswerTimeout = time.Hour, time.Hour })
			addresses := map[string]string{} // two servers cannot be at one
			for i := range tt.servers {
				user := fmt.Sprintf("user-%d", i)
				hubs[0].login(user)
				addresses[user] = notebook(t)
			}
			for _, b := range hubs {
				b.fake.OnStart = func(s scheduler.Spec) {
					go func() { hubs[0].fake.Place(s.ID, addresses[s.Labels["user"]]); hubs[0].fake.Run(s.ID) }()
				}
			}
			history := checker.New(checker.Options{Model: checker.Model{Steady: true}})
			recorded := [2]hubcalls.Hub{}
			for i, b := range hubs {
				recorded[i] = hubcalls.Hub{Hub: b.hub, History: history, Client: fmt.Sprint("hub-", i)}
			}
			var all sync.WaitGroup
			for user := range addresses {
				all.Go(func() {
					for round := range tt.rounds {
						if !sameStart(t, hubs, recorded, user, round, tt.crowd) {
							return
						}
					}
				})
			}
			all.Wait()
			history.Verify(t)
			running, err := hubs[0].fake.List(t.Context())
			if err != nil || len(running) > 0 {
				t.Errorf("left over: %+v, %v", running, err)
			}
		})
	}
}

// sameStart is one round. It may run beside others, so it ends by telling whether all went well.
func sameStart(t *testing.T, hubs [2]*bench, recorded [2]hubcalls.Hub, user string, round, crowd int) bool {
	t.Helper()
	want := int64(round + 1) // the generation of this round's run
	gate := make(chan struct{})
	var asking sync.WaitGroup
	var told, wrong atomic.Int64
	for i := range crowd {
		asking.Go(func() {
			<-gate
			s, err := recorded[i%2].StartServer(t.Context(), user, "", nil)
			switch {
			case err == nil && s.Generation == want && s.State == hub.Starting:
				told.Add(1)
			case err != nil && hub.KindOf(err) == hub.Conflict: // it was ready already
			default:
				wrong.Add(1)
				t.Errorf("round %d of %s: %+v, %v", round, user, s, err)
			}
		})
	}
	close(gate)
	asking.Wait()
	s, err := recorded[0].Server(t.Context(), user, "")
	if err != nil {
		t.Errorf("round %d of %s: %v", round, user, err)
		return false
	}
	isNow := func(b *bench, state hub.ServerState) bool {
		got, err := b.reach(s.ID, state)
		if err != nil || got.Generation != want || got.Failure != nil {
			t.Errorf("round %d of %s: it should be %s, and is %+v with the failure %+v, %v", round, user, state, got, got.Failure, err)
			return false
		}
		return true
	}
	if !isNow(hubs[round%2], hub.Ready) {
		return false
	}
	if versions := hubs[0].fake.Starts(s.ID); int64(versions) != want || told.Load() == 0 || wrong.Load() > 0 {
		t.Errorf("round %d of %s made %d versions of the job in all; %d were told of the start", round, user, versions, told.Load())
		return false
	}
	if _, err := recorded[(round+1)%2].StopServer(t.Context(), user, "", false); err != nil {
		t.Errorf("stop in round %d of %s: %v", round, user, err)
		return false
	}
	return isNow(hubs[(round+1)%2], hub.Stopped)
}

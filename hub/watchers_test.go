package hub_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF51_ManyWatchersOfProgress has five thousand watch starts that wait in the queue. Some of them never take what they are told: they cost the others
// nothing, and what is kept for them is bounded however much happens. All the others see the end, also those whose hub dies in between and who come back to another.
func TestF51_ManyWatchersOfProgress(t *testing.T) {
	t.Parallel()
	const people, each, slow = 25, 200, 20 // the race detector bears some eight thousand goroutines
	addresses := map[string]string{}
	limit := func(o *hub.Options) {
		o.Limits.ActiveServers = 1
		o.Notebook.PlaceTimeout, o.Notebook.AnswerTimeout = time.Hour, time.Hour
	}
	hubs := twoHubs(t, limit)
	hubs[0].login("first")
	first := hubs[0].ask("first", "", "") // nothing places it, so all others wait
	for i := range people {
		name := fmt.Sprintf("user-%02d", i)
		hubs[0].login(name)
		hubs[0].ask(name, "", "")
		addresses[name] = notebook(t)
	}
	for _, b := range hubs {
		b.stop()
	}
	db, fake := hubs[0].store, hubs[0].fake
	reads := &counted{Fake: fake}
	dying := openBench(t, db, fake.Reopen(), limit, func(o *hub.Options) { o.Store = countedStore{o.Store, reads} })
	surviving := openBench(t, db, fake.Reopen(), limit, func(o *hub.Options) { o.Elect = never })

	var told, ended, overfed atomic.Int64
	hold := make(chan struct{})
	var slowOnes, others sync.WaitGroup
	dead, die := context.WithCancel(t.Context())
	for i := range people * each {
		name := fmt.Sprintf("user-%02d", i%people)
		if i < slow {
			slowOnes.Go(func() {
				events := 0
				for range follow(t, t.Context(), surviving.hub, name) {
					<-hold
					events++
				}
				overfed.Store(max(overfed.Load(), int64(events)))
			})
			continue
		}
		others.Go(func() {
			var last hub.ProgressEvent
			seen := false // its place
			see := func(e hub.ProgressEvent) {
				if last = e; e.Position > 0 && !seen {
					seen = true
					told.Add(1)
				}
			}
			if i%2 == 0 { // at the hub that dies
				for e := range follow(t, dead, dying.hub, name) {
					see(e)
				}
			}
			for e := range follow(t, t.Context(), surviving.hub, name) {
				see(e)
			}
			if last.Ready {
				ended.Add(1)
			}
		})
	}
	defer func() { t.Logf("%d were told of their place, %d saw the end", told.Load(), ended.Load()) }()
	untilWithin(t, 4*long, "all to be told of their place", func() bool { return told.Load() >= people*each-slow })
	// Each reads once when it begins and once for each change of its row, of which there is hardly one: nobody has the others read because time passes.
	if n, most := reads.rows.Load(), int64(4*people*each/2); n > most {
		t.Errorf("%d watchers read %d rows, more than %d", people*each/2, n, most)
	}
	die()
	dying.stop()
	const said = 200 // about each start, which is more than its journal keeps
	surviving.fake.OnStart = func(s scheduler.Spec) {
		go func() {
			for n := range said {
				surviving.fake.Say(s.ID, fmt.Sprintf("Layer %d of the image was fetched.", n))
			}
			surviving.fake.Place(s.ID, addresses[s.Labels["user"]])
			surviving.fake.Run(s.ID)
		}()
	}
	surviving.hub.SetLimits(hub.Limits{AllowNamed: true})
	if _, err := surviving.hub.StopServer(t.Context(), first.UserName, "", false); err != nil {
		t.Fatal(err)
	}
	others.Wait()
	if got := ended.Load(); got != people*each-slow {
		t.Errorf("%d of %d saw the server ready", got, people*each-slow)
	}
	close(hold)
	slowOnes.Wait()
	if n := overfed.Load(); n > 120 { // what a journal holds, and the places in the queue
		t.Errorf("%d events were kept for one who did not take them", n)
	}
}

func follow(t *testing.T, ctx context.Context, h *hub.Hub, user string) func(func(hub.ProgressEvent) bool) { //nolint:revive // the context of one watcher
	events, err := h.Progress(ctx, user, "")
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("progress of %s: %v", user, err)
		}
		return func(func(hub.ProgressEvent) bool) {}
	}
	return events
}

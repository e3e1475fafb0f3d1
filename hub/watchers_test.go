package hub_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF51_ManyWatchersOfProgress has a thousand watch starts that wait in the queue. Some of them never take what they are told: they cost the others
// nothing. All the others see the end, also those whose hub dies in between and who come back to another.
func TestF51_ManyWatchersOfProgress(t *testing.T) {
	t.Parallel()
	const people, each, slow = 25, 40, 20 // a thousand watchers: the race detector makes each some ten times as dear
	addresses := map[string]string{}
	limit := func(o *hub.Options) { o.Limits.ActiveServers = 1 }
	b := newBench(t, limit)
	b.login("first")
	first := b.ask("first", "", "") // nothing places it, so all others wait
	for i := range people {
		name := fmt.Sprintf("user-%02d", i)
		b.login(name)
		b.ask(name, "", "")
		addresses[name] = notebook(t)
	}
	reads := &counted{Fake: b.fake}
	b.stop()
	dying := openBench(t, b.store, b.fake.Reopen(), limit, func(o *hub.Options) { o.Store = countedStore{o.Store, reads} })
	surviving := openBench(t, b.store, b.fake.Reopen(), limit, func(o *hub.Options) { o.Elect = never })

	var told, ended atomic.Int64
	hold := make(chan struct{})
	var slowOnes, others sync.WaitGroup
	dead, die := context.WithCancel(t.Context())
	for i := range people * each {
		name := fmt.Sprintf("user-%02d", i%people)
		if i < slow {
			slowOnes.Go(func() {
				for range follow(t, t.Context(), surviving.hub, name) {
					<-hold
				}
			})
			continue
		}
		others.Go(func() {
			var last hub.ProgressEvent
			if i%2 == 0 { // at the hub that dies
				for last = range follow(t, dead, dying.hub, name) {
					if last.Position > 0 {
						told.Add(1)
					}
				}
			}
			for last = range follow(t, t.Context(), surviving.hub, name) {
				if last.Position > 0 && i%2 == 1 {
					told.Add(1)
				}
			}
			if last.Ready {
				ended.Add(1)
			}
		})
	}
	defer func() { t.Logf("%d were told of their place, %d saw the end", told.Load(), ended.Load()) }()
	until(t, "all to be told of their place", func() bool { return told.Load() >= people*each-slow })
	// Each reads once when it begins and once for each change of its row, of which there is hardly one: nobody has the others read because time passes.
	if n, most := reads.rows.Load(), int64(4*people*each/2); n > most {
		t.Errorf("%d watchers read %d rows, more than %d", people*each/2, n, most)
	}
	die()
	dying.stop()
	surviving.fake.OnStart = func(s scheduler.Spec) {
		go func() { surviving.fake.Place(s.ID, addresses[s.Labels["user"]]); surviving.fake.Run(s.ID) }()
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

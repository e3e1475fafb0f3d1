package api

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestOneQuestionForAllWhoWatchAServer: however many watch, the cluster is asked once per interval and server, and not at all when nobody watches any more.
func TestOneQuestionForAllWhoWatchAServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		f := usageFeeds{interval: 2 * time.Second, ask: func(ctx context.Context, _ usageOf) (scheduler.Usage, error) {
			return scheduler.Usage{MemoryBytes: asked.Add(1)}, ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		var told atomic.Int64
		for i := range 50 {
			watching.Go(func() {
				own := ctx
				if i == 0 { // the first goes soon, which ends nobody else's
					first, cancel := context.WithTimeout(ctx, 3*time.Second)
					defer cancel()
					own = first
				}
				feed, leave, err := f.watch(own, usageOf{"alice", ""})
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				for u, newer, ok := feed.next(own, nil); ok; u, newer, ok = feed.next(own, newer) {
					if u.err != nil {
						t.Error(u.err)
					}
					told.Add(1)
				}
			})
		}
		<-time.After(9 * time.Second)
		synctest.Wait()
		if asked.Load() != 5 || told.Load() != 49*5+2 {
			t.Errorf("the cluster was asked %d times, and %d answers were passed on", asked.Load(), told.Load())
		}
		cancel()
		watching.Wait()
		<-time.After(time.Minute)
		if n := asked.Load(); n != 5 || len(f.of) != 0 {
			t.Errorf("with nobody watching it was asked %d times, and %d are watched", n, len(f.of))
		}
	})
}

// TestUsageOfFewServersIsWatchedAtOnce: the cluster is not asked about all servers there are.
func TestUsageOfFewServersIsWatchedAtOnce(t *testing.T) {
	t.Parallel()
	f := usageFeeds{interval: time.Hour, ask: func(context.Context, usageOf) (scheduler.Usage, error) { return scheduler.Usage{}, nil }}
	var first func()
	for i := range maxFeeds {
		_, leave, err := f.watch(t.Context(), usageOf{fmt.Sprint(i), ""})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if i == 0 {
			first = leave
		}
	}
	if _, _, err := f.watch(t.Context(), usageOf{"another", ""}); hub.KindOf(err) != hub.TooMany {
		t.Errorf("one more gets %v", err)
	}
	_, leave, err := f.watch(t.Context(), usageOf{"1", ""})
	if err != nil {
		t.Errorf("one who watches what is watched gets %v", err)
	} else {
		leave()
	}
	first()
	if _, leave, err := f.watch(t.Context(), usageOf{"another", ""}); err != nil {
		t.Errorf("when one has gone, another gets %v", err)
	} else {
		leave()
	}
}

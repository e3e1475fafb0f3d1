package api

import (
	"context"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// maxFeeds bounds of how many servers usage is watched at once: each costs the cluster two questions per interval.
	maxFeeds = 200
	// usagePatience is how long the cluster may take to say what one server uses.
	usagePatience = 10 * time.Second
)

// usageFeeds ask the cluster what a server uses once per interval, however many watch it, and only while somebody does.
type usageFeeds struct {
	ask      func(ctx context.Context, of usageOf) (scheduler.Usage, error)
	interval time.Duration

	mu sync.Mutex
	of map[usageOf]*usageFeed
}

// usageOf names a server.
type usageOf struct{ user, server string }

// usageFeed is what is known of one server.
type usageFeed struct {
	watchers int // guarded by usageFeeds.mu
	end      context.CancelFunc

	mu    sync.Mutex
	known bool
	told  usageTold
	newer chan struct{} // closed when there is another answer
}

// usageTold is one answer of the cluster.
type usageTold struct {
	usage scheduler.Usage
	err   error
}

// watch has the cluster asked until leave is called, or refuses it. What ctx carries goes with the questions, its end does not: others may watch longer.
func (f *usageFeeds) watch(ctx context.Context, of usageOf) (feed *usageFeed, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	feed = f.of[of]
	if feed == nil {
		if len(f.of) >= maxFeeds {
			return nil, nil, tooManyWatch()
		}
		ctx, end := context.WithCancel(context.WithoutCancel(ctx))
		feed = &usageFeed{end: end, newer: make(chan struct{})}
		if f.of == nil {
			f.of = map[usageOf]*usageFeed{}
		}
		f.of[of] = feed
		go f.run(ctx, of, feed)
	}
	feed.watchers++
	return feed, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if feed.watchers--; feed.watchers == 0 {
			delete(f.of, of)
			feed.end()
		}
	}), nil
}

func tooManyWatch() error {
	e := hub.Errorf(hub.TooMany, "Too many logs and displays of usage are open at once. Close some of them.")
	e.RetryAfter = 10 * time.Second
	return e
}

// run asks until ctx ends.
func (f *usageFeeds) run(ctx context.Context, of usageOf, feed *usageFeed) {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for {
		feed.tell(f.askOnce(ctx, of))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *usageFeeds) askOnce(ctx context.Context, of usageOf) usageTold {
	ctx, cancel := context.WithTimeout(ctx, usagePatience)
	defer cancel()
	usage, err := f.ask(ctx, of)
	return usageTold{usage, err}
}

func (f *usageFeed) tell(told usageTold) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told, f.known = told, true
	close(f.newer)
	f.newer = make(chan struct{})
}

// latest is the last answer, if there is one, and a channel that is closed when there is another.
func (f *usageFeed) latest() (told usageTold, known bool, newer <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told, f.known, f.newer
}

// next waits for the answer after the one that came with a channel; nil: for any. Who is slow misses some. False means that ctx ended.
func (f *usageFeed) next(ctx context.Context, after <-chan struct{}) (told usageTold, newer <-chan struct{}, ok bool) {
	for {
		if after != nil {
			select {
			case <-ctx.Done():
				return usageTold{}, nil, false
			case <-after:
			}
		}
		told, known, newer := f.latest()
		if known {
			return told, newer, true
		}
		after = newer
	}
}

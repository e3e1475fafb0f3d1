package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

// crowd is a hub's world in which many servers are ready, and one is left on its way. It notes what is asked of it.
type crowd struct {
	Store
	scheduler.Scheduler
	Routes
	routing.Publisher
	ready []Server

	mu     sync.Mutex
	left   Server
	lists  int
	looked []time.Time // at the one that was left
}

func (c *crowd) Servers(_ context.Context, q ServerQuery) ([]Server, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Server
	for _, state := range q.States {
		if state == Ready {
			out = append(out, c.ready...)
		}
		if state == c.left.State {
			out = append(out, c.left)
		}
	}
	return out, len(out), nil
}

func (c *crowd) ServerBriefs(ctx context.Context, states []ServerState) ([]ServerBrief, error) {
	servers, _, err := c.Servers(ctx, ServerQuery{States: states})
	briefs := make([]ServerBrief, len(servers))
	for i, s := range servers {
		briefs[i] = s.Brief()
	}
	return briefs, err
}

func (c *crowd) ServerByID(_ context.Context, id string) (Server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == c.left.ID {
		c.looked = append(c.looked, time.Now())
	}
	return Server{}, ErrNotFound
}

func (c *crowd) List(context.Context) ([]scheduler.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	list := make([]scheduler.Status, 0, len(c.ready))
	for _, s := range c.ready {
		list = append(list, scheduler.Status{ID: s.ID, Generation: s.Generation, Instance: s.Instance, State: scheduler.Running})
	}
	return list, nil
}

// TestF02_WhatADeadReplicaLeftIsFoundSoonAmongMany: with ten thousand servers all of them are looked at seldom, and those that start or stop as often as ever.
func TestF02_WhatADeadReplicaLeftIsFoundSoonAmongMany(t *testing.T) {
	t.Parallel()
	for _, state := range []ServerState{Starting, Stopping} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { sweepCrowd(t, state) })
		})
	}
}

func sweepCrowd(t *testing.T, state ServerState) {
	c := &crowd{left: Server{ID: "left", Generation: 1, State: state, Admitted: time.Now()}}
	for i := range 10_000 {
		c.ready = append(c.ready, Server{ID: fmt.Sprint(i), Generation: 1, State: Ready, Instance: "i"})
	}
	h, err := New(Options{Store: c, Scheduler: c, Publisher: c, Routes: c, Logger: slog.New(slog.DiscardHandler), URLs: NewURLs("/", nil, "http://127.0.0.1:8081")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.control.ctx = ctx         //nolint:fatcontext // as run does
	for _, s := range c.ready { // their bindings are published
		h.control.settled[s.ID] = mark{generation: s.Generation, instance: s.Instance, since: time.Now()}
	}
	begun := time.Now()
	var leading sync.WaitGroup
	leading.Go(func() { _ = h.control.lead(ctx) })
	const long = 4 * time.Minute
	<-time.After(long) // in the bubble that takes no time
	cancel()
	leading.Wait()
	h.control.group.Wait()
	last := begun
	for _, at := range append(c.looked, begun.Add(long)) {
		if at.Sub(last) > 11*time.Second {
			t.Errorf("nobody looked at it for %v", at.Sub(last))
		}
		last = at
	}
	if c.lists < 2 || c.lists > 9 {
		t.Errorf("all servers were compared %d times in %v", c.lists, long)
	}
}

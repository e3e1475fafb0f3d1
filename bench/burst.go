package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/hub"
)

// bareParallel is how many calls the peer makes at once: more does not make Nomad faster.
const bareParallel = 32

// burstOnNomad is O12a: many servers at once that run nothing, through the hub and through Nomad alone.
func (r *run) burstOnNomad(ctx context.Context) error {
	return r.databases(ctx, func(ctx context.Context, database, dsn string) error {
		dir, err := r.folder("o12-" + database)
		if err != nil {
			return err
		}
		c, err := startCluster(ctx, dir, r.self)
		if err != nil {
			return err
		}
		defer c.stop()
		if !c.hasMock(ctx) {
			fmt.Fprintln(os.Stderr, "bench: O12a needs a Nomad with mock_driver, which released builds do not have; left out")
			return nil
		}
		h, err := newHub(ctx, hubOptions{name: "b" + database, binary: r.hub, dsn: dsn, jobspec: mock(), cluster: c, users: r.burst + 1, logLevel: "info", profiles: r.profiles})
		if err != nil {
			return err
		}
		if err := h.start(ctx); err != nil {
			return err
		}
		defer h.close()
		file, err := h.template(ctx, c, userName(r.burst))
		if err != nil {
			return err
		}
		return r.repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
			mine, err := h.burst(ctx, c, r.burst)
			if err != nil {
				return nil, err
			}
			theirs, err := c.startBare(ctx, r.self, file, fmt.Sprintf("bare%d-", number), r.burst, bareParallel)
			if err != nil {
				return nil, err
			}
			return func(in round) { r.reportBurst(database, in, mine, theirs) }, nil
		})
	})
}

// burstResult is how a burst went; times in milliseconds.
type burstResult struct {
	accepted, allReady, allRunning, allGone float64
	cpuStart, cpuStop                       float64
}

func (r *run) reportBurst(database string, in round, mine burstResult, theirs bareResult) {
	k := func(name string) key {
		return key{Operation: "O12a", Name: name, Size: r.burst, Database: database, Unit: "ms"}
	}
	n := float64(r.burst)
	r.add(k("all_ready"), ours, in, mine.allReady)
	r.add(k("all_running"), ours, in, mine.allRunning)
	r.add(k("all_running"), bare, in, theirs.AllRunning)
	r.add(k("all_gone"), ours, in, mine.allGone)
	r.add(k("all_gone"), bare, in, theirs.AllGone)
	r.add(k("cpu_per_start"), ours, in, mine.cpuStart/n)
	r.add(k("cpu_per_start"), bare, in, theirs.CPUStart/n)
	r.add(k("cpu_per_stop"), ours, in, mine.cpuStop/n)
	r.add(k("cpu_per_stop"), bare, in, theirs.CPUStop/n)
}

// aftermath is how long the hub's work after a burst still counts as the burst's.
const aftermath = time.Second

const burstPatience = 3 * time.Minute

// burst starts n servers at once and stops them again.
func (h *hubProcess) burst(ctx context.Context, c *cluster, n int) (burstResult, error) {
	var b burstResult
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	running, err := c.watchRunning(ctx)
	if err != nil {
		return b, err
	}
	before, err := cpuTime(h.pid())
	if err != nil {
		return b, err
	}
	h.profile(ctx, "burst")
	began := time.Now()
	asked := h.askAll(ctx, http.MethodPost, n)
	if err := h.awaitCount(ctx, hub.Ready, n, burstPatience); err != nil {
		return b, err
	}
	b.allReady = since(began)
	if err := running.await(ctx, n); err != nil {
		return b, err
	}
	b.allRunning = since(began)
	if err := <-asked; err != nil {
		return b, err
	}
	pause(ctx, aftermath)
	between, err := cpuTime(h.pid())
	if err != nil {
		return b, err
	}
	began = time.Now()
	asked = h.askAll(ctx, http.MethodDelete, n)
	if err := h.awaitCount(ctx, hub.Stopped, n+1, burstPatience); err != nil { // with the one of the warm-up
		return b, err
	}
	b.allGone = since(began)
	if err := <-asked; err != nil {
		return b, err
	}
	pause(ctx, aftermath)
	after, err := cpuTime(h.pid())
	b.cpuStart, b.cpuStop = milliseconds(between-before), milliseconds(after-between)
	return b, err
}

// askAll asks for all servers, each on a connection of its own, and hands over what went wrong when all have been answered.
func (h *hubProcess) askAll(ctx context.Context, method string, n int) <-chan error {
	done := make(chan error, 1)
	var group sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		group.Go(func() {
			status, text, err := h.call(ctx, h.public, method, "/users/"+userName(i)+"/server", "")
			if err == nil && status >= http.StatusBadRequest {
				err = fmt.Errorf("%s for %s: %d %s", method, userName(i), status, text)
			}
			if err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	go func() {
		group.Wait()
		done <- first
	}()
	return done
}

// runningJobs follows Nomad's events and knows which jobs have an allocation that runs.
type runningJobs struct {
	mu      sync.Mutex
	ids     map[string]bool
	changed chan struct{} // capacity 1
}

// watchRunning follows from now on, until ctx ends.
func (c *cluster) watchRunning(ctx context.Context) (*runningJobs, error) {
	frames, err := c.nomad.EventStream().Stream(ctx, map[nomad.Topic][]string{nomad.TopicAllocation: {"*"}}, 0, nil)
	if err != nil {
		return nil, err
	}
	w := &runningJobs{ids: map[string]bool{}, changed: make(chan struct{}, 1)}
	go func() {
		for frame := range frames {
			for i := range frame.Events {
				if alloc, err := frame.Events[i].Allocation(); err == nil && alloc != nil {
					w.see(alloc)
				}
			}
		}
	}()
	return w, nil
}

func (w *runningJobs) see(alloc *nomad.Allocation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if alloc.ClientStatus != nomad.AllocClientStatusRunning {
		delete(w.ids, alloc.JobID)
		return
	}
	w.ids[alloc.JobID] = true
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// await waits until so many run.
func (w *runningJobs) await(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		have := len(w.ids)
		w.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d jobs run: %w", have, n, ctx.Err())
		case <-w.changed:
		}
	}
}

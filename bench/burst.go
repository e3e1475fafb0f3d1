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

// burstOnNomad is O12a: many servers at once that run nothing, through the hub and through Nomad alone. They start on several machines, as those of a class do: one that starts hundreds
// has Nomad's client ask Consul for all of them with each, and what takes its time then is neither the hub nor what is alone with Nomad.
func (r *run) burstOnNomad(ctx context.Context) error {
	return r.databases(ctx, func(ctx context.Context, database, dsn string) error {
		dir, err := r.folder("o12-" + database)
		if err != nil {
			return err
		}
		c, err := startWide(ctx, dir, r.self, r.burst, burstPerNode)
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

// burstLook is the time between two looks at how far a burst is: some thousandths of what it takes, and seldom enough not to take it from who is measured.
const burstLook = 50 * time.Millisecond

// burst starts n servers at once and stops them again.
func (h *hubProcess) burst(ctx context.Context, c *cluster, n int) (burstResult, error) {
	var b burstResult
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	before, err := cpuTime(h.pid())
	if err != nil {
		return b, err
	}
	h.profile(ctx, "burst")
	began := time.Now()
	asked := h.askAll(ctx, http.MethodPost, n)
	if err := h.awaitBurst(ctx, hub.Ready, n); err != nil {
		return b, err
	}
	b.allReady = since(began)
	if err := c.awaitRunning(ctx, n); err != nil {
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
	if err := h.awaitBurst(ctx, hub.Stopped, n+1); err != nil { // with the one of the warm-up
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

// awaitBurst waits until so many servers are in the state.
func (h *hubProcess) awaitBurst(ctx context.Context, state hub.ServerState, want int) error {
	for {
		n, err := h.count(ctx, state)
		if err != nil || n == want {
			return err
		}
		if !pause(ctx, burstLook) {
			return fmt.Errorf("%d servers are %s, and %d should be; the hub's log is %s: %w", n, state, want, h.log, ctx.Err())
		}
	}
}

// awaitRunning waits until Nomad says of so many of the hub's jobs that they run. It asks when the hub says that all can be used, so that nobody follows Nomad beside
// those who are measured.
func (c *cluster) awaitRunning(ctx context.Context, n int) error {
	q := (&nomad.QueryOptions{Filter: `ClientStatus == "running"`}).WithContext(ctx)
	for {
		running, _, err := c.nomad.Allocations().List(q)
		if err != nil || len(running) >= n {
			return err
		}
		if !pause(ctx, burstLook) {
			return fmt.Errorf("%d of %d jobs run: %w", len(running), n, ctx.Err())
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	// fillStep is how many servers are asked for at once while the field is filled.
	fillStep = 1000
	// fillPatience is for how long no server may become ready meanwhile.
	fillPatience = 3 * time.Minute
	// fillAgain is after how long without a server more those are asked for again that did not start.
	fillAgain = 30 * time.Second
)

// growTo adds users and starts all servers that are not yet there, as people start them. Nothing is measured meanwhile, so everybody may use both cores.
func (f *field) growTo(ctx context.Context, size int) error {
	if err := addUsers(ctx, f.store, f.users, size); err != nil {
		return err
	}
	f.users = max(f.users, size)
	if err := errors.Join(f.cluster.useCores(coreUnderTest, coreForRest), f.cluster.nice(asEquals)); err != nil {
		return err
	}
	began := time.Now()
	for f.size < size {
		to := min(f.size+fillStep, size)
		if err := f.ask(ctx, f.size, to); err != nil {
			return err
		}
		if err := f.awaitReady(ctx, to); err != nil {
			return err
		}
		f.size = to
		fmt.Fprintf(os.Stderr, "bench: %d servers run after %.0f s\n", to, time.Since(began).Seconds())
	}
	return errors.Join(f.cluster.useCores(coreForRest), f.cluster.nice(behind))
}

// ask asks for the servers of the users from first to last, that one not included.
func (f *field) ask(ctx context.Context, first, last int) error {
	const together = 64
	return inParallel(ctx, last-first, together, func(ctx context.Context, i int) error { return f.askFor(ctx, userName(first+i)) })
}

func (f *field) askFor(ctx context.Context, user string) error {
	status, text, err := f.call(ctx, f.public, http.MethodPost, "/users/"+user+"/server", "")
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("start of %s: %d %s", user, status, text)
	}
	return err
}

// awaitReady waits until so many servers are ready, as long as there come to be more. A start that failed is made anew.
func (f *field) awaitReady(ctx context.Context, want int) error {
	most, since := 0, time.Now()
	for {
		n, err := f.count(ctx, hub.Ready)
		if err != nil || n >= want {
			return err
		}
		if n > most {
			most, since = n, time.Now()
		}
		if time.Since(since) > fillPatience {
			return fmt.Errorf("%d of %d servers run, and for %s no other came: see the hub's log %s", n, want, fillPatience, f.log)
		}
		if time.Since(since) > fillAgain {
			if err := f.askAgain(ctx, want); err != nil {
				return err
			}
		}
		if !pause(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

func (f *field) askAgain(ctx context.Context, want int) error {
	stopped, _, err := f.store.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Stopped}, Limit: want})
	for _, s := range stopped {
		if err == nil {
			err = f.askFor(ctx, s.UserName)
		}
	}
	return err
}

// useCores lets all programs of the cluster run on these cores from now on.
func (c *cluster) useCores(cores ...int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	return ofThreads(c.processes, func(thread int) error { return unix.SchedSetaffinity(thread, &set) })
}

// ofThreads calls set for each thread of the processes. New threads are as those that make them.
func ofThreads(processes []*child, set func(thread int) error) error {
	for _, p := range processes {
		tasks, err := filepath.Glob("/proc/" + strconv.Itoa(p.pid()) + "/task/*")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return err
			}
			if err := set(id); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("threads of %s: %w", p.name, err)
			}
		}
	}
	return nil
}

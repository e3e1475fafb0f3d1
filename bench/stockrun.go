package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"time"
)

// stockField is the stock hub on SQLite with users or servers, and where its measurements go.
type stockField struct {
	*run
	*stockHub
	size int
}

// key is the same as that of ours on SQLite.
func (f *stockField) key(operation, name, unit string) key {
	return key{Operation: operation, Name: name, Size: f.size, Database: "sqlite", Unit: unit}
}

// besideStock measures what the stock hub is not asked in turn with ours, where it is on this machine: the same users, the same number of servers.
func (r *run) besideStock(ctx context.Context) error {
	for _, size := range r.stock {
		err := r.stockOf(ctx, size)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "bench: no JupyterHub to compare with:", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("JupyterHub with %d servers: %w", size, err)
		}
	}
	return nil
}

func (r *run) stockOf(ctx context.Context, size int) error {
	dir, err := r.folder(fmt.Sprintf("stock-%d", size))
	if err != nil {
		return err
	}
	h, err := newStock(ctx, dir, r.self, "")
	if err != nil {
		return err
	}
	defer h.close()
	f := &stockField{run: r, stockHub: h, size: size}
	if err := f.users(ctx); err != nil {
		return err
	}
	if size == f.burstAmong() && f.compares("O12b") {
		if err := f.starts(ctx, r.burst); err != nil {
			return err
		}
	}
	if err := f.mixed(ctx); err != nil {
		return err
	}
	if !f.compares("O14") {
		return nil
	}
	return f.servers(ctx)
}

// compares tells whether an operation of ours is measured beside the stock hub, or the stock hub is all that is.
func (f *stockField) compares(operation string) bool {
	return slices.Equal(f.only, []string{"stock"}) || f.wants(operation)
}

// burstAmong is the smallest size that has enough users for a burst.
func (f *stockField) burstAmong() int {
	for _, size := range f.stock {
		if size >= f.run.burst {
			return size
		}
	}
	return 0
}

// users measures it with users who run nothing.
func (f *stockField) users(ctx context.Context) error {
	if err := f.prepare(ctx, f.size); err != nil {
		return err
	}
	return f.times(1).repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		api, _, err := f.start(ctx, 0)
		if err != nil {
			return nil, err
		}
		if r, err := f.version(ctx); err == nil {
			f.note("JupyterHub", r)
		}
		if err := f.listUsers(ctx, f.size); err != nil {
			return nil, err
		}
		pause(ctx, 2*time.Second)
		resident, _, err := memory(f.pid())
		return func(in round) {
			f.add(f.key("O14", "api_without_servers", "ms"), stock, in, api)
			f.add(f.key("O15", "resident_without_servers", "MiB"), stock, in, resident)
		}, err
	})
}

// stockParallel is how many starts are asked for at once; more make it no faster.
const stockParallel = 32

// starts starts servers and ends them again.
func (f *stockField) starts(ctx context.Context, n int) error {
	asks := newStarter(f.url, f.token)
	return f.times(stockRounds).repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		start, tookStart, err := f.burst(ctx, asks, http.MethodPost, n)
		if err != nil {
			return nil, err
		}
		stop, tookStop, err := f.burst(ctx, asks, http.MethodDelete, n)
		return func(in round) {
			k := func(name, unit string) key {
				return key{Operation: "O12b", Name: name, Size: n, Database: "sqlite", Unit: unit}
			}
			f.add(onFake("cpu_per_start"), stock, in, start/float64(n))
			f.add(onFake("cpu_per_stop"), stock, in, stop/float64(n))
			f.add(k("starts_per_second", "1/s"), stock, in, 1000*float64(n)/tookStart)
			f.add(k("stops_per_second", "1/s"), stock, in, 1000*float64(n)/tookStop)
		}, err
	})
}

// burst asks for all of the first n users' servers, or for their end, and returns the hub's processor time and how long it took, in milliseconds.
func (f *stockField) burst(ctx context.Context, asks starter, method string, n int) (cpu, took float64, err error) {
	before, err := cpuTime(f.pid())
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = inParallel(ctx, n, stockParallel, func(ctx context.Context, i int) error {
		status, err := asks.ask(ctx, method, i)
		if err == nil && status >= http.StatusBadRequest {
			err = fmt.Errorf("JupyterHub answered %s for %s with %d", method, userName(i), status)
		}
		return err
	})
	took = since(began)
	pause(ctx, aftermath)
	after, err2 := cpuTime(f.pid())
	return milliseconds(after - before), took, errors.Join(err, err2)
}

// stockRounds are fewer than ours, because each takes so long.
const stockRounds = 3

// servers measures it with servers that run.
func (f *stockField) servers(ctx context.Context) error {
	f.kill()
	if err := f.seed(ctx, f.size, f.size); err != nil {
		return err
	}
	if _, _, err := f.start(ctx, f.size); err != nil { // the first time it writes what it found
		return err
	}
	rounds := stockRounds
	if f.size > 2000 {
		rounds = 2 // one takes minutes
	}
	return f.times(rounds).repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		f.kill()
		api, routes, err := f.start(ctx, f.size)
		if err != nil {
			return nil, err
		}
		still, err := f.idle(ctx)
		return func(in round) {
			f.add(f.key("O14", "api", "ms"), stock, in, api)
			f.add(f.key("O14", "routes", "ms"), stock, in, routes)
			still.reportStock(f, in)
		}, err
	})
}

// idle lists everything, has the culler look at everything, and then leaves the hub alone.
func (f *stockField) idle(ctx context.Context) (i idleStock, err error) {
	if err := f.listUsers(ctx, f.size); err != nil {
		return i, err
	}
	if i.culler, err = f.cullerPass(ctx, f.stockHub.dir, target{f.url, f.token, f.child}, f.size); err != nil {
		return i, err
	}
	pause(ctx, 3*time.Second)
	used, err := watchCPU(ctx, f.pid(), rest(0))
	if err != nil {
		return i, err
	}
	i.cpu = used.cores()
	if i.resident, i.peak, err = memory(f.pid()); err != nil {
		return i, err
	}
	began := time.Now()
	text, err := f.get(ctx, "/hub/metrics")
	i.scrape, i.scraped = since(began), float64(len(text))/1024
	return i, err
}

// idleStock is the stock hub at rest.
type idleStock struct {
	idleHub
	culler *cullerPass
}

func (i idleStock) reportStock(f *stockField, in round) {
	f.add(f.key("O16", "idle_cpu", "% of a core"), stock, in, 100*i.cpu)
	f.add(f.key("O15", "resident", "MiB"), stock, in, i.resident)
	f.add(f.key("O15", "resident_peak", "MiB"), stock, in, i.peak)
	f.add(f.key("O16", "scrape", "ms"), stock, in, i.scrape)
	f.add(f.key("O16", "scrape_size", "KiB"), stock, in, i.scraped)
	i.culler.report(f.recorder, f.key, stock, in)
}

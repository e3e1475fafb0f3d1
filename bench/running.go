package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// many is O14 to O16: a hub with many servers that run. All sizes are measured on one cluster, one after the other.
func (r *run) many(ctx context.Context) error {
	return r.databases(ctx, func(ctx context.Context, database, dsn string) error {
		dir, err := r.folder("o14-" + database)
		if err != nil {
			return err
		}
		c, err := startWide(ctx, dir, r.self, slices.Max(r.sizes), perNode)
		if err != nil {
			return err
		}
		defer c.stop()
		if !c.hasMock(ctx) {
			fmt.Fprintln(os.Stderr, "bench: O14 to O16 need a Nomad with mock_driver, which released builds do not have; left out")
			return nil
		}
		f := &field{run: r, cluster: c, database: database}
		for _, size := range r.sizes {
			if database != "sqlite" {
				break // the same for all
			}
			if err := f.without(ctx, size); err != nil {
				return fmt.Errorf("no servers, %d users: %w", size, err)
			}
		}
		return f.grow(ctx, dsn)
	})
}

// field is a hub with servers that run, and where its measurements go.
type field struct {
	*run
	*hubProcess
	cluster  *cluster
	size     int
	database string
}

func (f *field) key(operation, name, unit string) key {
	return key{Operation: operation, Name: name, Size: f.size, Database: f.database, Unit: unit}
}

func (f *field) open(ctx context.Context, name, dsn string, users int) error {
	h, err := newHub(ctx, hubOptions{
		name: name, binary: f.hub, dsn: dsn, jobspec: mock(), cluster: f.cluster, users: users, logLevel: "info", profiles: f.run.profiles, more: culling,
	})
	if err == nil {
		f.hubProcess = h
		err = h.start(ctx)
	}
	return err
}

// without measures a hub that has that many users and nothing that runs, on SQLite.
func (f *field) without(ctx context.Context, size int) error {
	f.size = size
	if err := f.open(ctx, fmt.Sprintf("e%d", size), "", size); err != nil {
		return err
	}
	defer f.close()
	return f.withoutServers(ctx)
}

// grow measures each size in turn.
func (f *field) grow(ctx context.Context, dsn string) error {
	if err := f.open(ctx, "m"+f.database, dsn, f.sizes[0]); err != nil {
		return err
	}
	defer f.close()
	f.size = 0
	for _, size := range f.sizes {
		if err := f.growTo(ctx, size); err != nil {
			return fmt.Errorf("%d servers: %w", size, err)
		}
		if err := f.withServers(ctx); err != nil {
			return fmt.Errorf("with %d servers: %w", size, err)
		}
	}
	return nil
}

// withoutServers measures a hub that has users and nothing that runs, after somebody looked at all of them.
func (f *field) withoutServers(ctx context.Context) error {
	return f.repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
		if number > 0 { // the hub does not change: one look is enough
			return func(round) {}, nil
		}
		if err := f.listUsers(ctx); err != nil {
			return nil, err
		}
		pause(ctx, 2*time.Second)
		resident, _, err := memory(f.pid())
		return func(in round) { f.add(f.key("O15", "resident_without_servers", "MiB"), ours, in, resident) }, err
	})
}

// listUsers reads all pages of all users.
func (f *field) listUsers(ctx context.Context) error {
	const page = 200
	for offset := 0; offset <= f.size; offset += page {
		status, text, err := f.call(ctx, f.public, http.MethodGet, fmt.Sprintf("/users?limit=%d&offset=%d", page, offset), "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("list of users: %d %s", status, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// manyRounds are fewer than others: each takes about a minute, and what is measured are sums over thousands.
const manyRounds = 3

// withServers measures a hub with servers, again and again from its restart on.
func (f *field) withServers(ctx context.Context) error {
	return f.times(manyRounds).repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		back, ended, err := f.restart(ctx)
		if err != nil {
			return nil, err
		}
		culler, err := f.culled(ctx)
		if err != nil {
			return nil, err
		}
		still, err := f.idle(ctx)
		if err != nil {
			return nil, err
		}
		one, err := f.again(ctx, ended)
		return func(in round) {
			back.report(f, in)
			culler.report(f.recorder, f.key, ours, in)
			still.report(f, in)
			f.add(f.key("O13", "start_while_running", "ms"), ours, in, one.took)
			f.add(f.key("O13", "cpu_while_running", "ms"), ours, in, one.cpu)
		}, err
	})
}

// restarted is how a hub came back after it was killed; times in milliseconds from its start.
type restarted struct {
	serversAPI, api, routes, caughtUp float64
	peak                              float64
}

func (x restarted) report(f *field, in round) {
	f.add(f.key("O14", "servers_api", "ms"), ours, in, x.serversAPI)
	f.add(f.key("O14", "api", "ms"), ours, in, x.api)
	f.add(f.key("O14", "routes", "ms"), ours, in, x.routes)
	f.add(f.key("O14", "caught_up", "ms"), ours, in, x.caughtUp)
	f.add(f.key("O15", "resident_peak_restart", "MiB"), ours, in, x.peak)
}

// changedMeanwhile is how many servers end while the hub is down, so that it has something to find out.
const changedMeanwhile = 10

// restart kills the hub, ends some servers behind its back, starts it again, and waits until it knows. It returns which those are.
func (f *field) restart(ctx context.Context) (x restarted, ended []int, err error) {
	ended = rand.Perm(f.size)[:min(changedMeanwhile, f.size/10)] //nolint:gosec // a sample
	f.kill()
	for _, i := range ended {
		s, err := f.serverOf(ctx, userName(i))
		if err != nil {
			return x, ended, err
		}
		if _, _, err := f.cluster.nomad.Jobs().Deregister("m"+f.database+"-"+s.ID, false, nil); err != nil {
			return x, ended, err
		}
	}
	if !pause(ctx, 5*time.Second) { // until Nomad has ended them
		return x, ended, ctx.Err()
	}
	if err := f.launch(); err != nil {
		return x, ended, err
	}
	began := time.Now()
	f.profile(ctx, "restart")
	err = f.await(ctx, time.Minute, func(ctx context.Context) error { return f.asked(ctx, f.servers) })
	x.serversAPI = since(began)
	if err == nil {
		err = f.await(ctx, time.Minute, func(ctx context.Context) error { return f.asked(ctx, f.public) })
		x.api = since(began)
	}
	if err == nil {
		err = f.await(ctx, time.Minute, func(ctx context.Context) error { return f.routed(ctx, f.size-len(ended)) })
		x.routes = since(began)
	}
	if err == nil {
		err = f.awaitCount(ctx, hub.Ready, f.size-len(ended), 5*time.Minute)
		x.caughtUp = since(began)
	}
	if err != nil {
		return x, ended, err
	}
	if _, x.peak, err = memory(f.pid()); err != nil {
		return x, ended, err
	}
	return x, ended, nil
}

// asked is nil if the API answers who the token's owner is.
func (f *field) asked(ctx context.Context, base string) error {
	status, text, err := f.call(ctx, base, http.MethodGet, "/user", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, text)
	}
	return err
}

// routesMetric is how many routes the hub says that it has.
const routesMetric = "nomadhub_routing_table_routes"

// routesStep is how often it is asked.
const routesStep = 40 * time.Millisecond

// routed is nil if the hub has so many routes at least, and each of a sample leads to the right server.
func (f *field) routed(ctx context.Context, least int) error {
	text, err := read(ctx, f.client, f.metrics+"/metrics")
	if err != nil {
		return err
	}
	if have := int(metric(text, routesMetric)); have < least {
		pause(ctx, routesStep) // to be asked costs the hub milliseconds
		return fmt.Errorf("%d of %d routes", have, least)
	}
	return f.sample(ctx, 20)
}

// sample asks some servers through the proxy. The stand-in says at which address it answered.
func (f *field) sample(ctx context.Context, n int) error {
	for range n {
		user := userName(rand.IntN(f.size)) //nolint:gosec // a sample
		s, err := f.serverOf(ctx, user)
		if err != nil {
			return err
		}
		if s.State != hub.Ready {
			continue
		}
		text, err := read(ctx, f.client, f.public+"/user/"+user+"/api")
		if err == nil && string(text) != s.Address {
			err = fmt.Errorf("the server of %s is at %s, and the proxy led to %s", user, s.Address, text)
		}
		if now, again := f.serverOf(ctx, user); again == nil && now.Revision != s.Revision {
			continue // one of those that ended
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oneMore is what one start takes while many servers run, in milliseconds.
type oneMore struct{ took, cpu float64 }

// again starts what was ended, one after the other.
func (f *field) again(ctx context.Context, ended []int) (oneMore, error) {
	var took []float64
	before, err := cpuTime(f.pid())
	if err != nil {
		return oneMore{}, err
	}
	for _, i := range ended {
		began := time.Now()
		if err := f.askFor(ctx, userName(i)); err != nil { // answered when it is ready, or very late
			return oneMore{}, err
		}
		took = append(took, since(began))
	}
	if err := f.awaitCount(ctx, hub.Ready, f.size, 5*time.Minute); err != nil {
		return oneMore{}, err
	}
	pause(ctx, aftermath)
	after, err := cpuTime(f.pid())
	return oneMore{median(took), milliseconds(after-before) / float64(max(1, len(took)))}, err
}

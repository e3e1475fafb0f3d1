package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// jobSoon is when the keeper looks again while a job is on its way.
	jobSoon = 500 * time.Millisecond
	// jobRepublish is how long a route that was published may be missing here until it is published again.
	jobRepublish = 30 * time.Second
)

// jobKeeper keeps the jobs of services as the configuration says, while this replica is the one that does. What it knows of them is in the database and in
// the cluster; the rest is how it paces itself.
type jobKeeper struct {
	h       *Hub
	of      map[string]*jobMemory // by job ID; only its own goroutine looks at it
	results chan jobResult
	working sync.WaitGroup
	moving  bool // some job is on its way
}

// jobMemory is what the keeper remembers of one job.
type jobMemory struct {
	busy      bool // something is being done for it
	pause     time.Duration
	notBefore time.Time // when what failed may be tried again
	deadSince time.Time
	said      string // the trouble that was last told of
	// told, salt and mark are those of the last comparison; see [jobMemory.sameMark].
	told       string
	salt, mark []byte
	// generation and secret are those of a run that was begun here and that the scheduler has not accepted yet.
	generation int64
	secret     string
	// published is the instance whose route was last told of, and when.
	published   string
	publishedAt time.Time
}

type jobResult struct {
	id, step string
	err      error
}

// keepServiceJobs has the cluster run exactly the jobs of the services that there are. Jobs stay when it ends.
func (h *Hub) keepServiceJobs(ctx context.Context) error {
	k := &jobKeeper{h: h, of: map[string]*jobMemory{}, results: make(chan jobResult)}
	defer k.working.Wait()
	for {
		news := h.services.news()
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "jobs of services not looked at, will be in seconds", "err", err)
		}
		pause := serviceRefresh
		if k.moving {
			pause = jobSoon
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case r := <-k.results:
			k.finish(ctx, r)
		case <-time.After(pause):
		}
	}
}

// round looks at all jobs once and begins what is to be done for each. The cluster is asked before the rows, so that these are not older.
func (k *jobKeeper) round(ctx context.Context) error {
	lctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	list, err := k.h.opts.ServiceScheduler.List(lctx)
	if err != nil {
		return err
	}
	rows, err := k.h.store.Services(lctx)
	if err != nil {
		return err
	}
	runs, err := k.h.serviceRuns(lctx)
	if err != nil {
		return err
	}
	status, configured := byID(list), *k.h.services.configured.Load()
	k.moving = false
	for _, row := range rows {
		if !row.Scheduled {
			continue
		}
		id := serviceJobID(row.Name)
		st := status[id]
		delete(status, id)
		if s, ok := configured[row.Name]; ok && s.Job != nil { // else a replica with another configuration has it
			if err := k.look(ctx, s, runs[row.Name], st); err != nil {
				return err
			}
		}
	}
	for id, st := range status {
		k.end(ctx, id, st.Generation)
	}
	return nil
}

// look takes the next step for one service.
func (k *jobKeeper) look(ctx context.Context, s ConfiguredService, run *ServiceRun, st *scheduler.Status) error {
	id := serviceJobID(s.Name)
	m := k.memory(id)
	if m.busy { // what is known of it is about to change
		k.moving = true
		return nil
	}
	told, err := k.h.toldService(s)
	if err != nil {
		return err
	}
	o := jobObservation{run: run, status: st, serves: s.Serves}
	if o.same, err = m.sameMark(run, told); err != nil {
		return err
	}
	o.dead = m.seen(ctx, k.h, s.Name, st)
	o.routed = run != nil && (k.h.control.routed(id, run.Generation, run.Instance) || m.published == run.Instance && k.h.now().Sub(m.publishedAt) < jobRepublish)
	switch planServiceJob(o) {
	case jobStart:
		k.do(ctx, id, "start", func(ctx context.Context) error { return k.start(ctx, s, o, m, told) })
	case jobPlace:
		k.do(ctx, id, "place", func(ctx context.Context) error { return k.h.placeServiceRun(ctx, *run, *st) })
	case jobPublish:
		k.do(ctx, id, "publish", func(ctx context.Context) error { return k.publish(ctx, s.Name, *run, *st, m) })
	case jobRest:
		k.moving = k.moving || st.State == scheduler.Pending && !st.Blocked
	}
	return nil
}

func (k *jobKeeper) memory(id string) *jobMemory {
	m := k.of[id]
	if m == nil {
		m = &jobMemory{}
		k.of[id] = m
	}
	return m
}

// seen notes since when a job is dead, tells of that and of what it waits for, each once, and returns for how long it has been dead.
func (m *jobMemory) seen(ctx context.Context, h *Hub, service string, st *scheduler.Status) time.Duration {
	trouble := ""
	if st != nil && (st.State == scheduler.Dead || st.Blocked || st.Lost) {
		trouble = st.Reason
	}
	if trouble != "" && trouble != m.said {
		h.log.WarnContext(ctx, "job of a service does not run", "service", service, "generation", st.Generation, "reason", trouble)
	}
	m.said = trouble
	if st == nil || st.State != scheduler.Dead {
		m.deadSince = time.Time{}
		return 0
	}
	if m.deadSince.IsZero() {
		m.deadSince = h.now()
	}
	return h.now().Sub(m.deadSince)
}

// do begins a step for a job, unless one is under way or the last one failed a moment ago. One job that hangs holds up no other.
func (k *jobKeeper) do(ctx context.Context, id, step string, fn func(context.Context) error) {
	m := k.memory(id)
	k.moving = true
	if m.busy || k.h.now().Before(m.notBefore) {
		return
	}
	m.busy = true
	k.working.Go(func() {
		dctx, cancel := context.WithTimeout(ctx, stopPatience)
		defer cancel()
		r := jobResult{id, step, fn(dctx)}
		select {
		case k.results <- r:
		case <-ctx.Done():
		}
	})
}

// finish takes note of how a step ended.
func (k *jobKeeper) finish(ctx context.Context, r jobResult) {
	m := k.memory(r.id)
	m.busy = false
	if r.err == nil || errors.Is(r.err, ErrStale) || errors.Is(r.err, scheduler.ErrStale) { // another replica was faster: look again
		m.pause = 0
		return
	}
	m.pause = min(max(2*m.pause, serviceShortest), serviceLongest)
	m.notBefore = k.h.now().Add(m.pause)
	k.h.log.WarnContext(ctx, "work on the job of a service failed, will be repeated", "job", r.id, "step", r.step, "in", m.pause.String(), "err", r.err)
}

// start begins another run, or goes on with one that was begun and that the scheduler could not be told of. A job that the cluster would never take does not end the one
// that runs.
func (k *jobKeeper) start(ctx context.Context, s ConfiguredService, o jobObservation, m *jobMemory, told string) error {
	h := k.h
	if planner, ok := h.opts.ServiceScheduler.(scheduler.Planner); ok && o.status != nil {
		_, err := planner.Plan(ctx, h.serviceSpec(s, "", nextGeneration(o.run, o.status, h.now())))
		if rejected, no := errors.AsType[*scheduler.RejectedError](err); no {
			return fmt.Errorf("the cluster does not take the job of the service %s: %w", s.Name, rejected)
		}
	}
	if o.run == nil || !o.same || m.secret == "" || m.generation != o.run.Generation {
		if err := k.begin(ctx, s, o, m, told); err != nil {
			return err
		}
	}
	if err := h.opts.ServiceScheduler.Start(ctx, h.serviceSpec(s, m.secret, m.generation)); err != nil {
		return fmt.Errorf("start the job of the service %s: %w", s.Name, err)
	}
	accepted := ServiceRun{Service: s.Name, Generation: m.generation, Token: hashSecret(m.secret)}
	m.secret = ""
	if o.same && o.run != nil {
		h.services.restarts.Inc()
	}
	h.log.InfoContext(ctx, "service was handed to the scheduler", "service", s.Name, "generation", m.generation)
	return h.revokeEarlier(ctx, accepted)
}

// revokeEarlier removes the tokens of the runs before this one, which have ended, unless another replica has begun a later one meanwhile.
func (h *Hub) revokeEarlier(ctx context.Context, run ServiceRun) error {
	return h.store.InTx(ctx, func(tx Store) error {
		runs, err := tx.ServiceRuns(ctx)
		if err != nil || !slices.ContainsFunc(runs, func(r ServiceRun) bool { return r.Service == run.Service && r.Generation == run.Generation }) {
			return err
		}
		return tx.DeleteTokensOfService(ctx, run.Service, run.Token)
	})
}

// begin writes the next run down, with a token of its own. The token of the run that is to be replaced stays until that has ended.
func (k *jobKeeper) begin(ctx context.Context, s ConfiguredService, o jobObservation, m *jobMemory, told string) error {
	salt := make([]byte, saltSize)
	rand.Read(salt) // it never fails; it ends the program instead
	mark, err := markOf(told, salt)
	if err != nil {
		return err
	}
	secret := s.Token
	if secret == "" {
		secret = newSecret()
	}
	next := ServiceRun{Service: s.Name, Generation: nextGeneration(o.run, o.status, k.h.now()), Salt: salt, Mark: mark, Token: hashSecret(secret)}
	var before int64
	var running [][]byte
	if o.run != nil {
		before, running = o.run.Generation, append(running, o.run.Token)
	}
	err = k.h.store.InTx(ctx, func(tx Store) error {
		if err := tx.BeginServiceRun(ctx, next, before); err != nil {
			return err
		}
		return k.h.writeServiceToken(ctx, tx, s.Name, secret, "Made by the hub for the service's job", running...)
	})
	if err != nil {
		return fmt.Errorf("begin a run of the service %s: %w", s.Name, err)
	}
	m.generation, m.secret = next.Generation, secret
	return nil
}

// placeServiceRun writes down where a run is.
func (h *Hub) placeServiceRun(ctx context.Context, run ServiceRun, st scheduler.Status) error {
	run.Instance, run.Address = st.Instance, st.Address
	if err := h.store.PlaceServiceRun(ctx, run); err != nil {
		return err
	}
	h.log.InfoContext(ctx, "service has a place", "service", run.Service, "generation", run.Generation, "instance", run.Instance, "address", run.Address)
	h.services.tell()
	return nil
}

// publish tells the routers of all replicas where a run listens.
func (k *jobKeeper) publish(ctx context.Context, service string, run ServiceRun, st scheduler.Status, m *jobMemory) error {
	err := k.h.opts.Publisher.Publish(ctx, routing.Binding{
		Server: serviceJobID(service), Prefix: k.h.urls.Service(service), Generation: run.Generation,
		Instance: run.Instance, Address: run.Address, Placement: st.Placement,
	})
	if err != nil {
		return fmt.Errorf("publish the route of the service %s: %w", service, err)
	}
	m.published, m.publishedAt = run.Instance, k.h.now()
	return nil
}

// end takes away the job of a service that there is no more.
func (k *jobKeeper) end(ctx context.Context, id string, generation int64) {
	k.do(ctx, id, "end", func(ctx context.Context) error {
		if err := k.h.opts.Publisher.Withdraw(ctx, id, generation); err != nil {
			return err
		}
		if err := k.h.opts.ServiceScheduler.Stop(ctx, id, generation); err != nil {
			return err
		}
		k.h.log.InfoContext(ctx, "job of a service that there is no more was ended", "job", id, "generation", generation)
		return nil
	})
}

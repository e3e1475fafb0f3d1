package hub_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/leader"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// counted counts what a hub asks of the world around it.
type counted struct {
	*schedulertest.Fake
	lists, rows                   atomic.Int64
	listed                        atomic.Pointer[time.Time] // when the first list came
	scheduler, publishes, queries tally
}

func (c *counted) List(ctx context.Context) ([]scheduler.Status, error) {
	c.scheduler.note()
	all, err := c.Fake.List(ctx)
	c.listed.CompareAndSwap(nil, new(time.Now()))
	c.lists.Add(1)
	return all, err
}

func (c *counted) Status(ctx context.Context, id string) (scheduler.Status, error) {
	c.scheduler.note()
	return c.Fake.Status(ctx, id)
}

func (c *counted) Start(ctx context.Context, spec scheduler.Spec) error {
	c.scheduler.note()
	return c.Fake.Start(ctx, spec)
}

func (c *counted) Stop(ctx context.Context, id string, generation int64) error {
	c.scheduler.note()
	return c.Fake.Stop(ctx, id, generation)
}

func (c *counted) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	c.scheduler.note()
	return c.Fake.Watch(ctx)
}

func (c *counted) Usage(ctx context.Context, id string) (scheduler.Usage, error) {
	c.scheduler.note()
	return c.Fake.Usage(ctx, id)
}

func (c *counted) Volumes(ctx context.Context) ([]scheduler.VolumeState, error) {
	c.scheduler.note()
	return c.Fake.Volumes(ctx)
}

type countedPublisher struct {
	routing.Publisher
	c *counted
}

func (p countedPublisher) Publish(ctx context.Context, b routing.Binding) error {
	p.c.publishes.note()
	return p.Publisher.Publish(ctx, b)
}

func (p countedPublisher) Withdraw(ctx context.Context, server string, generation int64) error {
	p.c.publishes.note()
	return p.Publisher.Withdraw(ctx, server, generation)
}

type countedStore struct {
	hub.Store
	c *counted
}

func (s countedStore) ServerByID(ctx context.Context, id string) (hub.Server, error) {
	s.c.rows.Add(1)
	return s.Store.ServerByID(ctx, id)
}

// patientRoutes have the hub wait for the first routes for as long as a slow machine needs, and not only some seconds.
type patientRoutes struct {
	routes
	test context.Context //nolint:containedctx // what bounds the wait
}

func (p patientRoutes) WaitReady(context.Context) error { return p.routes.WaitReady(p.test) }

// herd is a cluster with so many running servers, of which every user has one, and the database of its hubs.
type herd struct {
	t        *testing.T
	dsn      string
	fake     *schedulertest.Fake
	registry *static.Registry
	many     int
}

func newHerd(t *testing.T, many int) *herd {
	t.Helper()
	h := &herd{t: t, dsn: pgtest.New(t), fake: schedulertest.NewFake(), registry: static.New(), many: many}
	db := h.open(h.dsn)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := h.server(0)
	u := hub.User{ID: first.UserID, Name: first.UserName, Created: time.Now()}
	run := hub.UsageRun{
		ID: "r0", ServerID: first.ID, UserID: u.ID, UserName: u.Name, Generation: first.Generation, Instance: first.Instance, Began: time.Now(),
	}
	for _, err := range []error{db.CreateUser(t.Context(), u), db.CreateServer(t.Context(), first), db.OpenRun(t.Context(), run), db.TouchUsage(t.Context(), time.Now())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.copyRows()
	for i := range many {
		s := h.server(i)
		h.fake.Adopt(scheduler.Spec{ID: s.ID, Generation: s.Generation}, scheduler.Status{
			State: scheduler.Running, Instance: s.Instance, Address: s.Address, Placement: s.Placement, Began: s.Started,
		})
	}
	return h
}

// server is the row with that number.
func (h *herd) server(i int) hub.Server {
	now := time.Now()
	return hub.Server{
		ID: fmt.Sprintf("s%d", i), UserID: fmt.Sprintf("u%d", i), UserName: fmt.Sprintf("user%d", i), State: hub.Ready, Generation: 3,
		Created: now, Started: now, Queued: now, Admitted: now,
		Instance: fmt.Sprintf("i%d", i), Address: fmt.Sprintf("127.0.0.1:%d", 1000+i), Placement: uint64(i + 1),
	}
}

// copyRows has Postgres make the other rows out of the first: ten thousand take it less time than a few hundred of them sent one by one.
func (h *herd) copyRows() {
	h.t.Helper()
	db, err := pgx.Connect(h.t.Context(), h.dsn)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(h.t.Context())) }()
	for _, change := range []string{
		`INSERT INTO users SELECT (jsonb_populate_record(first, jsonb_build_object('id', 'u'||n, 'name', 'user'||n, 'name_folded', 'user'||n))).*
			FROM users first, generate_series(1, $1) n`,
		`INSERT INTO servers SELECT (jsonb_populate_record(first, jsonb_build_object(
				'id', 's'||n, 'user_id', 'u'||n, 'instance', 'i'||n, 'address', '127.0.0.1:'||1000+n, 'placement', n+1))).*
			FROM servers first, generate_series(1, $1) n`,
		`INSERT INTO usage_runs SELECT (jsonb_populate_record(first, jsonb_build_object(
				'id', 'r'||n, 'server_id', 's'||n, 'user_id', 'u'||n, 'user_name', 'user'||n, 'instance', 'i'||n))).*
			FROM usage_runs first, generate_series(1, $1) n`,
	} {
		if _, err := db.Exec(h.t.Context(), change, h.many-1); err != nil {
			h.t.Fatal(err)
		}
	}
	if _, err := db.Exec(h.t.Context(), "ANALYZE"); err != nil {
		h.t.Fatal(err)
	}
}

// publish has all routes known before any hub starts.
func (h *herd) publish() {
	h.t.Helper()
	for i := range h.many {
		s := h.server(i)
		err := h.registry.Publish(h.t.Context(), routing.Binding{
			Server: s.ID, Prefix: "/user/" + s.UserName + "/", Generation: s.Generation, Instance: s.Instance, Address: s.Address, Placement: s.Placement,
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *herd) open(dsn string) *store.Store {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), store.Options{DSN: dsn})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	return db
}

// hub starts one replica, with a database connection and duties as in production, and counts what it asks.
func (h *herd) hub(name string) (*counted, *bench) {
	h.t.Helper()
	c := &counted{Fake: h.fake.Reopen()}
	db := h.open(countedPostgres(h.t, h.dsn, &c.queries))
	return c, openBenchOn(h.t, db, c.Fake, h.registry, func(o *hub.Options) {
		o.Scheduler, o.Publisher, o.Store = c, countedPublisher{o.Publisher, c}, countedStore{o.Store, c}
		o.Routes = patientRoutes{o.Routes.(routes), h.t.Context()}
		o.Elect = func(ctx context.Context, duty string, fn func(context.Context) error) error {
			return leader.Run(ctx, db, leader.Options{Name: duty, Holder: name}, fn)
		}
	})
}

// TestF05_HubsThatStartWithManyServersAskLittle starts three hubs at the same moment while ten thousand servers run. After the first list none of them asks
// anybody for more than fifty things in any second, and nothing is asked for each server.
func TestF05_HubsThatStartWithManyServersAskLittle(t *testing.T) {
	t.Parallel()
	const servers, perSecond, few = 10_000, 50, 100
	h := newHerd(t, servers)
	h.publish()
	var counts [3]*counted
	var benches [3]*bench
	var starting sync.WaitGroup
	for i := range counts {
		starting.Go(func() { counts[i], benches[i] = h.hub(fmt.Sprintf("hub-%d", i)) })
	}
	starting.Wait()
	if t.Failed() {
		return
	}
	lists := func() (n int64) {
		for _, c := range counts {
			n += c.lists.Load()
		}
		return n
	}
	// Two looks at all servers, and one comparison of the ledger.
	untilWithin(t, 2*long, "all servers to be looked at twice", func() bool { return lists() >= 3 })
	var first time.Time
	for _, c := range counts {
		if at := c.listed.Load(); at != nil && at.After(first) {
			first = *at
		}
	}
	for i, c := range counts {
		for whom, of := range map[string]*tally{"the scheduler": &c.scheduler, "discovery": &c.publishes, "the database": &c.queries} {
			most, all := of.peak(first)
			t.Logf("hub %d asked %s %d times before the first list, and %d times after it, at most %d times in a second", i, whom, of.count()-all, all, most)
			if most >= perSecond {
				t.Errorf("hub %d asked %s %d times in one second", i, whom, most)
			}
		}
		// Nothing is wrong with any server, so none is asked for by itself, however long all of this took.
		if c.scheduler.count() > few || c.publishes.count() > 0 || c.rows.Load() > few {
			t.Errorf("hub %d, with all routes known, asked the scheduler %d times, published %d bindings, read %d rows; %d are enough",
				i, c.scheduler.count(), c.publishes.count(), c.rows.Load(), few)
		}
		if n := hub.Workers(benches[i].hub); n > 100 {
			t.Errorf("hub %d works on %d servers that run", i, n)
		}
	}
}

func TestF05_RoutesThatAreMissingAreToldLittleByLittle(t *testing.T) {
	t.Parallel()
	h := newHerd(t, 10_000)
	begun := time.Now()
	c, _ := h.hub("hub")
	untilWithin(t, 2*long, "some bindings to be published", func() bool { return c.publishes.count() > 300 })
	const burst, perSecond = 200, 50
	published, took := c.publishes.count(), time.Since(begun)
	if limit := burst + int(took.Seconds()+1)*perSecond; published > limit {
		t.Errorf("in %v it published %d bindings, more than %d", took, published, limit)
	}
}

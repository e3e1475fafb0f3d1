package hub_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// counted counts what a hub asks of the world around it.
type counted struct {
	*schedulertest.Fake
	lists, others, publishes, rows atomic.Int64
}

func (c *counted) List(ctx context.Context) ([]scheduler.Status, error) {
	c.lists.Add(1)
	return c.Fake.List(ctx)
}

func (c *counted) Status(ctx context.Context, id string) (scheduler.Status, error) {
	c.others.Add(1)
	return c.Fake.Status(ctx, id)
}

type countedPublisher struct {
	routing.Publisher
	c *counted
}

func (p countedPublisher) Publish(ctx context.Context, b routing.Binding) error {
	p.c.publishes.Add(1)
	return p.Publisher.Publish(ctx, b)
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

// herd seeds so many running servers, and opens a hub on them. With known, the routes show them already.
func herd(t *testing.T, many int, known bool) (c *counted, b *bench, begun time.Time) {
	t.Helper()
	b = newBench(t)
	b.stop()
	u := hub.User{ID: "u", Name: "u", Created: time.Now()}
	if err := b.store.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	c = &counted{Fake: b.fake}
	servers := make([]hub.Server, many)
	for i := range servers {
		id := fmt.Sprintf("s%05d", i)
		servers[i] = hub.Server{
			ID: id, UserID: "u", Name: id, State: hub.Ready, Generation: 3, Created: time.Now(), Started: time.Now(), Queued: time.Now(), Admitted: time.Now(),
			Instance: "i" + id, Address: fmt.Sprintf("127.0.0.%d:%d", 1+i/60000, 1000+i%60000), Placement: uint64(i + 1),
		}
		s := servers[i]
		b.fake.Adopt(scheduler.Spec{ID: id, Generation: 3}, scheduler.Status{State: scheduler.Running, Instance: s.Instance, Address: s.Address, Placement: s.Placement})
	}
	if err := b.store.InTx(t.Context(), func(tx hub.Store) error {
		for _, s := range servers {
			if err := tx.CreateServer(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	next := openBench(t, b.store, b.fake, func(o *hub.Options) {
		if known {
			o.Routes = patientRoutes{o.Routes.(routes), t.Context()}
			for _, s := range servers {
				err := o.Publisher.Publish(t.Context(), routing.Binding{
					Server: s.ID, Prefix: "/user/u/" + s.Name + "/", Generation: 3, Instance: s.Instance, Address: s.Address, Placement: s.Placement,
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		o.Scheduler, o.Publisher, o.Store = c, countedPublisher{o.Publisher, c}, countedStore{o.Store, c}
		begun = time.Now()
	})
	return c, next, begun
}

func TestF05_AHubThatStartsWithManyServersAsksLittle(t *testing.T) {
	t.Parallel()
	c, b, _ := herd(t, 1_500, true)
	// Two sweeps, and one comparison of the ledger, which knows of none of the runs.
	until(t, "the hub to look at all servers twice", func() bool { return c.lists.Load() >= 3 })
	until(t, "the ledger to know all runs", func() bool {
		runs, err := b.store.OpenRuns(t.Context())
		return err == nil && len(runs) == 1_500
	})
	// Nothing is wrong with any server, so none is asked for by itself, however long all of this took.
	const few = 100
	if c.others.Load() > few || c.publishes.Load() > 0 || c.rows.Load() > few {
		t.Errorf("with all routes known it asked for %d servers, published %d bindings, read %d rows; %d are enough",
			c.others.Load(), c.publishes.Load(), c.rows.Load(), few)
	}
	if n := hub.Workers(b.hub); n > 100 {
		t.Errorf("%d servers that run are worked on", n)
	}
}

func TestF05_RoutesThatAreMissingAreToldLittleByLittle(t *testing.T) {
	t.Parallel()
	c, _, begun := herd(t, 1_000, false)
	until(t, "some bindings to be published", func() bool { return c.publishes.Load() > 300 })
	const burst, perSecond = 200, 50
	published, took := c.publishes.Load(), time.Since(begun)
	if limit := burst + int64(took.Seconds()+1)*perSecond; published > limit {
		t.Errorf("in %v it published %d bindings, more than %d", took, published, limit)
	}
}

package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// turns counts how often the admission's turn was taken.
type turns struct {
	hub.Store
	taken *atomic.Int64
}

func (s turns) Exclusive(ctx context.Context, name string, fn func(hub.Store) error) error {
	s.taken.Add(1)
	return s.Store.Exclusive(ctx, name, fn)
}

// deskBench is a hub at whose desk people can be made to stand.
type deskBench struct {
	*bench
	taken atomic.Int64
}

func newDeskBench(t *testing.T, database string, limits hub.Limits, people int) *deskBench {
	t.Helper()
	d := &deskBench{}
	change := func(o *hub.Options) { o.Store, o.Limits = turns{o.Store, &d.taken}, limits }
	if database == "postgres" {
		d.bench = twoHubs(t, change)[0]
	} else {
		d.bench = newBench(t, change)
	}
	for i := range people {
		if err := d.store.CreateUser(t.Context(), hub.User{ID: person(i), Name: person(i), Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func person(i int) string { return fmt.Sprintf("p%03d", i) }

// together has everybody ask before the first is decided, with meanwhile between, and returns what each was told.
func (d *deskBench) together(people int, queue bool, meanwhile func()) []error {
	release := hub.HoldDesk(d.hub)
	told := make([]error, people)
	var asking sync.WaitGroup
	for i := range people {
		asking.Go(func() { _, told[i] = d.hub.Start(d.t.Context(), hub.StartRequest{User: person(i), Queue: queue}) })
	}
	until(d.t, "everybody to stand at the desk", func() bool { return hub.AtDesk(d.hub) == people })
	meanwhile()
	release()
	asking.Wait()
	return told
}

func onBothDatabases(t *testing.T, test func(t *testing.T, database string)) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			test(t, database)
		})
	}
}

func TestStartsThatAskTogetherAreDecidedTogether(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, database string) {
		const people, room = 60, 40
		d := newDeskBench(t, database, hub.Limits{ConcurrentStarts: room}, people)
		told := d.together(people, false, func() { d.taken.Store(0) })
		refused := 0
		for _, err := range told {
			switch {
			case hub.KindOf(err) == hub.TooMany:
				refused++
			case err != nil:
				t.Error(err)
			}
		}
		if refused != people-room {
			t.Errorf("%d of %d were refused, with room for %d", refused, people, room)
		}
		if taken := d.taken.Load(); taken != 1 {
			t.Errorf("it took %d turns", taken)
		}
		if count, err := d.store.CountStarts(t.Context()); err != nil || count.Starting != room || count.Waiting != 0 {
			t.Errorf("%+v, %v", count, err)
		}
	})
}

func TestPeopleWhoAskTogetherWaitForWhatThereIsNoRoomFor(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, database string) {
		const people, room = 20, 5
		d := newDeskBench(t, database, hub.Limits{ConcurrentStarts: room}, people)
		for i, err := range d.together(people, true, func() {}) {
			if err != nil {
				t.Errorf("%s: %v", person(i), err)
			}
		}
		if count, err := d.store.CountStarts(t.Context()); err != nil || count.Starting != room || count.Waiting != people-room {
			t.Errorf("%+v, %v", count, err)
		}
	})
}

// One whose user is deleted at the last moment breaks the transaction on Postgres.
func TestOneBadStartDoesNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, database string) {
		const people, victim = 12, 5
		d := newDeskBench(t, database, hub.Limits{}, people)
		told := d.together(people, false, func() {
			if err := d.store.DeleteUser(t.Context(), person(victim)); err != nil {
				t.Error(err)
			}
		})
		for i, err := range told {
			if i == victim && !errors.Is(err, hub.ErrNotFound) || i != victim && err != nil {
				t.Errorf("%s was told %v", person(i), err)
			}
		}
		if count, err := d.store.CountStarts(t.Context()); err != nil || count.Starting != people-1 {
			t.Errorf("%+v, %v", count, err)
		}
	})
}

func TestWhoGivesUpAtTheDeskStartsNothing(t *testing.T) {
	t.Parallel()
	d := newDeskBench(t, "sqlite", hub.Limits{}, 1)
	release := hub.HoldDesk(d.hub)
	ctx, giveUp := context.WithCancel(t.Context())
	told := make(chan error)
	go func() {
		_, err := d.hub.Start(ctx, hub.StartRequest{User: person(0)})
		told <- err
	}()
	until(t, "the start to stand at the desk", func() bool { return hub.AtDesk(d.hub) == 1 })
	giveUp()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("told %v", err)
	}
	release()
	if count, err := d.store.CountStarts(t.Context()); err != nil || count.Starting != 0 || hub.AtDesk(d.hub) != 0 {
		t.Errorf("%+v, %v", count, err)
	}
}

func TestWhoAsksComesBeforeTheWork(t *testing.T) {
	t.Parallel()
	const people, crowd = 30, 16
	var looking, most atomic.Int64
	hold := make(chan struct{})
	d := &deskBench{bench: newBench(t, func(o *hub.Options) {
		o.Store = slowRows{o.Store, func() {
			most.Store(max(most.Load(), looking.Add(1)))
			<-hold
			looking.Add(-1)
		}}
	})}
	for i := range people {
		if err := d.store.CreateUser(t.Context(), hub.User{ID: person(i), Name: person(i), Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for range crowd {
		defer d.hub.Asking()()
	}
	for i := range people {
		d.ask(person(i), "", "")
	}
	until(t, "workers to look at servers", func() bool { return looking.Load() > 0 })
	if n := hub.Workers(d.hub); n != people {
		t.Errorf("%d workers for %d starts", n, people)
	}
	close(hold)
	until(t, "all to be handed over", func() bool {
		count, err := d.store.CountStarts(t.Context())
		return err == nil && count.Starting == people && d.allHandedOver(people)
	})
	if n := most.Load(); n > 2 {
		t.Errorf("%d workers looked at the same time while a crowd was asking", n)
	}
}

// slowRows stops whoever reads a server's row.
type slowRows struct {
	hub.Store
	stop func()
}

func (s slowRows) ServerByID(ctx context.Context, id string) (hub.Server, error) {
	s.stop()
	return s.Store.ServerByID(ctx, id)
}

func (d *deskBench) allHandedOver(people int) bool {
	list, err := d.fake.List(d.t.Context())
	return err == nil && len(list) == people
}

package routingtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/routing"
)

// Registry is a source and a publisher of the same routes.
type Registry interface {
	routing.Source
	routing.Publisher
}

// Backing is what a registry stands on.
type Backing struct {
	// Registry is the one under test.
	Registry Registry
	// Replica is another one on the same backing, or nil if there is no such thing.
	Replica Registry
	// Register makes a server known where it runs, as the scheduler would; Deregister takes that back. nil: that is not needed.
	Register, Deregister func(t *testing.T, b routing.Binding)
}

// StartBacking makes an empty backing that ends with the test.
type StartBacking func(t *testing.T) Backing

// TestRegistry runs the suite for registries.
func TestRegistry(t *testing.T, start StartBacking) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"FirstSnapshotMayBeEmpty": testFirstSnapshot,
		"RegisteredThenPublished": testRegisteredThenPublished,
		"PublishedThenRegistered": testPublishedThenRegistered,
		"OlderNeverReplaces":      testOlderNeverReplaces,
		"NewerReplaces":           testNewerReplaces,
		"Withdraw":                testWithdraw,
		"WithdrawnStaysWithdrawn": testWithdrawnStaysWithdrawn,
		"Invalid":                 testInvalid,
		"F14VanishedRegistration": testVanishedRegistration,
		"F16AddressChangesHands":  testAddressChangesHands,
		"ConcurrentPublishers":    testConcurrentPublishers,
		"ManyServers":             testManyServers,
		"ReadAgain":               testReadAgain,
		"EndsWithContext":         testEndsWithContext,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, start(t)))
		})
	}
}

// fixture is a backing with a router on each of its registries.
type fixture struct {
	Backing
	routers []*routing.Router
	fences  uint64
}

func newFixture(t *testing.T, b Backing) *fixture {
	f := &fixture{Backing: b, routers: []*routing.Router{Follow(t, b.Registry)}}
	if b.Replica != nil {
		f.routers = append(f.routers, Follow(t, b.Replica))
	}
	return f
}

// Follow runs a router on the source until the test ends, and returns when it is ready.
func Follow(t *testing.T, s routing.Source) *routing.Router {
	t.Helper()
	r, err := routing.NewRouter(routing.RouterOptions{
		Sources: []routing.NamedSource{{Name: "source", Source: s}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // outlives the test's context until Run has ended
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the router ended with %v", err)
		}
	})
	wait, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	if err := r.WaitReady(wait); err != nil {
		t.Fatal(err)
	}
	return r
}

// NewBinding makes the first run of a server.
func NewBinding(server string, placement uint64) routing.Binding {
	return routing.Binding{
		Server: server, Prefix: "/user/" + server + "/", Generation: 1, Instance: "alloc-" + server,
		Address: fmt.Sprintf("10.1.%d.%d:20000", placement>>8&255, placement&255), Placement: placement,
	}
}

func (f *fixture) register(t *testing.T, b routing.Binding) {
	t.Helper()
	if f.Register != nil {
		f.Register(t, b)
	}
}

func (f *fixture) publish(t *testing.T, b routing.Binding) {
	t.Helper()
	if err := f.Registry.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) withdraw(t *testing.T, server string, generation int64) {
	t.Helper()
	if err := f.Registry.Withdraw(t.Context(), server, generation); err != nil {
		t.Fatal(err)
	}
}

// place registers and publishes, and waits for the route.
func (f *fixture) place(t *testing.T, b routing.Binding) {
	t.Helper()
	f.register(t, b)
	f.publish(t, b)
	f.await(t, b)
}

// await waits until every router has the route.
func (f *fixture) await(t *testing.T, b routing.Binding) {
	t.Helper()
	for _, r := range f.routers {
		AwaitTable(t, r, "the route "+b.Prefix+" to "+b.Address, func(t *routing.Table) bool {
			route, ok := t.Server(b.Server)
			return ok && route == b.Route()
		})
	}
}

func (f *fixture) awaitNone(t *testing.T, server string) {
	t.Helper()
	for _, r := range f.routers {
		AwaitTable(t, r, "no route to "+server, func(t *routing.Table) bool {
			_, ok := t.Server(server)
			return !ok
		})
	}
}

// AwaitTable waits until the router's table is as wished, or fails the test with what was wished for.
func AwaitTable(t *testing.T, r *routing.Router, wish string, done func(*routing.Table) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := r.Await(ctx, done); err != nil {
		t.Fatalf("%v: wanted %s; sources %+v; table:\n%s", err, wish, r.Status(), r.Table())
	}
}

// settle waits until everything that was done to server "a" before has arrived at every router, and then demands exactly these routes.
func (f *fixture) settle(t *testing.T, want ...routing.Binding) {
	t.Helper()
	f.fences++
	fence := NewBinding(neighbour("a"), 60000)
	fence.Generation = int64(f.fences) //nolint:gosec // a handful
	f.place(t, fence)
	f.withdraw(t, fence.Server, fence.Generation)
	f.awaitNone(t, fence.Server)
	routes := []routing.Route{}
	for _, b := range want {
		routes = append(routes, b.Route())
	}
	for i, r := range f.routers {
		AwaitTable(t, r, fmt.Sprintf("%d routes at router %d", len(want), i), func(t *routing.Table) bool {
			return cmp.Equal(routes, slices.AppendSeq([]routing.Route{}, t.All()))
		})
	}
}

// neighbour finds another server of the same shard: what is true of it comes after what was said of the server before.
func neighbour(server string) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("neighbour-", i); routing.Shard(id) == routing.Shard(server) {
			return id
		}
	}
}

func testFirstSnapshot(t *testing.T, f *fixture) { f.settle(t) }

func testRegisteredThenPublished(t *testing.T, f *fixture) {
	b := NewBinding("a", 1)
	f.register(t, b)
	f.publish(t, b)
	f.await(t, b)
	f.settle(t, b)
}

func testPublishedThenRegistered(t *testing.T, f *fixture) {
	b := NewBinding("a", 1)
	f.publish(t, b)
	f.register(t, b)
	f.await(t, b)
	f.settle(t, b)
}

func testOlderNeverReplaces(t *testing.T, f *fixture) {
	current := NewBinding("a", 10)
	current.Generation = 3
	f.place(t, current)
	for _, change := range []func(*routing.Binding){
		func(b *routing.Binding) { b.Generation, b.Placement = 2, 99 },
		func(b *routing.Binding) { b.Placement = 9 },
	} {
		older := current
		older.Address, older.Instance = "10.9.9.9:1", "older"
		change(&older)
		f.register(t, older)
		f.publish(t, older)
	}
	f.settle(t, current)
}

func testNewerReplaces(t *testing.T, f *fixture) {
	b := NewBinding("a", 1)
	f.place(t, b)
	b.Placement, b.Instance, b.Address = 2, "alloc-2", "10.1.0.2:20000"
	f.place(t, b)
	b.Generation, b.Placement, b.Instance, b.Address = 2, 1, "alloc-3", "10.1.0.3:20000"
	f.place(t, b)
	b.Prefix = "/user/renamed/"
	f.publish(t, b)
	f.await(t, b)
	f.settle(t, b)
}

func testWithdraw(t *testing.T, f *fixture) {
	a, b := NewBinding("a", 1), NewBinding("b", 2)
	a.Generation = 5
	f.place(t, a)
	f.place(t, b)
	f.withdraw(t, "a", 4) // an older start was stopped
	f.withdraw(t, "never-published", 1)
	f.withdraw(t, "no/key of anything", 1)
	f.settle(t, a, b)
	f.withdraw(t, "a", 5)
	if _, ok := f.routers[0].Table().Server("a"); ok {
		AwaitTable(t, f.routers[0], "no route to a", func(t *routing.Table) bool { _, ok := t.Server("a"); return !ok })
	}
	f.awaitNone(t, "a")
	f.withdraw(t, "a", 5)
	f.withdraw(t, "b", 7) // a later start that never got a place
	f.awaitNone(t, "b")
	f.settle(t)
}

func testWithdrawnStaysWithdrawn(t *testing.T, f *fixture) {
	b := NewBinding("a", 5)
	f.place(t, b)
	f.withdraw(t, "a", 1)
	f.awaitNone(t, "a")
	f.publish(t, b) // by a replica that was slow
	older := b
	older.Placement = 4
	f.publish(t, older)
	f.settle(t)
	b.Placement = 6 // placed again
	f.place(t, b)
	f.withdraw(t, "a", 1)
	b.Generation, b.Placement = 2, 1
	f.place(t, b)
	f.settle(t, b)
}

func testInvalid(t *testing.T, f *fixture) {
	for name, change := range map[string]func(*routing.Binding){
		"no server":  func(b *routing.Binding) { b.Server = "" },
		"no prefix":  func(b *routing.Binding) { b.Prefix = "" },
		"no slash":   func(b *routing.Binding) { b.Prefix = "/user/a" },
		"dots":       func(b *routing.Binding) { b.Prefix = "/user/../" },
		"no address": func(b *routing.Binding) { b.Address = "" },
		"no port":    func(b *routing.Binding) { b.Address = "10.0.0.1" },
	} {
		b := NewBinding("a", 1)
		change(&b)
		if err := f.Registry.Publish(t.Context(), b); !errors.Is(err, routing.ErrInvalid) {
			t.Errorf("%s: Publish = %v, want ErrInvalid", name, err)
		}
	}
	f.settle(t)
}

// testVanishedRegistration holds that a registration that is gone takes no route with it.
func testVanishedRegistration(t *testing.T, f *fixture) {
	if f.Deregister == nil {
		t.Skip("this backing has no registrations")
	}
	a, b := NewBinding("a", 1), NewBinding("b", 2)
	f.place(t, a)
	f.place(t, b)
	f.Deregister(t, a)
	f.settle(t, a, b)
	f.withdraw(t, "a", 1)
	f.awaitNone(t, "a")
	f.settle(t, b)
}

func testAddressChangesHands(t *testing.T, f *fixture) {
	a, b := NewBinding("a", 1), NewBinding("b", 2)
	b.Address = a.Address
	f.place(t, a)
	f.register(t, b)
	f.publish(t, b)
	f.await(t, b)
	f.awaitNone(t, "a")
	f.settle(t, b)
}

// testConcurrentPublishers lets two replicas race with placements of one server; the last one wins, whoever wrote last.
func testConcurrentPublishers(t *testing.T, f *fixture) {
	publishers := []routing.Publisher{f.Registry, f.Registry}
	if f.Replica != nil {
		publishers[1] = f.Replica
	}
	var last routing.Binding
	var wg sync.WaitGroup
	for i := range uint64(16) {
		b := NewBinding("a", i+1)
		b.Instance = fmt.Sprint("alloc-", i)
		f.register(t, b)
		wg.Go(func() {
			if err := publishers[i%2].Publish(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
		last = b
	}
	wg.Wait()
	f.await(t, last)
	f.settle(t, last)
}

func testManyServers(t *testing.T, f *fixture) {
	const n = 300
	want := make([]routing.Binding, n)
	var wg sync.WaitGroup
	work := make(chan routing.Binding)
	for range 8 {
		wg.Go(func() {
			for b := range work {
				f.register(t, b)
				if err := f.Registry.Publish(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range want {
		want[i] = NewBinding(fmt.Sprintf("s%04d", i), uint64(i+1))
		work <- want[i]
	}
	close(work)
	wg.Wait()
	for _, b := range want {
		f.await(t, b)
	}
	f.settle(t, want...)
}

// testReadAgain holds that a source whose reading ended can be read again, and begins with what is there.
func testReadAgain(t *testing.T, f *fixture) {
	b := NewBinding("a", 1)
	f.register(t, b)
	f.publish(t, b)
	source := routing.Source(f.Registry)
	f.await(t, b)
	for range 2 {
		if f.Replica != nil {
			break // its registries have a reader each; the fake and the static one allow several
		}
		next, stop := iter.Pull2(source.Routes(t.Context()))
		if routes, err, ok := next(); !ok || err != nil || len(routes) != 1 {
			t.Errorf("a new reading begins with %v, %v, %v", routes, err, ok)
		}
		stop()
	}
}

func testEndsWithContext(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range f.Registry.Routes(ctx) {
			_ = err // only the end is of interest
		}
	}()
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the sequence goes on after its context has ended")
	}
}

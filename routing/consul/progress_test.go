package consul

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
)

// neighbours are servers of one shard.
func neighbours(n int) (servers []string) {
	for i := 0; len(servers) < n; i++ {
		if id := fmt.Sprint("neighbour-", i); routing.Shard(id) == 5 {
			servers = append(servers, id)
		}
	}
	return servers
}

// caughtUp tells whether a shard knows all that Consul has, and nothing is under way.
func (f *fake) caughtUp(r *Registry, number int) bool {
	f.mu.Lock()
	var index uint64
	if pair := f.kv[r.changeKey(number)]; pair != nil {
		index = pair.ModifyIndex
	}
	f.mu.Unlock()
	s := r.shards[number]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read && s.news.seen == index && s.news.shown.index == index && s.news.flying == 0 && !s.news.full
}

// awaitNotice waits until a replica has heard of the last change of a shard.
func (f *fake) awaitNotice(t *testing.T, r *Registry, number int) {
	t.Helper()
	f.mu.Lock()
	var index uint64
	if pair := f.kv[r.changeKey(number)]; pair != nil {
		index = pair.ModifyIndex
	}
	f.mu.Unlock()
	s := r.shards[number]
	eventually(t, "the change is noticed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.news.shown.index >= index
	})
}

func (f *fake) forgetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.queries)
}

// TestWritesAreOneRequest holds that to publish and to withdraw is one request each, that nobody reads his own change, and that another replica
// reads the one binding and no other.
func TestWritesAreOneRequest(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := f.options(t)
	o.Wait = time.Hour
	r, router := follow(t, o)
	replica, far := follow(t, o)
	servers := neighbours(4)
	place := func(i int) routing.Binding {
		b := routingtest.NewBinding(servers[i], uint64(i+1))
		f.register(b)
		publish(t.Context(), t, r, b)
		awaitRoute(t, router, b)
		awaitRoute(t, far, b)
		return b
	}
	settled := func() {
		t.Helper()
		eventually(t, "both know all that there is", func() bool { return f.caughtUp(r, 5) && f.caughtUp(replica, 5) })
	}
	place(0) // which makes the shard's change key
	settled()
	f.forgetCounts()
	place(1)
	place(2)
	if err := r.Withdraw(t.Context(), servers[1], 1); err != nil {
		t.Fatal(err)
	}
	routingtest.AwaitTable(t, far, "two routes", func(t *routing.Table) bool { return t.Len() == 2 })
	settled()
	for kind, want := range map[string]int{"txn": 3, "all bindings": 0, "one binding": 3} {
		if got := f.count(kind); got != want {
			t.Errorf("%d requests for %s, want %d", got, kind, want)
		}
	}
}

// TestEveryChangeIsSeen has replicas, and a hub of an older release, write to one shard all at once. Each server is written once, so that what a replica
// misses it misses for good: no look at everything comes in time.
func TestEveryChangeIsSeen(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := f.options(t)
	o.Wait = time.Hour
	registries := make([]*Registry, 3)
	for i := range registries {
		registries[i], _ = follow(t, o)
	}
	servers := neighbours(200)
	var writers sync.WaitGroup
	for i := range len(registries) + 1 {
		writers.Go(func() {
			for n := i; n < len(servers); n += len(registries) + 1 {
				b := routingtest.NewBinding(servers[n], uint64(n+1))
				if i == len(registries) {
					f.plant(t, registries[0], b)
				} else if err := registries[i].Publish(t.Context(), b); err != nil {
					t.Error(err)
				}
				if n%3 == 0 { // so that some changes come one by one and others in a row
					f.awaitNotice(t, registries[n%len(registries)], 5)
				}
			}
		})
	}
	writers.Wait()
	agreed := func() {
		t.Helper()
		for i, r := range registries {
			eventually(t, fmt.Sprintf("replica %d knows what Consul has", i), func() bool { return f.caughtUp(r, 5) && f.agrees(r, servers) })
		}
	}
	agreed()
	for i, server := range servers { // a row of changes, each right after the one before, of which the others see the last one only now and then
		b := routingtest.NewBinding(server, uint64(i+1))
		b.Generation = 2
		publish(t.Context(), t, registries[0], b)
	}
	agreed()
}

// plant writes a binding as a hub of an older release does.
func (f *fake) plant(t *testing.T, r *Registry, b routing.Binding) {
	sealed, err := b.Seal(hubKey)
	if err != nil {
		t.Error(err)
	}
	f.do(func() {
		for key, value := range map[string][]byte{r.bindingKey(b.Server): sealed, r.changeKey(routing.Shard(b.Server)): []byte("ANYTEXT")} {
			f.kv[key] = &api.KVPair{Key: key, Value: value, ModifyIndex: f.index + 1}
		}
	})
}

// agrees tells whether a replica knows of each server what lies at its key.
func (f *fake) agrees(r *Registry, servers []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, server := range servers {
		mine, known := r.shards[routing.Shard(server)].known(server)
		pair := f.kv[r.bindingKey(server)]
		if pair == nil || !known {
			return pair == nil && !known
		}
		if theirs, err := routing.OpenBinding(hubKey, pair.Value); err != nil || theirs != mine {
			return false
		}
	}
	return true
}

// TestRestartReadsEverythingOnce holds that a hub that starts asks each question once.
func TestRestartReadsEverythingOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := f.options(t)
	o.Wait = time.Hour
	writer := newRegistry(t, o)
	var last routing.Binding
	for i := range 300 {
		last = routingtest.NewBinding(fmt.Sprint("server-", i), uint64(i+1))
		f.register(last)
		f.plant(t, writer, last)
	}
	r, router := follow(t, o)
	if router.Table().Len() != 300 {
		t.Errorf("%d routes", router.Table().Len())
	}
	eventually(t, "nothing is left to read", func() bool { return f.caughtUp(r, routing.Shard(last.Server)) })
	for kind, want := range map[string]int{"catalog": routing.Shards, "all bindings": routing.Shards, "one binding": 0} {
		if got := f.count(kind); got != want {
			t.Errorf("%d requests for %s, want %d", got, kind, want)
		}
	}
}

// TestLooksWithoutReading holds that a look whether something has changed in secret reads nothing when nothing has, and finds what has.
func TestLooksWithoutReading(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := f.options(t) // which looks several times each second
	b, writer := routingtest.NewBinding("alice", 1), newRegistry(t, o)
	taken := map[int]bool{routing.Shard("alice"): true}
	f.register(b)
	f.plant(t, writer, b)
	for i := 0; len(taken) < routing.Shards; i++ {
		if other := routingtest.NewBinding(fmt.Sprint("server-", i), uint64(i+2)); !taken[routing.Shard(other.Server)] {
			taken[routing.Shard(other.Server)] = true
			f.register(other)
			f.plant(t, writer, other)
		}
	}
	r, router := follow(t, o)
	awaitRoute(t, router, b)
	eventually(t, "each shard was looked at", func() bool { return f.queriesOf("index of bindings") > 3*routing.Shards })
	f.mu.Lock()
	lists, looks := f.queries["all bindings"], f.queries["index of bindings"]
	f.mu.Unlock()
	if lists > routing.Shards+looks/(fullLook-1) {
		t.Errorf("%d lists of bindings were read, %d of them at the start, and %d indexes", lists, routing.Shards, looks)
	}
	b.Generation, b.Placement = 2, 2
	sealed, err := b.Seal(hubKey)
	if err != nil {
		t.Fatal(err)
	}
	f.register(b)
	f.do(func() {
		f.kv[r.bindingKey("alice")] = &api.KVPair{Key: r.bindingKey("alice"), Value: sealed, ModifyIndex: f.index + 1} // and no word of it
	})
	awaitRoute(t, router, b)
}

// TestNewcomerIsNotKeptWaiting has so many servers that never register that all places for blocking queries are taken for good. One that
// starts then is found all the same.
func TestNewcomerIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := f.options(t)
	o.Wait = time.Hour
	r, router := follow(t, o)
	newcomer := routingtest.NewBinding("newcomer", 1)
	own := ServiceName("notebook", newcomer.Server)
	hung := make(map[string]bool)
	f.tell(func(_ http.ResponseWriter, q *http.Request) bool { // nothing wakes these
		if !strings.Contains(q.URL.Path, "catalog") || !q.URL.Query().Has("index") || strings.HasSuffix(q.URL.Path, own) {
			return false
		}
		hung[q.URL.Path] = true
		f.mu.Unlock()
		<-q.Context().Done()
		f.mu.Lock()
		return true
	})
	for i := 0; len(r.watches) < cap(r.watches); i++ {
		if slow := routingtest.NewBinding(fmt.Sprint("slow-", i), uint64(i+2)); routing.Shard(slow.Server) != routing.Shard(newcomer.Server) {
			publish(t.Context(), t, r, slow)
		}
	}
	eventually(t, "all places are taken by queries without an answer", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(hung) == maxWatches
	})
	publish(t.Context(), t, r, newcomer)
	f.register(newcomer)
	awaitRoute(t, router, newcomer)
	if n := len(r.watches); n != maxWatches {
		t.Errorf("%d places are taken, want all %d: the newcomer has shown nothing", n, maxWatches)
	}
}

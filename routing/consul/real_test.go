package consul

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
)

// TestReal runs what needs no Consul of its own on one that is shared.
func TestReal(t *testing.T) {
	t.Parallel()
	a := startAgent(t, freePorts(t), manyReaders)
	t.Run("Suite", func(t *testing.T) {
		routingtest.TestRegistry(t, func(t *testing.T) routingtest.Backing {
			s := newSpace(t)
			return routingtest.Backing{
				Registry:   newRegistry(t, s.options(t, a.address)),
				Replica:    newRegistry(t, s.options(t, a.address)),
				Register:   func(t *testing.T, b routing.Binding) { register(t, a.client, s.service, b) },
				Deregister: func(t *testing.T, b routing.Binding) { deregister(t, a.client, registrationOf(s.service, b).ID) },
			}
		})
	})
	for name, test := range map[string]func(*testing.T, *agent){
		"F35Forged":             testForged,
		"F35Copied":             testCopied,
		"F35Unsigned":           testUnsigned,
		"F35Stale":              testStale,
		"F35Malformed":          testMalformed,
		"F35BindingOverwritten": testBindingOverwritten,
		"F15FlappingCheck":      testFlappingCheck,
		"ReadOnly":              testReadOnly,
		"Latency":               testLatency,
		"MarksGrowOld":          testMarksGrowOld,
		"Looks":                 testLooks,
		"OneRequest":            testOneRequest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, a)
		})
	}
}

func deregister(t *testing.T, client *api.Client, id string) {
	t.Helper()
	if err := client.Agent().ServiceDeregister(id); err != nil {
		t.Fatal(err)
	}
}

// victim has a server that is routed, and a registry whose counters start at nothing.
func victim(t *testing.T, a *agent) (space, *Registry, *routing.Router, *prometheus.Registry, routing.Binding) {
	t.Helper()
	s, reg := newSpace(t), prometheus.NewRegistry()
	o := s.options(t, a.address)
	o.Registerer, o.Logger, o.Wait = reg, discard(), time.Second // foreign registrations are found by looking now and then
	r, router := follow(t, o)
	b := routingtest.NewBinding("alice", 1)
	publish(t.Context(), t, r, b)
	register(t, a.client, s.service, b)
	awaitRoute(t, router, b)
	return s, r, router, reg, b
}

// stillOnly demands that the victim's route stands alone, after everything before has been seen.
func stillOnly(t *testing.T, router *routing.Router, b routing.Binding) {
	t.Helper()
	if table := router.Table(); table.Len() != 1 {
		t.Errorf("routes:\n%s", table)
	}
	awaitRoute(t, router, b)
}

func testForged(t *testing.T, a *agent) {
	s, r, router, reg, b := victim(t, a)
	evil := b
	evil.Generation, evil.Instance, evil.Address = 9, "evil", "10.6.6.6:666"
	sealed, err := evil.Seal(signer("not the hub's key"))
	if err != nil {
		t.Fatal(err)
	}
	register(t, a.client, s.service, evil)
	for _, value := range [][]byte{sealed, []byte("garbage"), []byte(`{"binding":{"server":"alice"},"code":""}`), nil} {
		before := countOf(t, reg, forged)
		put(t, a, &api.KVPair{Key: r.bindingKey("alice"), Value: value})
		r.shards[routing.Shard("alice")].wake()
		eventually(t, "the forged binding is counted", func() bool { return countOf(t, reg, forged) == before+1 })
		stillOnly(t, router, b)
	}
	// Whoever reads for the first time finds no word of the hub but what the first one has restored.
	o := s.options(t, a.address)
	o.ReadOnly = true
	_, second := follow(t, o)
	awaitRoute(t, second, b)
}

func put(t *testing.T, a *agent, pair *api.KVPair) {
	t.Helper()
	if _, err := a.client.KV().Put(pair, nil); err != nil {
		t.Fatal(err)
	}
}

// testCopied has somebody who reads everything and repeats it elsewhere.
func testCopied(t *testing.T, a *agent) {
	s, r, router, reg, b := victim(t, a)
	// The same server and allocation at another address.
	register(t, a.client, s.service, b, func(r *api.AgentServiceRegistration) { r.ID, r.Address = "copy-1", "10.6.6.6" })
	// The same under another service name, where the binding is not looked for.
	register(t, a.client, s.service, b, func(r *api.AgentServiceRegistration) {
		r.ID, r.Name = "copy-2", ServiceName(s.service, "another")
	})
	eventually(t, "both copies are counted", func() bool { return countOf(t, reg, copied) == 2 })
	// Alice's own binding at the key of a server of mallory's.
	pair, _, err := a.client.KV().Get(r.bindingKey("alice"), nil)
	if err != nil || pair == nil {
		t.Fatal(err)
	}
	put(t, a, &api.KVPair{Key: r.bindingKey("mallory"), Value: pair.Value})
	r.shards[routing.Shard("mallory")].wake()
	eventually(t, "the copied binding is counted", func() bool { return countOf(t, reg, copied) == 3 })
	stillOnly(t, router, b)
	deregister(t, a.client, "copy-1")
	deregister(t, a.client, "copy-2")
}

func testUnsigned(t *testing.T, a *agent) {
	s, _, router, reg, b := victim(t, a)
	before := countOf(t, reg, unsigned)
	register(t, a.client, s.service, routingtest.NewBinding("bob", 2))
	eventually(t, "the registration is counted", func() bool { return countOf(t, reg, unsigned) == before+1 })
	stillOnly(t, router, b)
}

func testStale(t *testing.T, a *agent) {
	s, r, router, reg, b := victim(t, a)
	old := b
	b.Generation, b.Placement, b.Instance, b.Address = 2, 2, "alloc-2", "10.1.1.2:20000"
	publish(t.Context(), t, r, b)
	register(t, a.client, s.service, b)
	awaitRoute(t, router, b)
	eventually(t, "the registration of the old run is counted", func() bool { return countOf(t, reg, stale) >= 1 })
	before := countOf(t, reg, stale)
	register(t, a.client, s.service, old, func(r *api.AgentServiceRegistration) { r.ID, r.Port = "replayed", 666 })
	eventually(t, "a replayed registration is counted", func() bool { return countOf(t, reg, stale) == before+1 })
	// An old binding that the hub did sign, put back by somebody who may write: what is known is newer.
	sealed, err := old.Seal(hubKey)
	if err != nil {
		t.Fatal(err)
	}
	put(t, a, &api.KVPair{Key: r.bindingKey("alice"), Value: sealed})
	r.shards[routing.Shard("alice")].wake()
	eventually(t, "the newer binding is put back", func() bool {
		current, err := r.get(t.Context(), "alice")
		return err == nil && current.known && current.Binding == b
	})
	stillOnly(t, router, b)
}

func testMalformed(t *testing.T, a *agent) {
	s, _, router, reg, b := victim(t, a)
	for i, change := range []func(*api.AgentServiceRegistration){
		func(r *api.AgentServiceRegistration) { r.Meta = nil },
		func(r *api.AgentServiceRegistration) { r.Port = 0 },
		func(r *api.AgentServiceRegistration) { delete(r.Meta, MetaAllocation) },
		func(r *api.AgentServiceRegistration) { r.Meta[MetaGeneration] = "-1" },
		func(r *api.AgentServiceRegistration) { r.Meta[MetaGeneration] = "many" },
	} {
		register(t, a.client, s.service, b, func(r *api.AgentServiceRegistration) { r.ID = "bad"; change(r) })
		eventually(t, "the registration is counted", func() bool { return countOf(t, reg, malformed) >= 1 })
		if i == 0 {
			stillOnly(t, router, b)
		}
	}
	stillOnly(t, router, b)
}

// testBindingOverwritten has the hub publish over what is not its own.
func testBindingOverwritten(t *testing.T, a *agent) {
	s := newSpace(t)
	r, router := follow(t, s.options(t, a.address))
	b := routingtest.NewBinding("alice", 1)
	put(t, a, &api.KVPair{Key: r.bindingKey("alice"), Value: []byte("squatter")})
	publish(t.Context(), t, r, b)
	register(t, a.client, s.service, b)
	awaitRoute(t, router, b)
}

func testFlappingCheck(t *testing.T, a *agent) {
	s, _, router, reg, b := victim(t, a)
	before, foreign := router.Table(), countOf(t, reg, unsigned)
	check := "service:" + registrationOf(s.service, b).ID
	for range 20 {
		for _, update := range []func(string, string) error{a.client.Agent().PassTTL, a.client.Agent().FailTTL} {
			if err := update(check, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One that is not signed changes the list once more. When it is counted, all that came before it was seen.
	register(t, a.client, s.service, routingtest.NewBinding("fence", 9))
	eventually(t, "the registration after the flaps is counted", func() bool { return countOf(t, reg, unsigned) == foreign+1 })
	if router.Table() != before {
		t.Error("a flapping check replaced the table")
	}
}

// testReadOnly has a proxy that can see everything and change nothing.
func testReadOnly(t *testing.T, a *agent) {
	s, _, _, _, b := victim(t, a)
	o := s.options(t, a.address)
	o.ReadOnly = true
	reader, router := follow(t, o)
	awaitRoute(t, router, b)
	if _, err := a.client.KV().Delete(reader.bindingKey("alice"), nil); err != nil {
		t.Fatal(err)
	}
	o.Service = "nothing-else-" + shortHash(s.service) // a writer that has never seen it cannot restore it
	reader.shards[routing.Shard("alice")].wake()
	stillOnly(t, router, b)
}

// testLatency measures how long a route takes from both sides being there, at the publisher and at another replica.
func testLatency(t *testing.T, a *agent) {
	s := newSpace(t)
	publisher, local := follow(t, s.options(t, a.address))
	_, remote := follow(t, s.options(t, a.address))
	var worst time.Duration
	for i := range 20 {
		b := routingtest.NewBinding("server-"+string(rune('a'+i)), uint64(i+1))
		register(t, a.client, s.service, b)
		began := time.Now()
		publish(t.Context(), t, publisher, b)
		awaitRoute(t, local, b)
		here := time.Since(began)
		awaitRoute(t, remote, b)
		there := time.Since(began)
		began = time.Now()
		if err := publisher.Withdraw(t.Context(), b.Server, b.Generation); err != nil {
			t.Fatal(err)
		}
		routingtest.AwaitTable(t, remote, "no route", func(t *routing.Table) bool { return t.Len() == 0 })
		t.Logf("route at the publisher %v, at another replica %v; withdrawn everywhere %v", here, there, time.Since(began))
		worst = max(worst, there, time.Since(began))
	}
	if worst > 30*time.Second { // of a machine that does ten other things; usually some milliseconds
		t.Errorf("the slowest took %v", worst)
	}
}

// testMarksGrowOld holds that the key of a withdrawn server goes, but not soon.
func testMarksGrowOld(t *testing.T, a *agent) {
	s := newSpace(t)
	r, router := follow(t, s.options(t, a.address))
	b := routingtest.NewBinding("alice", 1)
	publish(t.Context(), t, r, b)
	register(t, a.client, s.service, b)
	awaitRoute(t, router, b)
	if err := r.Withdraw(t.Context(), "alice", 1); err != nil {
		t.Fatal(err)
	}
	pair, _, err := a.client.KV().Get(r.bindingKey("alice"), nil)
	if err != nil || pair == nil {
		t.Fatalf("there is no mark: %v", err)
	}
	part := r.shards[routing.Shard("alice")]
	part.wake()
	pair.Flags = uint64(time.Now().Add(-markTTL - time.Hour).Unix()) //nolint:gosec // not before 1970
	put(t, a, pair)
	part.wake()
	eventually(t, "the old mark is gone from Consul and from memory", func() bool {
		pair, _, err := a.client.KV().Get(r.bindingKey("alice"), nil)
		_, known := part.known("alice")
		return err == nil && pair == nil && !known
	})
}

// counted is how often each URL was asked for.
type counted struct {
	mu   sync.Mutex
	urls map[string]int
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := "txn"
	switch q := r.URL.Query(); {
	case q.Has("index"):
		kind = "blocking"
	case q.Has("keys"), q.Has("filter"):
		kind = "look " + r.URL.Path
	case r.Method == http.MethodGet:
		kind = "read " + r.URL.Path
	}
	c.mu.Lock()
	c.urls[kind]++
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counted) of(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urls[kind]
}

// counting makes options whose requests are counted.
func counting(t *testing.T, s space, a *agent) (Options, *counted) {
	c := &counted{urls: make(map[string]int)}
	o := s.options(t, a.address)
	o.Config.HttpClient = &http.Client{Transport: c}
	return o, c
}

// testLooks holds that Consul says by an index, and without a list, that nothing has changed, while others change other things.
func testLooks(t *testing.T, a *agent) {
	s := newSpace(t)
	o, c := counting(t, s, a)
	o.Wait = 500 * time.Millisecond
	r, router := follow(t, o)
	b := routingtest.NewBinding("alice", 1)
	register(t, a.client, s.service, b)
	publish(t.Context(), t, r, b)
	awaitRoute(t, router, b)
	keys := "/v1/kv/" + strings.TrimSuffix(r.bindingsOf(routing.Shard("alice")), "/")
	catalog := "/v1/catalog/service/" + ServiceName(s.service, "alice")
	looked := func(n int) {
		t.Helper()
		eventually(t, "the shard is looked at", func() bool { return c.of("look "+keys) >= n && c.of("look "+catalog) >= n })
	}
	looked(2) // the first looks may find what came with the start
	before := [...]int{c.of("read " + keys + "/"), c.of("read " + catalog)}
	put(t, a, &api.KVPair{Key: s.prefix + "/something-else", Value: []byte("1")})
	register(t, a.client, s.service+"-other", routingtest.NewBinding("alice", 9))
	looked(c.of("look "+keys) + 3)
	if after := [...]int{c.of("read " + keys + "/"), c.of("read " + catalog)}; after != before {
		t.Errorf("lists of bindings and of registrations: %v, before: %v", after, before)
	}
}

// testOneRequest has Consul's own word for it that a change which comes right after another is one request, and is not read by who made it.
func testOneRequest(t *testing.T, a *agent) {
	s := newSpace(t)
	o, c := counting(t, s, a)
	r, router := follow(t, o)
	_, far := follow(t, s.options(t, a.address))
	shard := r.shards[5]
	for i, server := range neighbours(4) {
		if i == 1 { // the first made the shard's key
			eventually(t, "the state after the first is known", func() bool {
				shard.mu.Lock()
				defer shard.mu.Unlock()
				return shard.news.seen != 0 && shard.news.seen == shard.news.shown.index
			})
			c.mu.Lock()
			clear(c.urls)
			c.mu.Unlock()
		}
		b := routingtest.NewBinding(server, uint64(i+1))
		register(t, a.client, s.service, b)
		publish(t.Context(), t, r, b)
		awaitRoute(t, router, b)
		awaitRoute(t, far, b)
	}
	if n := c.of("txn"); n != 3 {
		t.Errorf("%d transactions for three changes", n)
	}
	if n := c.of("read /v1/kv/" + r.bindingsOf(5)); n != 0 {
		t.Errorf("the shard was read %d times by who changed it", n)
	}
}

// TestF14ConsulForgetsEverything restarts a Consul that keeps nothing. The routes stand while it is away and after, and what was published
// is there again for whoever reads anew. It also shows that one registry lives within Consul's default limit of connections.
func TestF14ConsulForgetsEverything(t *testing.T) {
	t.Parallel()
	p := freePorts(t)
	first := startAgent(t, p, "")
	s := newSpace(t)
	r, router := follow(t, s.options(t, first.address))
	a, b := routingtest.NewBinding("alice", 1), routingtest.NewBinding("bob", 2)
	for _, binding := range []routing.Binding{a, b} {
		publish(t.Context(), t, r, binding)
		register(t, first.client, s.service, binding)
		awaitRoute(t, router, binding)
	}
	first.stop()
	eventually(t, "the table is known to be old", func() bool { return router.Status()[0].Age > 0 })
	if err := r.Withdraw(t.Context(), "bob", 1); err == nil {
		t.Error("a withdrawal that reached nobody else was called a success")
	}
	routingtest.AwaitTable(t, router, "alice alone", func(t *routing.Table) bool { return t.Len() == 1 })
	stillOnly(t, router, a)

	second := startAgent(t, p, "")
	eventually(t, "the table is fresh again", func() bool { return router.Status()[0].Age == 0 })
	stillOnly(t, router, a)
	_, anew := follow(t, Options{Config: &api.Config{Address: second.address}, Signer: hubKey, Prefix: s.prefix, Service: s.service, ReadOnly: true, Wait: time.Second})
	register(t, second.client, s.service, a) // as Nomad does when it finds its services missing
	awaitRoute(t, anew, a)
	stillOnly(t, anew, a)
	if err := r.Withdraw(t.Context(), "alice", 1); err != nil {
		t.Fatal(err)
	}
	routingtest.AwaitTable(t, anew, "no route", func(t *routing.Table) bool { return t.Len() == 0 })
}

// TestTokenFileIsReadAgain replaces the token in its file and revokes the old one, as Nomad does.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	const root = "00000000-0000-4000-8000-000000000001"
	a := startAgent(t, freePorts(t), manyReaders+` acl { enabled = true default_policy = "deny" tokens { initial_management = "`+root+`" agent = "`+root+`" } }`)
	s, ctx := newSpace(t), t.Context()
	admin, err := api.NewClient(&api.Config{Address: a.address, Token: root})
	if err != nil {
		t.Fatal(err)
	}
	policy := `key_prefix "` + s.prefix + `/" { policy = "write" } service_prefix "` + s.service + `-" { policy = "read" } node_prefix "" { policy = "read" }`
	newToken := func(name string) *api.ACLToken {
		var token *api.ACLToken
		eventually(t, "the token is made", func() bool {
			if _, _, err = admin.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: policy}, nil); err != nil {
				return false
			}
			token, _, err = admin.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
			return err == nil
		})
		return token
	}
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := newToken("one")
	write(old.SecretID)
	o := s.options(t, a.address)
	o.TokenFile, o.Wait = file, time.Second
	r, router := follow(t, o)
	b := routingtest.NewBinding("alice", 1)
	publish(ctx, t, r, b)
	register(t, admin, s.service, b)
	awaitRoute(t, router, b)

	next := newToken("two")
	write(next.SecretID)
	if _, err := admin.ACL().TokenDelete(old.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	c := routingtest.NewBinding("carol", 3)
	eventually(t, "the new token is used", func() bool { return r.Publish(ctx, c) == nil })
	register(t, admin, s.service, c)
	awaitRoute(t, router, c)
	awaitRoute(t, router, b)
	eventually(t, "the table is fresh", func() bool { return router.Status()[0].Age == 0 })

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(ctx, c); err != nil {
		t.Errorf("without its file the last token is not used: %v", err)
	}
}

func TestRoutesCannotBeReadTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, Options{Config: &api.Config{Address: "127.0.0.1:1"}, Signer: hubKey, Logger: discard()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range r.Routes(ctx) {
		for _, err := range r.Routes(ctx) {
			if err != errSecondReader { //nolint:errorlint // the very one
				t.Errorf("a second reader got %v", err)
			}
			cancel()
		}
	}
}

package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
)

// fake speaks as much of Consul's wire as this package hears, and lies on demand.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	index    uint64
	kv       map[string]*api.KVPair
	services map[string][]*api.CatalogService
	changed  chan struct{}
	lie      func(w http.ResponseWriter, r *http.Request) bool // true: it has answered; nil: the truth
	queries  map[string]int
	tokens   map[string]bool
}

func newFake(t *testing.T) *fake {
	f := &fake{
		index: 1000, kv: make(map[string]*api.KVPair), services: make(map[string][]*api.CatalogService), changed: make(chan struct{}),
		queries: make(map[string]int), tokens: make(map[string]bool),
	}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // it hangs up on purpose
	f.Start()
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *fake) options(t *testing.T) Options {
	o := space{prefix: "nomadhub", service: "notebook"}.options(t, f.Listener.Addr().String())
	o.Logger, o.Wait = discard(), 300*time.Millisecond
	return o
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	f.queries[kind]++
	f.queries[detail(r)]++
	f.tokens[r.Header.Get("X-Consul-Token")] = true
	if f.lie != nil && f.lie(w, r) {
		return
	}
	if after, err := strconv.ParseUint(r.URL.Query().Get("index"), 10, 64); err == nil {
		wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
		f.block(r, after, wait)
	}
	w.Header().Set("X-Consul-Index", strconv.FormatUint(f.index, 10))
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case strings.HasPrefix(path, "catalog/service/"):
		_ = json.NewEncoder(w).Encode(append([]*api.CatalogService{}, f.services[strings.TrimPrefix(path, "catalog/service/")]...))
	case strings.HasPrefix(path, "kv/"):
		f.list(w, strings.TrimPrefix(path, "kv/"), r.URL.Query())
	case path == "txn":
		f.txn(w, r)
	default:
		http.Error(w, "not in this fake: "+path, http.StatusNotImplemented)
	}
}

// detail tells the kinds of queries for keys from each other.
func detail(r *http.Request) string {
	_, under, _ := strings.Cut(r.URL.Path, "/v1/kv/nomadhub/")
	folder, _, _ := strings.Cut(under, "/")
	switch q := r.URL.Query(); {
	case folder != "bindings":
		return folder
	case q.Has("keys"):
		return "index of bindings"
	case q.Has("recurse"):
		return "all bindings"
	}
	return "one binding"
}

// block waits, unlocked, until the index passes or the time is over.
func (f *fake) block(r *http.Request, after uint64, wait time.Duration) {
	over := time.After(wait)
	for f.index <= after {
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
			f.mu.Lock()
		case <-over:
			f.mu.Lock()
			return
		case <-r.Context().Done():
			f.mu.Lock()
			return
		}
	}
}

func (f *fake) list(w http.ResponseWriter, key string, query url.Values) {
	if query.Has("keys") {
		_ = json.NewEncoder(w).Encode([]string{key + query.Get("separator")}) // as far as anybody looks
		return
	}
	var pairs api.KVPairs
	for k, pair := range f.kv {
		if k == key || query.Has("recurse") && strings.HasPrefix(k, key) {
			pairs = append(pairs, pair)
		}
	}
	if pairs == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(pairs)
}

func (f *fake) txn(w http.ResponseWriter, r *http.Request) {
	var ops api.TxnOps
	if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var failed api.TxnErrors
	for i, op := range ops {
		var index uint64
		if pair := f.kv[op.KV.Key]; pair != nil {
			index = pair.ModifyIndex
		}
		if op.KV.Verb == api.KVCAS && op.KV.Index != index {
			failed = append(failed, &api.TxnError{OpIndex: i, What: "index is stale"})
		}
	}
	if failed != nil {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(api.TxnResponse{Errors: failed})
		return
	}
	f.touch()
	var done api.TxnResponse
	for _, op := range ops {
		f.kv[op.KV.Key] = &api.KVPair{Key: op.KV.Key, Value: op.KV.Value, Flags: op.KV.Flags, ModifyIndex: f.index}
		done.Results = append(done.Results, &api.TxnResult{KV: &api.KVPair{Key: op.KV.Key, Flags: op.KV.Flags, ModifyIndex: f.index}})
	}
	_ = json.NewEncoder(w).Encode(done)
}

func (f *fake) touch() {
	f.index++
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.touch()
}

func (f *fake) register(b routing.Binding) {
	r := registrationOf("notebook", b)
	f.do(func() {
		f.services[r.Name] = append(f.services[r.Name], &api.CatalogService{
			Address: "10.99.99.99", ServiceID: r.ID, ServiceName: r.Name, ServiceAddress: r.Address, ServicePort: r.Port, ServiceMeta: r.Meta,
		})
	})
}

// count is how often a kind of path was asked for since the last call.
func (f *fake) count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.queries[kind]
	f.queries[kind] = 0
	return n
}

func (f *fake) tell(lie func(w http.ResponseWriter, r *http.Request) bool) {
	f.do(func() { f.lie = lie })
}

// routed is a fake with one server that is routed.
func routed(t *testing.T, change ...func(*Options)) (*fake, *Registry, *routing.Router, routing.Binding) {
	t.Helper()
	f := newFake(t)
	o := f.options(t)
	for _, c := range change {
		c(&o)
	}
	r, router := follow(t, o)
	b := routingtest.NewBinding("alice", 1)
	f.register(b)
	publish(t.Context(), t, r, b)
	awaitRoute(t, router, b)
	return f, r, router, b
}

func TestFakeSuite(t *testing.T) {
	t.Parallel()
	routingtest.TestRegistry(t, func(t *testing.T) routingtest.Backing {
		f := newFake(t)
		o := f.options(t)
		o.Wait = 20 * time.Second
		return routingtest.Backing{
			Registry: newRegistry(t, o),
			Replica:  newRegistry(t, o),
			Register: func(_ *testing.T, b routing.Binding) { f.register(b) },
			Deregister: func(_ *testing.T, b routing.Binding) {
				f.do(func() { delete(f.services, ServiceName("notebook", b.Server)) })
			},
		}
	})
}

// TestF14LyingConsul has a Consul that gives every kind of wrong answer. None of them takes the route away, and all of them pass.
func TestF14LyingConsul(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lie    func(w http.ResponseWriter, r *http.Request) bool
		silent bool // nobody can see that it is a lie
	}{
		"empty": {silent: true, lie: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", "1001")
			if strings.HasPrefix(r.URL.Path, "/v1/kv") {
				w.WriteHeader(http.StatusNotFound)
			} else {
				_, _ = io.WriteString(w, "[]")
			}
			return true
		}},
		"a lower index and nothing": {silent: true, lie: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", "3")
			_, _ = io.WriteString(w, "[]")
			return true
		}},
		"null": {silent: true, lie: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", "2000")
			if !strings.HasPrefix(r.URL.Path, "/v1/health") {
				return false
			}
			_, _ = io.WriteString(w, "[null]")
			return true
		}},
		"no index": {lie: func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "[]")
			return true
		}},
		"truncated": {lie: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", "2000")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `[{"Key":"nomadhub/`)
			return true
		}},
		"not JSON": {lie: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", "2000")
			_, _ = io.WriteString(w, "<html>")
			return true
		}},
		"500":      {lie: status(http.StatusInternalServerError)},
		"503":      {lie: status(http.StatusServiceUnavailable)},
		"429":      {lie: status(http.StatusTooManyRequests)},
		"403":      {lie: status(http.StatusForbidden)},
		"hangs up": {lie: func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, r, router, b := routed(t)
			f.tell(func(w http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodGet && test.lie(w, r) })
			if !test.silent {
				eventually(t, "the age of the table rises", func() bool { return router.Status()[0].Age > 0 })
			}
			for range 3 { // each time everything has been asked for again
				f.count("catalog")
				eventually(t, "Consul was asked", func() bool { return f.queriesOf("catalog") > 10 })
				if route, ok := router.Table().Lookup("/user/alice/lab"); !ok || route != b.Route() {
					t.Fatalf("the route is gone:\n%s", router.Table())
				}
			}
			f.tell(nil)
			healed := time.Now()
			eventually(t, "the table is fresh again", func() bool { return router.Status()[0].Age == 0 })
			c := routingtest.NewBinding("carol", 2)
			f.register(c)
			publish(t.Context(), t, r, c)
			awaitRoute(t, router, c)
			awaitRoute(t, router, b)
			if took := time.Since(healed); took > 45*time.Second { // the longest pause is ten seconds; without a bound it would be minutes
				t.Errorf("healing took %v", took)
			}
		})
	}
}

func (f *fake) queriesOf(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queries[kind]
}

func status(code int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "no", code)
		return true
	}
}

// TestNotReadyBeforeConsulAnswered holds that a hub that knows nothing yet does not say that there is nothing.
func TestNotReadyBeforeConsulAnswered(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	b := routingtest.NewBinding("alice", 1)
	sealed, err := b.Seal(hubKey)
	if err != nil {
		t.Fatal(err)
	}
	f.register(b)
	r := newRegistry(t, f.options(t))
	f.do(func() {
		f.kv[r.bindingKey("alice")] = &api.KVPair{Key: r.bindingKey("alice"), Value: sealed, ModifyIndex: 7}
	})
	f.tell(func(w http.ResponseWriter, q *http.Request) bool {
		return strings.HasSuffix(q.URL.Path, ServiceName("notebook", "alice")) && status(500)(w, q)
	})
	for routes, err := range r.Routes(t.Context()) {
		if err == nil || routes != nil {
			t.Fatalf("a snapshot came although one shard of 128 has not answered: %v", routes)
		}
		break
	}
	f.tell(nil)
	for routes, err := range r.Routes(t.Context()) {
		if err != nil {
			continue
		}
		if len(routes) != 1 {
			t.Errorf("the first snapshot is %v", routes)
		}
		break
	}
}

// TestRestsWhenNothingIsAwaited holds that a hub without starts leaves Consul alone, apart from looking now and then.
func TestRestsWhenNothingIsAwaited(t *testing.T) {
	t.Parallel()
	f, _, router, b := routed(t, func(o *Options) { o.Wait = time.Hour })
	eventually(t, "everything was read once", func() bool { return f.queriesOf("catalog") >= routing.Shards })
	f.count("catalog")
	before := router.Table()
	for range 50 {
		f.do(func() {}) // the index moves, as it does in a busy cluster
	}
	<-time.After(200 * time.Millisecond) // what must not happen has no event to wait for
	if n := f.count("catalog"); n > 3 {
		t.Errorf("%d lists were asked for although no binding waits", n)
	}
	if router.Table() != before {
		t.Error("the table was replaced")
	}
	awaitRoute(t, router, b)
}

func TestWithdrawActsAtOnceWithoutConsul(t *testing.T) {
	t.Parallel()
	f, r, router, _ := routed(t)
	f.tell(status(503))
	if err := r.Withdraw(t.Context(), "alice", 1); err == nil {
		t.Error("nobody else knows, and no error says so")
	}
	routingtest.AwaitTable(t, router, "no route", func(t *routing.Table) bool { return t.Len() == 0 })
	f.tell(nil)
	eventually(t, "the others are told when Consul is back", func() bool {
		current, err := r.get(t.Context(), "alice")
		return err == nil && current.known && current.Withdrawn()
	})
	routingtest.AwaitTable(t, router, "still no route", func(t *routing.Table) bool { return t.Len() == 0 })
}

func TestPublishSaysWhenConsulIsAway(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, Options{Config: &api.Config{Address: "127.0.0.1:1"}, Signer: hubKey, Logger: discard()})
	err := r.Publish(t.Context(), routingtest.NewBinding("alice", 1))
	if err == nil || !strings.Contains(err.Error(), "publish binding of server alice") {
		t.Errorf("Publish = %v", err)
	}
	if err := r.Publish(t.Context(), routingtest.NewBinding("a/../b", 1)); !errors.Is(err, routing.ErrInvalid) {
		t.Errorf("an ID that is a path was accepted: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestF14EndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	endless := boundedTransport{roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(zeros{})}, nil
	})}
	res, err := endless.RoundTrip(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if n, err := io.Copy(io.Discard, res.Body); n != maxAnswer || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	o := Options{Signer: hubKey, Registerer: reg}
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if _, err := New(o); err == nil {
		t.Error("metrics that exist twice were not reported")
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a registry without a signer was made")
	}
}

func TestServiceNameIsALabel(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for i := range 5000 {
		seen[ServiceName("notebook", fmt.Sprint("server-", i))] = true
	}
	if len(seen) != routing.Shards {
		t.Errorf("5,000 servers are spread over %d names", len(seen))
	}
	if got := ServiceName("notebook", "a"); got != "notebook-2c" { // out there already
		t.Errorf("ServiceName = %q", got)
	}
}

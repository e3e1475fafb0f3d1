package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/secret"
)

// prepared answers as a Consul does in which nothing changes, with bodies that were made before, so that what is measured is ours alone.
type prepared struct {
	bodies map[string][]byte // by path
	listed int               // bytes of all bodies
}

const preparedIndex = "123456"

func (p *prepared) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("index") != "" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Consul-Index": {preparedIndex}}, Request: r}
	body, ok := p.bodies[strings.TrimPrefix(r.URL.Path, "/v1/")]
	if !ok {
		res.StatusCode = http.StatusNotFound
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// running is a Consul that knows so many running notebooks, in the words of a real one.
func running(tb testing.TB, n int, keys routing.Signer) *prepared {
	tb.Helper()
	p := &prepared{bodies: make(map[string][]byte)}
	pairs, changes, instances := make(map[string]api.KVPairs), api.KVPairs{}, make(map[string][]json.RawMessage)
	for i := range n {
		b := benchBinding(i)
		sealed, err := b.Seal(keys)
		if err != nil {
			tb.Fatal(err)
		}
		shard := fmt.Sprintf("%02x", routing.Shard(b.Server))
		under := "kv/nomadhub/bindings/" + shard + "/"
		pairs[under] = append(pairs[under], &api.KVPair{
			Key: "nomadhub/bindings/" + shard + "/" + b.Server, Value: sealed, CreateIndex: uint64(i + 1000), ModifyIndex: uint64(i + 1000),
		})
		name := "catalog/service/" + ServiceName("notebook", b.Server)
		instances[name] = append(instances[name], catalogEntry(b, i))
	}
	for i := range routing.Shards {
		changes = append(changes, &api.KVPair{Key: fmt.Sprintf("nomadhub/changes/%02x", i), Value: []byte("TJ4WVRIN7NNHDFBFPGWY2RWBMZ"), CreateIndex: 900, ModifyIndex: uint64(i + 1000)})
		if name := fmt.Sprintf("catalog/service/notebook-%02x", i); instances[name] == nil {
			instances[name] = []json.RawMessage{}
		}
	}
	pairs["kv/nomadhub/changes/"] = changes
	for path, list := range pairs {
		p.add(tb, path, list)
	}
	for path, list := range instances {
		p.add(tb, path, list)
	}
	return p
}

func (p *prepared) add(tb testing.TB, path string, list any) {
	body, err := json.MarshalIndent(list, "", "    ") // Consul's agent answers on one line unless asked for pretty
	if err != nil {
		tb.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		tb.Fatal(err)
	}
	p.bodies[path] = compact.Bytes()
	p.listed += compact.Len()
}

func benchBinding(i int) routing.Binding {
	return routing.Binding{
		Server: fmt.Sprintf("0190a5c8-0000-7000-8000-%012d", i), Prefix: fmt.Sprintf("/user/user-%d/", i), Generation: int64(i%7 + 1),
		Instance: fmt.Sprintf("7d1f3c5e-%04x-4b5c-9d7e-%012x", i&0xffff, i), Address: fmt.Sprintf("10.%d.%d.%d:%d", i>>16, i>>8&255, i&255, 20000+i%12000),
		Placement: uint64(100000 + i),
	}
}

// catalogEntry is what a Consul 1.21 says of a service that Nomad registered.
func catalogEntry(b routing.Binding, i int) json.RawMessage {
	host, port, _ := strings.Cut(b.Address, ":")
	return json.RawMessage(fmt.Sprintf(`{"ID":"5a2e9cf5-bc8c-d5cf-4a3c-%012x","Node":"client-%d","Address":"10.0.0.%d","Datacenter":"dc1",`+
		`"TaggedAddresses":{"lan":"10.0.0.1","lan_ipv4":"10.0.0.1","wan":"10.0.0.1","wan_ipv4":"10.0.0.1"},`+
		`"NodeMeta":{"consul-network-segment":"","consul-version":"1.21.0"},"ServiceKind":"","ServiceID":"_nomad-task-%s-group-notebook-%s-http",`+
		`"ServiceName":"%s","ServiceTags":[],"ServiceAddress":"%s","ServiceTaggedAddresses":{"lan_ipv4":{"Address":"%s","Port":%s},"wan_ipv4":{"Address":"%s","Port":%s}},`+
		`"ServiceWeights":{"Passing":1,"Warning":1},"ServiceMeta":{"external-source":"nomad","nomadhub_allocation":"%s","nomadhub_generation":"%d","nomadhub_server":"%s"},`+
		`"ServicePort":%s,"ServiceSocketPath":"","ServiceEnableTagOverride":false,"ServiceProxy":{"Mode":"","MeshGateway":{},"Expose":{}},"ServiceConnect":{},`+
		`"ServiceLocality":null,"CreateIndex":%d,"ModifyIndex":%d}`,
		i%200, i%200, i%200, b.Instance, ServiceName("notebook", b.Server), ServiceName("notebook", b.Server), host, host, port, host, port, b.Instance, b.Generation, b.Server,
		port, i+1000, i+1000))
}

func benchKeys(tb testing.TB) routing.Signer {
	tb.Helper()
	ring, err := secret.NewKeyRing(secret.Secret{Values: map[string]secret.Value{"20260101T000000Z": "a benchmark needs a key that is no secret at all"}})
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

// BenchmarkRestart is a hub that starts while so many notebooks run: from nothing to a table with all routes, and what it then holds for each.
func BenchmarkRestart(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run("servers="+strconv.Itoa(n), func(b *testing.B) {
			keys := benchKeys(b)
			consul := running(b, n, keys)
			var least, held float64
			for b.Loop() {
				before := heap()
				began := cputime.Used(b)
				stop, table := start(b, consul, keys, n)
				took := float64(cputime.Used(b)-began) / 1e6
				if least == 0 || took < least {
					least = took
				}
				now := heap()
				for range 10 { // until what the start itself needed is gone
					<-time.After(2 * time.Millisecond)
					now = min(now, heap())
				}
				held = float64(int64(now-before)) / float64(n) //nolint:gosec // less than an exabyte
				runtime.KeepAlive(table)
				stop()
			}
			b.ReportMetric(least, "cpu-ms")
			b.ReportMetric(held, "held-B/route")
		})
	}
}

// start runs a router on a registry until it has so many routes.
func start(b *testing.B, consul *prepared, keys routing.Signer, n int) (stop func(), r *routing.Router) {
	b.Helper()
	registry, err := New(Options{
		Config: &api.Config{Address: "consul.invalid:8500", HttpClient: &http.Client{Transport: consul}}, Signer: keys, Logger: discard(),
	})
	if err != nil {
		b.Fatal(err)
	}
	r, err = routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "consul", Source: registry}}, Logger: discard()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if err := r.Await(ctx, func(t *routing.Table) bool { return t.Len() == n }); err != nil {
		b.Fatal(err)
	}
	return func() { cancel(); <-done }, r
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

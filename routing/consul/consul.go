// Package consul finds running notebooks in Consul, and tells other replicas of the hub where they are.
//
//	Nomad ──registers──► service notebook-3f: address, port, meta (server, generation, allocation)      "it is there"
//	hub ────Publish────► KV nomadhub/bindings/3f/SERVER: signed by the hub: which address owns which path  "it is true"
//	                     KV nomadhub/changes/3f: touched in the same transaction                           "look again"
//
//	blocking query on changes/ ────────► read the shard's bindings ────────┐
//	blocking query on a shard's service, while a binding has no registration ┴► route = binding with its registration
//
// Nothing vanishes by absence. A registration only has to be seen once, for as long as its binding stands; a binding ends by a signed mark
// or a newer binding. So an empty answer, a lost leader or a Consul that forgot everything takes nobody's notebook away.
package consul

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/routing"
)

var (
	_ routing.PartedSource = (*Registry)(nil)
	_ routing.Publisher    = (*Registry)(nil)
	_ routing.Seeker       = (*Registry)(nil)
)

// Consul's own limit is 200 connections from one address (limits.http_max_conns_per_client), and says 429 to the next. Two hubs on one
// machine share an agent whenever one takes over from the other, so each keeps below half of that.
const (
	maxConnections = 90
	maxWatches     = 56 // blocking queries for registrations
	maxReads       = 16 // short reads
)

// maxAnswer bounds what one answer of Consul may take of our memory. A shard of 1,000 notebooks is under 2 MB.
const maxAnswer = 64 << 20

// Options are what a [Registry] is made of.
type Options struct {
	// Config is how to reach Consul. nil: as CONSUL_HTTP_ADDR and its kin say.
	Config *api.Config
	// TokenFile holds the ACL token and is read again before each request, because Nomad replaces it. "": Config.TokenFile.
	TokenFile string
	// Signer makes and checks bindings. Required.
	Signer routing.Signer
	// Prefix is where bindings are kept in the key-value store. "": "nomadhub".
	Prefix string
	// Service begins the names under which notebooks are registered; see [ServiceName]. "": "notebook".
	Service string
	// ReadOnly is for a proxy that may read only: it leaves it to the hub to restore bindings that Consul has lost and to remove old marks.
	ReadOnly bool
	// Wait is how long one blocking query may stay unanswered. 0: one minute.
	Wait       time.Duration
	Logger     *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
}

// Registry is Consul as a source of routes and as a publisher. Its routes may be read by one reader at a time.
type Registry struct {
	client    *api.Client
	tokens    tokenFile
	signer    routing.Signer
	prefix    string
	service   string
	readOnly  bool
	wait      time.Duration
	log       *slog.Logger
	metrics   *metrics
	shards    [routing.Shards]*shard
	watches   places        // of blocking queries for registrations
	reads     places        // of short reads
	gaps      atomic.Int64  // how often the changes were read anew: indexes from before may be of another Consul
	news      chan struct{} // a shard's routes or somebody's health changed; at most one token
	health    health
	following atomic.Bool
}

// New makes a registry. It asks Consul nothing yet.
func New(o Options) (*Registry, error) {
	if o.Signer == nil {
		return nil, errors.New("consul: a registry needs a signer")
	}
	config := api.DefaultConfig()
	if o.Config != nil {
		copied := *o.Config
		config = &copied
	}
	if err := boundClient(config); err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	r := &Registry{
		tokens: tokenFile{path: cmp.Or(o.TokenFile, config.TokenFile)}, signer: o.Signer,
		prefix: cmp.Or(o.Prefix, "nomadhub"), service: cmp.Or(o.Service, "notebook"),
		readOnly: o.ReadOnly, wait: cmp.Or(o.Wait, time.Minute), log: cmp.Or(o.Logger, slog.Default()),
		watches: make(places, maxWatches), reads: make(places, maxReads), news: make(chan struct{}, 1),
	}
	config.TokenFile = "" // ours is read again, theirs is not
	var err error
	if r.client, err = api.NewClient(config); err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	for i := range r.shards {
		r.shards[i] = newShard(i)
	}
	r.metrics, err = newMetrics(o.Registerer, &r.health)
	return r, err
}

// boundClient gives the configuration an HTTP client that takes neither all of Consul's connections nor all of our memory.
func boundClient(config *api.Config) error {
	if config.HttpClient != nil {
		return nil // the caller's business
	}
	transport := config.Transport
	if transport == nil {
		transport = api.DefaultConfig().Transport
	}
	transport = transport.Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost, transport.MaxIdleConns = maxConnections, maxConnections, maxConnections
	transport.DisableCompression = true // the agent is near; a hub that starts would have it pack megabytes only to unpack them
	client, err := api.NewHttpClient(transport, config.TLSConfig)
	if err != nil {
		return err
	}
	client.Transport = boundedTransport{transport}
	config.HttpClient = client
	return nil
}

// boundedTransport makes an answer that is too long fail like one that was cut off.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(req)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// tokenFile is an ACL token that somebody else keeps fresh.
type tokenFile struct {
	path string
	mu   sync.Mutex
	last string
}

// token returns what the file holds. While the file cannot be read the last token goes on: it may be valid for long.
func (f *tokenFile) token() string {
	if f.path == "" {
		return "" // the client's own
	}
	content, err := os.ReadFile(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if token := strings.TrimSpace(string(content)); err == nil && token != "" {
		f.last = token
	}
	return f.last
}

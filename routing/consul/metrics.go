package consul

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// reason tells why a registration or a binding is not believed.
type reason string

const (
	malformed reason = "malformed" // it lacks a server, an allocation, an address or a port
	unsigned  reason = "unsigned"  // the hub has published no binding for it, or not yet
	forged    reason = "forged"    // a binding that the hub did not sign
	copied    reason = "copied"    // true of something else: another address, another server, another shard
	stale     reason = "stale"     // of a run that was replaced or withdrawn
)

type metrics struct{ ignored *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, h *health) (*metrics, error) {
	m := &metrics{ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nomadhub_routing_ignored_registrations_total",
		Help: "Registrations and bindings in Consul that were not believed, each counted once. A few that are unsigned or stale come with every start.",
	}, []string{"reason"})}
	for _, r := range []reason{malformed, unsigned, forged, copied, stale} {
		m.ignored.WithLabelValues(string(r))
	}
	if reg == nil {
		return m, nil
	}
	failing := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "nomadhub_routing_consul_failing_watches", Help: "Queries to Consul that fail at present, of 257 kinds.",
	}, func() float64 { n, _ := h.failing(); return float64(n) })
	if err := errors.Join(reg.Register(m.ignored), reg.Register(failing)); err != nil {
		return nil, fmt.Errorf("consul: register metrics: %w", err)
	}
	return m, nil
}

// health knows which queries fail.
type health struct {
	mu   sync.Mutex
	errs map[string]error
}

// report notes how a query went and tells whether that is news.
func (h *health) report(query string, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, failed := h.errs[query]
	if err == nil {
		delete(h.errs, query)
		return failed
	}
	if h.errs == nil {
		h.errs = make(map[string]error)
	}
	h.errs[query] = err
	return !failed
}

// failing returns the number of queries that fail, and one of their errors.
func (h *health) failing() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.errs) == 0 {
		return 0, nil
	}
	first := slices.Min(slices.Collect(maps.Keys(h.errs)))
	return len(h.errs), fmt.Errorf("consul: %d queries fail, %s among them: %w", len(h.errs), first, h.errs[first])
}

func (h *health) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.errs)
}

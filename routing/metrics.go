package routing

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func register(reg prometheus.Registerer, collectors ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range collectors {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("routing: register metrics: %w", err)
	}
	return nil
}

// routerMetrics are read from the router at each scrape, so that they cannot lag behind it.
func routerMetrics(r *Router) []prometheus.Collector {
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nomadhub_routing_table_routes", Help: "Routes in the current table.",
		}, func() float64 { return float64(r.Table().Len()) }),
	}
	for _, f := range r.sources {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "nomadhub_routing_table_age_seconds",
			Help:        "For how long the routes of a source have not been known to be right; 0 while they are.",
			ConstLabels: prometheus.Labels{"source": f.name},
		}, func() float64 { return f.status(time.Now()).Age.Seconds() }))
	}
	for _, reason := range dropReasons {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "nomadhub_routing_dropped_routes",
			Help:        "Routes of the current snapshots that contradict a truer one, or cannot be right.",
			ConstLabels: prometheus.Labels{"reason": string(reason)},
		}, func() float64 { return float64(r.Table().counts[reason]) }))
	}
	return all
}

// proxyMetrics are what one proxy counts.
type proxyMetrics struct {
	requests *prometheus.CounterVec
	active   prometheus.Gauge
	upgraded prometheus.Gauge
}

func newProxyMetrics(reg prometheus.Registerer) (*proxyMetrics, error) {
	m := &proxyMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_proxy_requests_total",
			Help: "Requests forwarded to servers, by class of the answer's status; canceled: the client left before it.",
		}, []string{"code"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nomadhub_proxy_active_requests", Help: "Requests to servers that are being forwarded now, upgraded ones not counted.",
		}),
		upgraded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nomadhub_proxy_active_websockets", Help: "Upgraded connections to servers that are open now.",
		}),
	}
	for _, class := range statusClasses {
		m.requests.WithLabelValues(class) // so that a rate exists from the first scrape on
	}
	return m, register(reg, m.requests, m.active, m.upgraded)
}

var statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx", "canceled"}

func statusClass(status int) string {
	if status == statusClientGone {
		return "canceled"
	}
	if i := status/100 - 1; i >= 0 && i < 5 {
		return statusClasses[i]
	}
	return "5xx"
}

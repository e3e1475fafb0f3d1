package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// cullMetrics tell what the culler does.
type cullMetrics struct {
	culls  *prometheus.CounterVec
	warns  *prometheus.CounterVec
	asks   *prometheus.CounterVec
	passes prometheus.Histogram
}

func newCullMetrics(r prometheus.Registerer) cullMetrics {
	m := cullMetrics{
		culls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_culls_total", Help: "Servers that the hub stopped by itself, by kind: idle, age, usage.",
		}, []string{"kind"}),
		warns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_cull_warnings_total", Help: "Warnings to owners of servers, by kind: idle, age, usage.",
		}, []string{"kind"}),
		asks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_cull_questions_total", Help: "Servers that were asked whether they are used, by how they answered.",
		}, []string{"outcome"}),
		passes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nomadhub_cull_pass_duration_seconds", Help: "Time that the culler took to look at all servers, questions to them included.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.3, 1, 3, 10, 30, 60},
		}),
	}
	for _, kind := range []NoticeKind{NoticeIdle, NoticeAge, NoticeUsage} {
		m.culls.WithLabelValues(string(kind))
		m.warns.WithLabelValues(string(kind))
	}
	for _, outcome := range []string{"answered", "silent", "unable", "unclear"} {
		m.asks.WithLabelValues(outcome)
	}
	if r != nil {
		r.MustRegister(m.culls, m.warns, m.asks, m.passes)
	}
	return m
}

func (m cullMetrics) culled(kind string)        { m.culls.WithLabelValues(kind).Inc() }
func (m cullMetrics) warned(kind string)        { m.warns.WithLabelValues(kind).Inc() }
func (m cullMetrics) asked(outcome string)      { m.asks.WithLabelValues(outcome).Inc() }
func (m cullMetrics) passed(took time.Duration) { m.passes.Observe(took.Seconds()) }

package hub

import "github.com/prometheus/client_golang/prometheus"

// queueMetrics tell how the queue of starts does.
type queueMetrics struct {
	waiting   prometheus.Gauge
	waited    prometheus.Histogram
	blocked   prometheus.Counter
	forecasts *prometheus.CounterVec
}

func newQueueMetrics(r prometheus.Registerer) queueMetrics {
	m := queueMetrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nomadhub_queue_waiting_starts", Help: "Starts that wait for the hub's limits or for their turn, as this replica last saw.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nomadhub_queue_wait_seconds", Help: "How long starts waited in the hub's queue that this replica let through.",
			Buckets: []float64{0.1, 0.5, 1, 5, 15, 60, 180, 600, 1800, 3600},
		}),
		blocked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nomadhub_starts_blocked_total", Help: "Starts for which the cluster had no room when they were handed over.",
		}),
		forecasts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_forecasts_total", Help: "Questions to the cluster whether a server would fit, by the answer.",
		}, []string{"verdict"}),
	}
	if r != nil {
		r.MustRegister(m.waiting, m.waited, m.blocked, m.forecasts)
	}
	return m
}

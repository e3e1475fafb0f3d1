package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/scheduler"
)

// metrics keep JupyterHub's names where its dashboards read them.
type metrics struct {
	starts  *prometheus.HistogramVec
	stops   *prometheus.HistogramVec
	running prometheus.Gauge
	states  *prometheus.GaugeVec
	logins  *prometheus.CounterVec
	sweeps  prometheus.Histogram
	queue   queueMetrics
	stream  streamMetrics
}

func newMetrics(r prometheus.Registerer, s scheduler.Scheduler) metrics {
	m := metrics{
		starts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_server_spawn_duration_seconds", Help: "Time from the request of a server to its readiness or failure.",
			Buckets: []float64{0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600},
		}, []string{"status"}),
		stops: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_server_stop_seconds", Help: "Time that it took to end a server.", Buckets: prometheus.DefBuckets,
		}, []string{"status"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "jupyterhub_running_servers", Help: "Servers that run, start or stop."}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "nomadhub_servers", Help: "Servers by state, as the replica that looks after them last saw.",
		}, []string{"state"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nomadhub_logins_total", Help: "Logins by result."}, []string{"result"}),
		sweeps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nomadhub_sweep_duration_seconds", Help: "Time that a comparison of all servers with what the scheduler runs took.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.3, 1, 3, 10, 30, 60},
		}),
	}
	m.queue = newQueueMetrics(r)
	m.stream = newStreamMetrics(r, s)
	for _, status := range []string{"success", "failure"} {
		m.starts.WithLabelValues(status)
		m.stops.WithLabelValues(status)
	}
	if r != nil {
		r.MustRegister(m.starts, m.stops, m.running, m.states, m.logins, m.sweeps)
	}
	return m
}

func (m metrics) started(took time.Duration) {
	m.starts.WithLabelValues("success").Observe(took.Seconds())
}
func (m metrics) failed(took time.Duration) {
	m.starts.WithLabelValues("failure").Observe(took.Seconds())
}
func (m metrics) ended(took time.Duration) {
	m.stops.WithLabelValues("success").Observe(took.Seconds())
}

func (m metrics) swept(took time.Duration) { m.sweeps.Observe(took.Seconds()) }

func (m metrics) login(admitted bool) {
	result := "refused"
	if admitted {
		result = "admitted"
	}
	m.logins.WithLabelValues(result).Inc()
}

func (m metrics) observe(active []ServerBrief) {
	count := map[ServerState]int{Starting: 0, Ready: 0, Stopping: 0}
	for _, s := range active {
		count[s.State]++
	}
	for state, n := range count {
		m.states.WithLabelValues(string(state)).Set(float64(n))
	}
	m.running.Set(float64(len(active)))
}

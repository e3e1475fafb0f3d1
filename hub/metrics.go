package hub

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/scheduler"
)

// metrics keep JupyterHub's names where its dashboards read them.
type metrics struct {
	starts  *prometheus.HistogramVec
	stops   *prometheus.HistogramVec
	running prometheus.Gauge
	users   prometheus.Gauge
	active  *prometheus.GaugeVec
	routes  routeMetrics
	polls   *prometheus.HistogramVec
	init    prometheus.Histogram
	states  *prometheus.GaugeVec
	logins  *prometheus.CounterVec
	sweeps  prometheus.Histogram
	queue   queueMetrics
	stream  streamMetrics
}

// Statuses of starts in JupyterHub's words.
const (
	startSuccess   = "success"
	startFailure   = "failure"
	startPending   = "already-pending"
	startThrottled = "throttled"
	startTooMany   = "too-many-users"
)

// Statuses of a look at a server: what stock JupyterHub writes, and dashboards read.
const (
	pollRunning = "ServerPollStatus.running"
	pollStopped = "ServerPollStatus.stopped"
)

// activePeriods are those for which users who were active are counted.
var activePeriods = [...]struct {
	name   string
	length time.Duration
}{{"24h", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {"30d", 30 * 24 * time.Hour}}

// jupyterBuckets are those that JupyterHub's metrics have where it says nothing else, in seconds.
func jupyterBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// Buckets are bounds of histograms in seconds, ascending and above 0; nil: JupyterHub's.
type Buckets struct {
	Spawn []float64 // of how long starts take
	Stop  []float64 // of how long stops take
}

func (b Buckets) filled() Buckets {
	if len(b.Spawn) == 0 {
		b.Spawn = []float64{0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600}
	}
	if len(b.Stop) == 0 {
		b.Stop = jupyterBuckets()
	}
	return b
}

func newMetrics(r prometheus.Registerer, s scheduler.Scheduler, b Buckets) metrics {
	b = b.filled()
	m := metrics{
		starts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_server_spawn_duration_seconds", Help: "Time from the request of a server to its readiness or failure.",
			Buckets: b.Spawn,
		}, []string{"status"}),
		stops: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_server_stop_seconds", Help: "Time that it took to end a server.", Buckets: b.Stop,
		}, []string{"status"}),
		users: prometheus.NewGauge(prometheus.GaugeOpts{Name: "jupyterhub_total_users", Help: "How many users there are."}),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jupyterhub_active_users", Help: "Users who were active in the period.",
		}, []string{"period"}),
		polls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_server_poll_duration_seconds", Help: "Time of a question to the scheduler how one server is.", Buckets: jupyterBuckets(),
		}, []string{"status"}),
		init: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_init_spawners_duration_seconds", Help: "Time of the first comparison of all servers with what the scheduler runs.",
			Buckets: jupyterBuckets(),
		}),
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
	m.routes = newRouteMetrics(r)
	for _, status := range []string{startSuccess, startFailure, startPending, startThrottled, startTooMany} {
		m.starts.WithLabelValues(status)
	}
	for _, status := range []string{"success", "failure"} {
		m.stops.WithLabelValues(status)
	}
	for _, status := range []string{pollRunning, pollStopped} {
		m.polls.WithLabelValues(status)
	}
	for _, p := range activePeriods {
		m.active.WithLabelValues(p.name)
	}
	if r != nil {
		r.MustRegister(m.starts, m.stops, m.running, m.users, m.active, m.polls, m.init, m.states, m.logins, m.sweeps)
	}
	return m
}

// routeMetrics tell how the routes of servers are kept.
type routeMetrics struct {
	adds    *prometheus.HistogramVec
	deletes *prometheus.HistogramVec
	checks  prometheus.Histogram
}

func newRouteMetrics(r prometheus.Registerer) routeMetrics {
	m := routeMetrics{
		adds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_proxy_add_duration_seconds", Help: "Time that it took to publish the route of a server.", Buckets: jupyterBuckets(),
		}, []string{"status"}),
		deletes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_proxy_delete_duration_seconds", Help: "Time that it took to withdraw the route of a server.", Buckets: jupyterBuckets(),
		}, []string{"status"}),
		checks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_check_routes_duration_seconds", Help: "Time of a comparison of all servers with their routes and with what runs.",
			Buckets: jupyterBuckets(),
		}),
	}
	for _, status := range []string{"success", "failure"} {
		m.adds.WithLabelValues(status)
		m.deletes.WithLabelValues(status)
	}
	if r != nil {
		r.MustRegister(m.adds, m.deletes, m.checks)
	}
	return m
}

func outcomeOf(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}

func (m routeMetrics) added(took time.Duration, err error) {
	m.adds.WithLabelValues(outcomeOf(err)).Observe(took.Seconds())
}

func (m routeMetrics) deleted(took time.Duration, err error) {
	m.deletes.WithLabelValues(outcomeOf(err)).Observe(took.Seconds())
}

// errFull is the cause of a refusal because as many servers run as may.
var errFull = errors.New("as many servers run as may")

// refused counts a start that was not begun, if it is one of those that JupyterHub counts. A nil error is one that was under way already.
func (m metrics) refused(took time.Duration, err error) {
	status := startPending
	switch {
	case err == nil:
	case KindOf(err) != TooMany:
		return
	case errors.Is(err, errFull):
		status = startTooMany
	default:
		status = startThrottled
	}
	m.starts.WithLabelValues(status).Observe(took.Seconds())
}

// polled counts a look at a server.
func (m metrics) polled(took time.Duration, st scheduler.Status, err error) {
	switch {
	case err == nil && st.State != scheduler.Dead:
		m.polls.WithLabelValues(pollRunning).Observe(took.Seconds())
	case err == nil, errors.Is(err, scheduler.ErrNotFound):
		m.polls.WithLabelValues(pollStopped).Observe(took.Seconds())
	}
}

// leave forgets what only the replica that looks after all servers knows, so that sums over replicas are right.
func (m metrics) leave() {
	m.observe(nil)
}

func (m metrics) started(took time.Duration) {
	m.starts.WithLabelValues(startSuccess).Observe(took.Seconds())
}
func (m metrics) failed(took time.Duration) {
	m.starts.WithLabelValues(startFailure).Observe(took.Seconds())
}
func (m metrics) ended(took time.Duration, err error) {
	m.stops.WithLabelValues(outcomeOf(err)).Observe(took.Seconds())
}

func (m metrics) swept(took time.Duration) {
	m.sweeps.Observe(took.Seconds())
	m.routes.checks.Observe(took.Seconds())
}

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

package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/scheduler"
)

// streamMetrics are about the news that the scheduler gives.
type streamMetrics struct {
	resyncs, disturbances prometheus.Counter
}

func newStreamMetrics(r prometheus.Registerer, s scheduler.Scheduler) streamMetrics {
	m := streamMetrics{
		resyncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nomadhub_scheduler_resyncs_total", Help: "How often the scheduler's news began, or began anew so that all servers were looked at.",
		}),
		disturbances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nomadhub_scheduler_stream_disturbances_total", Help: "How often the scheduler's stream of news was cut, found frozen, or could not be opened.",
		}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.resyncs, m.disturbances)
	if fresh, ok := s.(scheduler.Fresh); ok {
		begun := time.Now()
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "nomadhub_scheduler_stream_age_seconds", Help: "Time since the scheduler's news were last known to lack nothing.",
		}, func() float64 {
			last := fresh.LastSign()
			if last.IsZero() {
				last = begun
			}
			return time.Since(last).Seconds()
		}))
	}
	return m
}

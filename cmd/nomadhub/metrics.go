package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// loopInterval is how often the program looks whether it is held up, as in JupyterHub.
const loopInterval = 50 * time.Millisecond

// programMetrics are about the program as a whole.
type programMetrics struct {
	startup  prometheus.Histogram
	interval prometheus.Histogram
}

func newProgramMetrics(r prometheus.Registerer) programMetrics {
	m := programMetrics{
		startup: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_hub_startup_duration_seconds", Help: "Time from the start of the hub until it served.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
		}),
		interval: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_event_loop_interval_seconds", Help: "Time between two looks that should be 50 ms apart; more means that the program was held up.",
			Buckets: []float64{0.05, 0.055, 0.06, 0.065, 0.07, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
		}),
	}
	r.MustRegister(m.startup, m.interval)
	return m
}

// run measures until ctx ends. JupyterHub has an event loop, which one slow handler stops; here it takes a machine without a free processor.
func (m programMetrics) run(ctx context.Context) error {
	timer := time.NewTimer(loopInterval)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Now()
		m.interval.Observe(now.Sub(last).Seconds())
		last = now
		timer.Reset(loopInterval)
	}
}

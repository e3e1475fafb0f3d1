package config

import (
	"fmt"
	"math"
)

// Metrics says what monitoring is told, and whom.
type Metrics struct {
	// AuthenticatePrometheus has JupyterHub's name.
	AuthenticatePrometheus bool      `hcl:"authenticate_prometheus,optional" doc:"Whether /hub/metrics and /hub/api/metrics ask for a token with the scope read:metrics. If not, everybody who reaches the hub reads them."`
	SpawnBuckets           []float64 `hcl:"spawn_buckets,optional" doc:"Bounds of the buckets of jupyterhub_server_spawn_duration_seconds in seconds, the smallest first; empty: JupyterHub's, from 0.5 to 600."`
	StopBuckets            []float64 `hcl:"stop_buckets,optional" doc:"The same of jupyterhub_server_stop_seconds; empty: JupyterHub's, from 0.005 to 10."`
}

// maxBuckets bounds how many buckets a histogram has: each is a series for each status.
const maxBuckets = 100

func (m Metrics) validate() error {
	if err := checkBuckets("metrics.spawn_buckets", m.SpawnBuckets); err != nil {
		return err
	}
	return checkBuckets("metrics.stop_buckets", m.StopBuckets)
}

// checkBuckets refuses bounds that are no histogram. The last one may be infinite, as people write it for JupyterHub; it is there anyway.
func checkBuckets(option string, bounds []float64) error {
	if len(bounds) > maxBuckets {
		return fmt.Errorf("%s has %d bounds, and may have %d", option, len(bounds), maxBuckets)
	}
	before := 0.0
	for i, b := range bounds {
		last := i > 0 && i == len(bounds)-1
		if math.IsNaN(b) || b <= before || math.IsInf(b, 1) && !last {
			return fmt.Errorf("%s: each bound must be above the one before it and above 0, and %v is not", option, b)
		}
		before = b
	}
	return nil
}

package main

import (
	"math/rand/v2"
	"slices"
)

// percentile returns the value below which that share (0 to 1) of the values lies, between neighbours in proportion; 0 of none.
func percentile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := share * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func median(values []float64) float64 { return percentile(values, 0.5) }

// interval is a range of values; both ends belong to it.
type interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

func spread(values []float64) interval {
	if len(values) == 0 {
		return interval{}
	}
	return interval{slices.Min(values), slices.Max(values)}
}

const resamples = 2000

// ratioInterval is the 95 % interval of median(a)/median(b), by drawing both again from themselves (bootstrap). The draw is the same in each
// run, so that one set of measurements gives one interval.
func ratioInterval(a, b []float64) interval {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // resampling; not a secret
	draw := func(values []float64) float64 {
		sample := make([]float64, len(values))
		for i := range sample {
			sample[i] = values[random.IntN(len(values))]
		}
		return median(sample)
	}
	ratios := make([]float64, 0, resamples)
	for range resamples {
		if d := draw(b); d != 0 {
			ratios = append(ratios, draw(a)/d)
		}
	}
	return interval{percentile(ratios, 0.025), percentile(ratios, 0.975)}
}

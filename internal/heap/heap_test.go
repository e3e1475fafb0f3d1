package heap

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

// env is an environment.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// TestSettings: what the operator says wins, and a task of Nomad stays below what Nomad gives it.
func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ env
		growth  int
		limit   int64
	}{
		"nothing":              {nil, leastGrowth, 0},
		"a task":               {env{"NOMAD_MEMORY_LIMIT": "200"}, leastGrowth, 170 * mib},
		"a task with a most":   {env{"NOMAD_MEMORY_LIMIT": "200", "NOMAD_MEMORY_MAX_LIMIT": "1000"}, leastGrowth, 850 * mib},
		"a large task":         {env{"NOMAD_MEMORY_LIMIT": "1000000"}, leastGrowth, 850_000 * mib},
		"no most":              {env{"NOMAD_MEMORY_LIMIT": "200", "NOMAD_MEMORY_MAX_LIMIT": "0"}, leastGrowth, 170 * mib},
		"no number":            {env{"NOMAD_MEMORY_LIMIT": "much"}, leastGrowth, 0},
		"the operator's limit": {env{"NOMAD_MEMORY_LIMIT": "200", "GOMEMLIMIT": "off"}, leastGrowth, 0},
		"the operator's":       {env{"NOMAD_MEMORY_LIMIT": "200", "GOGC": "200"}, 0, 170 * mib},
		"both the operator's":  {env{"NOMAD_MEMORY_LIMIT": "200", "GOGC": "off", "GOMEMLIMIT": "1GiB"}, 0, 0},
	} {
		if growth, limit := settings(c.environ.get); growth != c.growth || limit != c.limit {
			t.Errorf("%s: growth %d %%, limit %d; want %d %%, %d", name, growth, limit, c.growth, c.limit)
		}
	}
}

// TestKeep: the heap's growth follows the heap, unless the operator has said what it is. No other test of this package may set it.
func TestKeep(t *testing.T) {
	const before = 99
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	for _, c := range []struct {
		name    string
		environ env
		want    int
	}{
		{"the operator's", env{"GOGC": "99"}, before},
		{"ours, with next to nothing in use", env{"GOGC": ""}, mostGrowth},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), every+every/2)
			defer cancel()
			if err := Keep(ctx, c.environ.get); err != nil || ctx.Err() == nil {
				t.Errorf("%s: it ended before its time, or with %v", c.name, err)
			}
		})
		if got := debug.SetGCPercent(before); got != c.want {
			t.Errorf("%s: %d %%, want %d %%", c.name, got, c.want)
		}
	}
}

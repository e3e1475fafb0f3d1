package heap

import "testing"

// TestSettings: what the operator says wins, and a task of Nomad stays below what Nomad gives it.
func TestSettings(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		environ []string
		growth  int
		limit   int64
	}{
		"nothing":              {nil, heapGrowth, 0},
		"a task":               {[]string{"NOMAD_MEMORY_LIMIT=200"}, heapGrowth, 170 * mib},
		"a task with a most":   {[]string{"NOMAD_MEMORY_LIMIT=200", "NOMAD_MEMORY_MAX_LIMIT=1000"}, heapGrowth, 850 * mib},
		"a large task":         {[]string{"NOMAD_MEMORY_LIMIT=1000000"}, heapGrowth, 850_000 * mib},
		"no most":              {[]string{"NOMAD_MEMORY_LIMIT=200", "NOMAD_MEMORY_MAX_LIMIT=0"}, heapGrowth, 170 * mib},
		"no number":            {[]string{"NOMAD_MEMORY_LIMIT=much"}, heapGrowth, 0},
		"the operator's limit": {[]string{"NOMAD_MEMORY_LIMIT=200", "GOMEMLIMIT=off"}, heapGrowth, 0},
		"the operator's":       {[]string{"NOMAD_MEMORY_LIMIT=200", "GOGC=200"}, 0, 170 * mib},
		"both the operator's":  {[]string{"NOMAD_MEMORY_LIMIT=200", "GOGC=off", "GOMEMLIMIT=1GiB"}, 0, 0},
	} {
		if growth, limit := settings(c.environ); growth != c.growth || limit != c.limit {
			t.Errorf("%s: growth %d %%, limit %d; want %d %%, %d", name, growth, limit, c.growth, c.limit)
		}
	}
}

// TestGrowthOf: a small heap may grow by some megabytes, a large one by its share.
func TestGrowthOf(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for live, want := range map[uint64]int{0: 400, 1 * mib: 400, 4 * mib: 300, 8 * mib: 150, 16 * mib: heapGrowth, 1000 * mib: heapGrowth} {
		if got := growthOf(live); got != want {
			t.Errorf("with %d bytes in use: %d %%, want %d %%", live, got, want)
		}
	}
}

package main

import (
	"runtime/debug"
	"strconv"
)

const (
	// heapGrowth is by how many percent the heap grows until it is collected. Go's own default is 100. The hub is mostly at rest, with much that lives long: so it
	// takes up to a tenth less memory, and a burst of starts and stops up to 3 % more processor time.
	heapGrowth = 75
	// heapLeast is what the heap may grow by however small it is, in bytes. Thousands of waiting requests have many stacks and little else, and looking
	// through all of them for a few megabytes took a tenth of a burst's processor time.
	heapLeast = 12 << 20
	// heapShare is the share, in percent, of the memory that Nomad gives the task up to which the hub's own may grow without being collected harder. The
	// rest is for the program's text, and for what the kernel holds for it.
	heapShare = 85
)

// tuneMemory sets how memory is collected. What the operator says in GOGC and GOMEMLIMIT wins.
func tuneMemory(environ []string) {
	growth, limit := memorySettings(environ)
	if growth != 0 {
		debug.SetGCPercent(growth)
	}
	if limit != 0 {
		debug.SetMemoryLimit(limit)
	}
}

// growthOf is the growth in percent for a heap of which so many bytes are in use.
func growthOf(live uint64) int {
	const most = 400                                                   // of what lives, so that a tiny heap does not set what a larger one does until the next look
	return max(heapGrowth, min(heapLeast*100/int(max(live, 1)), most)) //nolint:gosec // no heap comes near the limit of int
}

// memorySettings are the heap's growth in percent and a soft limit in bytes; 0: what Go itself does stays. A task of Nomad that takes more than its memory is killed,
// in the middle of whatever burst made it grow.
func memorySettings(environ []string) (growth int, limit int64) {
	if lookup(environ, "GOGC") == "" {
		growth = heapGrowth
	}
	if lookup(environ, "GOMEMLIMIT") != "" {
		return growth, 0
	}
	for _, name := range []string{"NOMAD_MEMORY_MAX_LIMIT", "NOMAD_MEMORY_LIMIT"} {
		if mib, err := strconv.ParseInt(lookup(environ, name), 10, 32); err == nil && mib > 0 {
			return growth, mib << 20 * heapShare / 100
		}
	}
	return growth, 0
}

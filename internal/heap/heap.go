// Package heap decides how the hub's memory grows, and when it goes back to the system. What the operator says in GOGC and GOMEMLIMIT wins.
package heap

import (
	"context"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
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

// Tune sets how memory is collected from the start on, for a process with this environment: by how much the heap grows, and as a task of Nomad a soft limit below the
// memory that Nomad gives it.
func Tune(environ []string) {
	growth, limit := settings(environ)
	if growth != 0 {
		debug.SetGCPercent(growth)
	}
	if limit != 0 {
		debug.SetMemoryLimit(limit)
	}
}

// Keep gives the memory of a burst, or of the start, back to the system when it is over. By itself Go's runtime keeps it until the next collection,
// which at a hub at rest may be minutes away. It also sets how far the heap may grow, by its size, unless the environment has GOGC. It returns nil when ctx ends.
func Keep(ctx context.Context, environ []string) error {
	fixed := lookup(environ, "GOGC") != ""
	ticker := time.NewTicker(restLook)
	defer ticker.Stop()
	var r rest
	growth := heapGrowth
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		h := look()
		if next := growthOf(h.live); !fixed && next != growth { // to set it halts everything for a moment
			debug.SetGCPercent(next)
			growth = next
		}
		if r.due(h) {
			debug.FreeOSMemory()
			r.given = h.made
		}
	}
}

// growthOf is the growth in percent for a heap of which so many bytes are in use.
func growthOf(live uint64) int {
	const most = 400                                                   // of what lives, so that a tiny heap does not set what a larger one does until the next look
	return max(heapGrowth, min(heapLeast*100/int(max(live, 1)), most)) //nolint:gosec // no heap comes near the limit of int
}

// settings are the heap's growth in percent and a soft limit in bytes; 0: what Go itself does stays. A task of Nomad that takes more than its memory is killed,
// in the middle of whatever burst made it grow.
func settings(environ []string) (growth int, limit int64) {
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

func lookup(environ []string, name string) string {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

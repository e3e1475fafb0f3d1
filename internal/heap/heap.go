// Package heap decides how the hub's memory grows, and when it goes back to the system. What the operator says in GOGC and GOMEMLIMIT wins.
package heap

import (
	"context"
	"runtime/debug"
	"strconv"
	"time"
)

const (
	// every is how often [Keep] looks at the heap, and how long the hub must have made little for it to be at rest.
	every = time.Second
	// settling is for how many looks what is made does not count. A start makes much in a second or two, with 10,000 servers more than it then keeps, and shall not take more
	// memory than the hub needs afterwards.
	settling = 10
	// share is the share, in percent, of the memory that Nomad gives the task up to which the hub's own may grow without being collected harder. The
	// rest is for the program's text, and for what the kernel holds for it.
	share = 85
)

// Tune sets how memory is collected from the start on, for a process whose environment getenv tells: by how much the heap grows, and as a task of Nomad a soft limit below the
// memory that Nomad gives it.
func Tune(getenv func(name string) string) {
	growth, limit := settings(getenv)
	if growth != 0 {
		debug.SetGCPercent(growth)
	}
	if limit != 0 {
		debug.SetMemoryLimit(limit)
	}
}

// Keep gives the memory of a burst, or of the start, back to the system when it is over. By itself Go's runtime keeps it until the next collection,
// which at a hub at rest may be minutes away. It also sets how far the heap may grow, by its size and by how much is made, where [Tune] set that.
// It returns nil when ctx ends.
func Keep(ctx context.Context, getenv func(name string) string) error {
	fixed := getenv("GOGC") != ""
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	r, set := rest{seen: look().made}, leastGrowth
	for looks := 1; ; looks++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		h := look()
		made := h.made - r.seen
		if looks <= settling {
			made = 0
		}
		if next := growth(h.live, made); !fixed && worth(set, next) {
			debug.SetGCPercent(next)
			set = next
		}
		if r.due(h) {
			debug.FreeOSMemory()
			r.given = h.made
		}
	}
}

// settings are the heap's growth in percent and a soft limit in bytes; 0: what Go itself does stays. A task of Nomad that takes more than its memory is killed,
// in the middle of whatever burst made it grow.
func settings(getenv func(name string) string) (growth int, limit int64) {
	if getenv("GOGC") == "" {
		growth = leastGrowth
	}
	if getenv("GOMEMLIMIT") != "" {
		return growth, 0
	}
	for _, name := range []string{"NOMAD_MEMORY_MAX_LIMIT", "NOMAD_MEMORY_LIMIT"} {
		if mib, err := strconv.ParseInt(getenv(name), 10, 32); err == nil && mib > 0 {
			return growth, mib << 20 * share / 100
		}
	}
	return growth, 0
}

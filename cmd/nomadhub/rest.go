package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restLook is how long no collection of the heap must have come for the hub to be at rest.
	restLook = time.Second
	// restAfter is how many collections must have come since memory was last given back, so that giving back is the smaller part of the work.
	restAfter = 4
)

// rest tells when a hub has come to rest after it was busy.
type rest struct {
	seen, given uint64 // collections: at the last look, and when memory was last given back
}

// due takes the number of collections so far.
func (r *rest) due(collections uint64) bool {
	quiet := collections == r.seen
	r.seen = collections
	return quiet && collections-r.given >= restAfter
}

// giveBack gives the memory of a burst, or of the start, back to the system when it is over. By itself Go's runtime keeps it until the next collection,
// which at a hub at rest may be minutes away. It also sets how far the heap may grow, by its size. It returns when ctx ends.
func giveBack(ctx context.Context) error {
	_, fixed := os.LookupEnv("GOGC")
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
		cycles, live := heap()
		if next := growthOf(live); !fixed && next != growth { // to set it halts everything for a moment
			debug.SetGCPercent(next)
			growth = next
		}
		if r.due(cycles) {
			debug.FreeOSMemory()
			r.given, _ = heap()
		}
	}
}

// heap is how often it was collected so far, and how many bytes were in use after the last time.
func heap() (collections, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

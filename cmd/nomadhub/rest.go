package main

import (
	"context"
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
// which at a hub at rest may be minutes away. It returns when ctx ends.
func giveBack(ctx context.Context) error {
	ticker := time.NewTicker(restLook)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if r.due(collections()) {
			debug.FreeOSMemory()
			r.given = collections()
		}
	}
}

// collections is how often the heap was collected so far.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

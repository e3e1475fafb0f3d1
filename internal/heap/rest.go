package heap

import "runtime/metrics"

const (
	// restMade is how little a hub at rest makes between two looks, in bytes. One that nobody asks anything makes a tenth of it.
	restMade = 1 << 20
	// wasteMost is how much memory that nobody uses a hub at rest may hold, in bytes, and how much it must have made since memory was last given back, so that giving back
	// is the smaller part of the work.
	wasteMost = 4 << 20
)

// state is what Go's runtime says of the heap, in bytes.
type state struct {
	live  uint64 // in use after the last collection
	waste uint64 // held beyond that
	made  uint64 // in all, since the process began
}

// rest tells when a hub has come to rest after it was busy.
type rest struct {
	seen, given uint64 // what had been made at the last look, and when memory was last given back
}

// due tells whether memory is to be given back now.
func (r *rest) due(h state) bool {
	quiet := h.made-r.seen < restMade
	r.seen = h.made
	return quiet && h.waste >= wasteMost && h.made-r.given >= wasteMost
}

// look asks the runtime.
func look() state {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	of := func(i int) uint64 { return samples[i].Value.Uint64() }
	live, held := of(0), of(2)+of(3)+of(4)
	return state{live: live, made: of(1), waste: held - min(live, held)}
}

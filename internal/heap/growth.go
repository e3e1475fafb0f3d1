package heap

const (
	// leastGrowth is by how many percent the heap grows until it is collected. Go's own default is 100. The hub is mostly at rest, with much that lives long: so it
	// takes up to a tenth less memory, and a burst of starts and stops up to 3 % more processor time.
	leastGrowth = 75
	// mostGrowth bounds the growth in percent, so that a tiny heap does not set what a larger one does until the next look. A heap of 8 MiB still has room for 80.
	mostGrowth = 1000
	// leastRoom is what the heap may grow by however small it is, in bytes. Thousands of waiting requests have many stacks and little else, and looking
	// through all of them for a few megabytes took a tenth of a burst's processor time.
	leastRoom = 12 << 20
	// mostRoom bounds what the heap may grow by for the sake of load, in bytes: a busy hub takes about so much more memory than one at rest. A large heap grows by its
	// share even if that is more.
	mostRoom = 128 << 20
)

// growth is the growth in percent for a heap of which live bytes are in use, when made bytes were made since the last look. A hub that makes much garbage has room
// for what it makes in two seconds, and so is collected every two seconds, where the bounds let it, rather than many times in each: with a third of the collections, pages and
// reports of activity took a tenth to a quarter less of the processor's time. When the load is over, so is the room at the next look, and what was taken is given back (see [rest]).
//
// A task of Nomad does not get killed for it: Go collects at what comes first, this growth or the soft limit that [Tune] sets, and so harder where memory is short.
func growth(live, made uint64) int {
	room := min(max(2*made, leastRoom), mostRoom)
	return int(min(max(room*100/max(live, 1), leastGrowth), mostGrowth)) //nolint:gosec // at most mostGrowth
}

// worth tells whether the growth is to be changed from what is set. Each change has Go work out anew when to collect, under the lock of the whole heap, and load is never
// the same twice: so a difference of less than a quarter is left as it is, unless nothing asks for more than the least any more.
func worth(set, next int) bool {
	if next == leastGrowth {
		return set != next
	}
	return 4*max(next-set, set-next) >= set
}

package nomad

import (
	"sync/atomic"
	"time"
)

// signs remember when the event stream was last known to lack nothing. The zero value: never.
type signs struct{ last atomic.Int64 } // nanoseconds since 1970

// note moves the time forward, never back.
func (s *signs) note(at time.Time) {
	for now := at.UnixNano(); ; {
		last := s.last.Load()
		if last >= now || s.last.CompareAndSwap(last, now) {
			return
		}
	}
}

// LastSign implements [scheduler.Fresh]: up to then, all that happened was told by a Watch. It moves with every event, and every
// second or so with each answer of Nomad that shows that the stream lacks nothing; heartbeats, which a server that lost its leader
// sends as well, do not move it.
func (s *Scheduler) LastSign() time.Time {
	last := s.signs.last.Load()
	if last == 0 {
		return time.Time{}
	}
	return time.Unix(0, last)
}

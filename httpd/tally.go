package httpd

import (
	"math"
	"time"
)

// pace says how often one may be wrong.
type pace struct {
	free     int           // wrong attempts before anybody has to wait; 0: nobody ever has to
	parallel int           // attempts under way at once, meanwhile
	first    time.Duration // the first wait; each further wrong attempt doubles it
	longest  time.Duration // the longest wait
	forgive  time.Duration // how long until one wrong attempt is forgotten
}

// tally counts the wrong attempts of somebody, or on somebody.
type tally struct {
	wrong  int       // not forgotten yet
	last   time.Time // when the last one was
	since  time.Time // from when on the next one is being forgotten
	asking int       // attempts under way, of which it is not known yet whether they are wrong
}

// maxDoublings bounds what is counted beyond the free attempts; the longest wait comes before.
const maxDoublings = 30

// fade forgets what time has forgiven.
func (t *tally) fade(p pace, now time.Time) {
	gone := now.Sub(t.since)
	if n := int64(gone / p.forgive); n > 0 {
		t.drop(int(min(n, math.MaxInt32)))
		t.since = now.Add(-(gone % p.forgive))
	}
}

// wait tells how long it takes until there may be another attempt; 0: none.
func (t *tally) wait(p pace, now time.Time) time.Duration {
	if p.free <= 0 {
		return 0
	}
	t.fade(p, now)
	if t.wrong < p.free {
		if t.asking >= p.parallel {
			return p.first
		}
		return 0
	}
	delay := min(p.first<<min(t.wrong-p.free, maxDoublings), p.longest)
	left := min(t.last.Add(delay).Sub(now), delay) // a clock that was set back makes it no longer
	if left <= 0 && t.asking > 0 {
		return p.first // one at a time
	}
	return max(left, 0)
}

// add counts a wrong attempt.
func (t *tally) add(p pace, now time.Time) {
	if p.free <= 0 {
		return
	}
	t.fade(p, now)
	if t.wrong == 0 {
		t.since = now
	}
	t.wrong, t.last = min(t.wrong+1, p.free+maxDoublings), now
}

// drop takes wrong attempts back.
func (t *tally) drop(n int) { t.wrong = max(0, t.wrong-n) }

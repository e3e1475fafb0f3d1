package hub

import (
	"strconv"
	"testing"
)

// TestJournalsAreBounded: every replica hears of every server, also of those that it never works on.
func TestJournalsAreBounded(t *testing.T) {
	t.Parallel()
	var j journals
	j.init()
	waiting := j.changed("first")
	for i := range 5 * maxJournals {
		j.say(Server{ID: strconv.Itoa(i), Generation: 1}, 0, "Starting.")
		j.say(Server{ID: "watched", Generation: 1}, 0, "Event "+strconv.Itoa(min(i, 3))+".")
	}
	if n := len(j.of) + len(j.older); n > 2*maxJournals {
		t.Errorf("%d journals are kept", n)
	}
	select {
	case <-waiting:
	default:
		t.Error("who waits for a journal that was dropped was not woken")
	}
	if told := j.since("watched", 1, 0); len(told) != 4 {
		t.Errorf("of a start that goes on, %d events are left", len(told))
	}
	j.forget("watched")
	if told := j.since("watched", 1, 0); len(told) != 0 {
		t.Errorf("after forget there are %d events", len(told))
	}
}

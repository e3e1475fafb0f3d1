package hub

import (
	"slices"
	"testing"
)

// TestABusyWaiterCostsTheOthersNothing: whoever does not read has the others woken once for each change, not again and again until it reads.
func TestABusyWaiterCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	var w rowWatch
	w.init(&Hub{})
	busy, other := w.join("a"), w.join("a")
	expect := func(what string, now map[string]int64, want ...string) {
		t.Helper()
		if got := w.changed([]string{"a"}, now); !slices.Equal(got, want) {
			t.Errorf("%s: woken were those of %q, want %q", what, got, want)
		}
	}
	at := func(revision int64) map[string]int64 { return map[string]int64{"a": revision} }
	expect("nobody has read", at(1), "a")
	other.saw(Server{Revision: 1})
	expect("one is busy", at(1))
	expect("the row changed", at(2), "a")
	other.saw(Server{Revision: 2})
	expect("one is busy still", at(2))
	busy.saw(Server{Revision: 3}) // the next change, before the watch
	other.saw(Server{Revision: 3})
	expect("all know it", at(3))
	expect("the row is gone", nil, "a")
	expect("it is gone still", nil)
	busy.leave()
	other.leave()
	expect("all have left", at(4))
	late := w.join("a")
	expect("somebody new knows nothing", at(4), "a")
	late.leave()
}

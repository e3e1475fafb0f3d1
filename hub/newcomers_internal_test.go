package hub

import (
	"context"
	"testing"
)

// A turn is one newcomer's: others get it when that one is done, and who never had it gives nothing away.
func TestNewcomersTakeTurns(t *testing.T) {
	t.Parallel()
	queue := make(newcomers, 1)
	first, second, returning := newcomer{newcomers: queue}, newcomer{newcomers: queue}, newcomer{newcomers: queue}
	for attempt := range 2 { // a transaction may run again
		if !first.try() {
			t.Fatalf("at attempt %d the first has no turn", attempt)
		}
	}
	if second.try() {
		t.Fatal("two have the turn")
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := second.wait(gone); err == nil {
		t.Error("who has gone away has a turn")
	}
	second.end()
	returning.end()
	if second.try() {
		t.Error("somebody who had no turn gave it away")
	}
	first.end()
	if err := second.wait(t.Context()); err != nil {
		t.Error(err)
	}
	second.end()
	if !returning.try() {
		t.Error("the turn was not given on")
	}
}

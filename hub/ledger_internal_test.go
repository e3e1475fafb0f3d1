package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestEndsThatNobodyWritesAreForgotten: a replica that is not elected hears of all ends and writes few of them. It must know those of its own servers however
// long it runs.
func TestEndsThatNobodyWritesAreForgotten(t *testing.T) {
	t.Parallel()
	var l ledger
	now := time.Now()
	heard := func(id string, at time.Time) {
		l.heard(scheduler.Status{ID: id, Generation: 1, Instance: "i", State: scheduler.Dead, Ended: at}, at)
	}
	for i := range maxKnownEnds + 100 {
		heard(fmt.Sprint(i), now)
	}
	if len(l.ends) != maxKnownEnds {
		t.Fatalf("%d ends are kept", len(l.ends))
	}
	later := now.Add(endAge + time.Second)
	heard("own", later)
	if at, ok := l.takeEnd(RunKey{"own", 1, "i"}); !ok || !at.Equal(later) {
		t.Errorf("the end of the own server is %v, %v", at, ok)
	}
	if len(l.ends) != 0 {
		t.Errorf("%d old ends are kept", len(l.ends))
	}
}

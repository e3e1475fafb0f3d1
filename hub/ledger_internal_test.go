package hub

import (
	"context"
	"errors"
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
	if at, ok := l.takeEnd(RunKey{"own", 1, "i"}); !ok || !at.at.Equal(later) {
		t.Errorf("the end of the own server is %v, %v", at, ok)
	}
	if len(l.ends) != 0 {
		t.Errorf("%d old ends are kept", len(l.ends))
	}
}

// endStore is a database of which only the ends of runs are asked, and that may be away.
type endStore struct {
	Store
	away    error
	written map[RunKey]time.Time
}

func (s *endStore) CloseRun(_ context.Context, run RunKey, ended time.Time, exact bool, _ string) error {
	if s.away == nil && exact {
		s.written[run] = ended
	}
	return s.away
}

func (s *endStore) CloseRunsOf(context.Context, string, int64, string, time.Time, string) error {
	return s.away
}

// TestEndsOutliveADatabaseThatIsAway: what the scheduler told is written exactly when the database is back, whoever failed to write it.
func TestEndsOutliveADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	s := &endStore{away: errors.New("away"), written: map[RunKey]time.Time{}}
	h := &Hub{store: s, now: time.Now}
	at := time.Now().Add(-time.Hour)
	for _, id := range []string{"a", "b", "c", "d"} {
		h.ledger.heard(scheduler.Status{ID: id, Generation: 1, Instance: "i", State: scheduler.Dead, Ended: at}, at)
	}
	c, d := Server{ID: "c", Generation: 1, Instance: "i"}, Server{ID: "d", Generation: 1, Instance: "i"}
	write := func(failing bool) {
		t.Helper()
		for what, err := range map[string]error{
			"a worker that stopped it":     h.closeRuns(t.Context(), c, time.Now()),
			"a worker that sees it dead":   h.endRun(t.Context(), d, scheduler.Status{ID: "d", Generation: 1, Instance: "i", State: scheduler.Dead}),
			"the comparison of the ledger": h.writeEnds(t.Context(), at.Add(time.Second)),
		} {
			if failing != (err != nil) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	write(true)
	s.away = nil
	write(false)
	for _, id := range []string{"a", "b", "c", "d"} {
		if got := s.written[RunKey{id, 1, "i"}]; !got.Equal(at) {
			t.Errorf("the end of %s was written as %v, not %v", id, got, at)
		}
	}
	if len(h.ledger.ends) > 0 {
		t.Errorf("%v are still kept", h.ledger.ends)
	}
}

package checker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// randomHistory is a few calls whose times cross and whose answers mostly make sense one by one.
func randomHistory(r *rand.Rand, calls int) (list []*record) {
	times := r.Perm(2 * calls)
	phases := []Phase{Absent, Stopped, Starting, Ready, Stopping}
	for i := range calls {
		begin, end := int64(times[2*i]+1), int64(times[2*i+1]+1)
		c := &record{begin: min(begin, end), end: max(begin, end)}
		switch r.IntN(6) {
		case 0, 1:
			c.kind, c.answer = Start, []Answer{ok(Seen{}), came(Up, ""), came(Gone, ""), came(Broken, ""), no(phases[1+r.IntN(4)])}[r.IntN(5)]
		case 2, 3:
			c.kind, c.answer = Stop, []Answer{ok(Seen{}), came(Gone, ""), no(phases[1+r.IntN(4)])}[r.IntN(3)]
		case 4:
			c.kind, c.answer = Restart, []Answer{ok(Seen{}), came(Up, "")}[r.IntN(2)]
		default:
			c.kind, c.answer = Read, ok(Seen{Phase: phases[r.IntN(len(phases))]})
		}
		if r.IntN(10) == 0 && c.kind.changes() {
			c.end, c.answer = 0, Answer{Verdict: Unknown}
		}
		list = append(list, c)
	}
	return list
}

// TestSearchAgreesWithPorcupine: on histories that both can decide, both say the same.
func TestSearchAgreesWithPorcupine(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same histories in each run
	counts := map[porcupine.CheckResult]int{}
	for n := range 1500 {
		m := Model{Steady: n%2 == 0, Moves: n%3 == 0}
		list := randomHistory(r, 2+r.IntN(5))
		calls := operations(list, false)
		want := porcupine.CheckOperationsTimeout(m.porcupine(), calls, time.Minute)
		got, order := m.search(calls, time.Now().Add(time.Minute))
		counts[want]++
		if got != want {
			for _, c := range list {
				t.Logf("%d … %d %s %s", c.begin, c.end, c.kind, c.answer)
			}
			t.Fatalf("history %d: found %q, porcupine says %q", n, got, want)
		}
		if got != porcupine.Ok {
			continue
		}
		states := []state{{phase: Absent}}
		for _, op := range order {
			var next []state
			for _, s := range states {
				next = append(next, m.step(s, op)...)
			}
			states = unique(next)
		}
		if len(states) == 0 || !slices.IsSortedFunc(order, func(a, b operation) int { // nothing comes before what was answered before it began
			if b.line.end != 0 && b.line != a.line && b.line.end < a.line.begin {
				return 1
			}
			return 0
		}) {
			t.Fatalf("history %d: the order that was found explains nothing", n)
		}
	}
	if counts[porcupine.Ok] < 200 || counts[porcupine.Illegal] < 200 {
		t.Errorf("the histories are too alike: %v", counts)
	}
}

package checker

import (
	"strings"
	"testing"
	"time"
)

func TestWhatPollsFind(t *testing.T) {
	t.Parallel()
	bob := Server{User: "bob"}
	for name, c := range map[string]struct {
		see  func(h *History)
		says string
	}{
		"all is well": {func(h *History) {
			h.SawAllocations(map[string][]string{"s1": {"a"}, "s2": {"b"}})
			h.SawRoutes(map[string]int64{"s1": 1})
			h.SawRoutes(map[string]int64{"s1": 1})
			h.Look("poll").SawVisit(lab, Run{"s1", 1, "a"})
			h.Look("poll").SawServer(lab, row(Ready, 1))
		}, ""},
		"two allocations": {func(h *History) {
			for range 3 {
				h.SawAllocations(map[string][]string{"s1": {"b", "a"}})
			}
		}, "server s1 has 2 allocations at once: a, b"},
		"a route goes back": {func(h *History) {
			h.SawRoutes(map[string]int64{"s1": 2})
			h.SawRoutes(map[string]int64{"s1": 1})
		}, "the route of server s1 goes back from generation 2 to 1"},
		"another's server answers": {func(h *History) {
			h.Look("poll").SawVisit(bob, Run{"s1", 1, "a"})
		}, "a request for the server of bob/ was answered by that of alice/lab"},
		"a run that nobody started answers": {func(h *History) {
			h.Look("poll").SawVisit(lab, Run{"s1", 2, "a"})
		}, "visit    accepted, generation 2 id s1 allocation a"},
		"two allocations of a run answer": {func(h *History) {
			h.Look("poll").SawVisit(lab, Run{"s1", 1, "a"})
			h.Look("poll").SawVisit(lab, Run{"s1", 1, "b"})
		}, "visit    accepted, generation 1 id s1 allocation b"},
		"a list shows what was never asked for": {func(h *History) {
			h.Look("poll").SawServer(bob, Seen{Phase: Starting, ID: "s2", Generation: 1})
		}, "read     accepted, starting generation 1 id s2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{})
			asked{{Start, ok(row(Starting, 1))}}.record(h, "script")
			c.see(h)
			err := h.Check(time.Minute)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("judged: %v", err)
			}
			if err != nil && strings.Count(err.Error(), "allocations at once") > 1 {
				t.Errorf("the same is told more than once: %v", err)
			}
		})
	}
}

// TestALookIsAsOldAsItsQuestion: what a list says may have been true at any time since it was asked for.
func TestALookIsAsOldAsItsQuestion(t *testing.T) {
	t.Parallel()
	h := New(Options{Model: Model{Steady: true}})
	asked{{Start, ok(row(Starting, 1))}, {Read, ok(row(Ready, 1))}}.record(h, "script")
	before := h.Look("poll")
	asked{{Stop, came(Gone, "204")}}.record(h, "script")
	before.SawServer(lab, row(Ready, 1))
	if err := h.Check(time.Minute); err != nil {
		t.Error(err)
	}
	h.Look("poll").SawServer(lab, row(Ready, 1))
	if err := h.Check(time.Minute); err == nil {
		t.Error("an answer that was out of date when it was asked for is not found")
	}
}

package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var queueNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is a start that has waited since the second.
func at(second int, id string, groups ...string) waiting {
	return waiting{id: id, groups: groups, queued: queueNoon.Add(time.Duration(second) * time.Second)}
}

func inLane(w waiting, pool string) waiting {
	w.pool = pool
	return w
}

// told writes down what was decided: those let through, then the others in order with what holds them.
func told(turns []turn) string {
	var through, rest []string
	for _, t := range turns {
		if t.admit {
			through = append(through, t.id)
			continue
		}
		rest = append(rest, fmt.Sprintf("%d:%s(%s)", t.position, t.id, t.hold.barrier))
	}
	slices.Sort(through)
	return strings.TrimSpace(strings.Join(through, " ") + " | " + strings.Join(rest, " "))
}

func TestPlanQueue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		state  queueState
		limits Limits
		want   string
	}{
		{name: "nobody waits", limits: Limits{ConcurrentStarts: 1}, want: "|"},
		{
			name: "room for all", limits: Limits{ConcurrentStarts: 9}, want: "a b |",
			state: queueState{waiting: []waiting{at(0, "a"), at(1, "b")}},
		},
		{
			name: "by time within one group", limits: Limits{ConcurrentStarts: 2}, want: "a b | 1:c(starts) 2:d(starts)",
			state: queueState{waiting: []waiting{at(0, "a", "x"), at(1, "b", "x"), at(2, "c", "x"), at(3, "d", "x")}},
		},
		{
			name: "starts under way count", limits: Limits{ConcurrentStarts: 2}, want: "a | 1:b(starts)",
			state: queueState{total: Load{Starting: 1}, waiting: []waiting{at(0, "a"), at(1, "b")}},
		},
		{
			name: "servers that run count", limits: Limits{ConcurrentStarts: 9, ActiveServers: 5}, want: "a | 1:b(servers)",
			state: queueState{total: Load{Active: 4}, waiting: []waiting{at(0, "a"), at(1, "b")}},
		},
		{
			name: "groups take turns though one asked first", limits: Limits{ConcurrentStarts: 4}, want: "a1 a2 b1 b2 | 1:a3(starts) 2:a4(starts)",
			state: queueState{waiting: []waiting{at(0, "a1", "a"), at(0, "a2", "a"), at(0, "a3", "a"), at(0, "a4", "a"), at(1, "b1", "b"), at(1, "b2", "b")}},
		},
		{
			name: "who has less goes first", limits: Limits{ConcurrentStarts: 1}, want: "b1 | 1:a1(starts)",
			state: queueState{groups: map[string]Load{"a": {Active: 5}, "b": {Active: 1}}, waiting: []waiting{at(0, "a1", "a"), at(10, "b1", "b")}},
		},
		{
			name: "having less is worth only so much time", limits: Limits{ConcurrentStarts: 1}, want: "a1 | 1:b1(starts)",
			state: queueState{groups: map[string]Load{"a": {Active: 5}, "b": {Active: 1}}, waiting: []waiting{at(0, "a1", "a"), at(61, "b1", "b")}},
		},
		{
			name: "the group with least is the share", limits: Limits{ConcurrentStarts: 1}, want: "ab | 1:a1(starts)",
			state: queueState{groups: map[string]Load{"a": {Active: 5}}, waiting: []waiting{at(0, "a1", "a"), at(2, "ab", "a", "b")}},
		},
		{
			name: "who is in no group shares with the others in none", limits: Limits{ConcurrentStarts: 1}, want: "a1 | 1:n(starts)",
			state: queueState{groups: map[string]Load{"": {Active: 3}}, waiting: []waiting{at(0, "n"), at(2, "a1", "a")}},
		},
		{
			name: "a full group does not hold up others", want: "b1 | 1:a1(group-servers) 2:a2(group-servers)",
			limits: Limits{ConcurrentStarts: 9, Groups: map[string]GroupLimits{"a": {ActiveServers: 2}}},
			state:  queueState{groups: map[string]Load{"a": {Active: 2}}, waiting: []waiting{at(0, "a1", "a"), at(1, "a2", "a"), at(200, "b1", "b")}},
		},
		{
			name: "a group's starts at once", want: "a1 | 1:a2(group-starts)",
			limits: Limits{ConcurrentStarts: 9, Groups: map[string]GroupLimits{"a": {ConcurrentStarts: 1}}},
			state:  queueState{waiting: []waiting{at(0, "a1", "a"), at(1, "a2", "a")}},
		},
		{
			name: "caps of all groups hold", want: "| 1:ab(group-servers)",
			limits: Limits{ConcurrentStarts: 9, Groups: map[string]GroupLimits{"a": {ActiveServers: 9}, "b": {ActiveServers: 1}}},
			state:  queueState{groups: map[string]Load{"b": {Active: 1}}, waiting: []waiting{at(0, "ab", "a", "b")}},
		},
		{
			name: "a full pool holds up its own only", limits: Limits{ConcurrentStarts: 9}, want: "c | 1:g1(pool) 2:g2(pool)",
			state: queueState{
				lanes:   map[string]lane{"gpu": {blocked: 1, unplaced: 4}},
				waiting: []waiting{inLane(at(0, "g1"), "gpu"), inLane(at(1, "g2"), "gpu"), at(2, "c")},
			},
		},
		{
			name: "few in a pool's own queue", limits: Limits{ConcurrentStarts: 9}, want: "g1 g2 | 1:g3(pool)",
			state: queueState{
				lanes:   map[string]lane{"gpu": {blocked: 1, unplaced: 2}},
				waiting: []waiting{inLane(at(0, "g1"), "gpu"), inLane(at(1, "g2"), "gpu"), inLane(at(2, "g3"), "gpu")},
			},
		},
		{
			name: "many on their way into a pool that has room", limits: Limits{ConcurrentStarts: 99}, want: "g1 |",
			state: queueState{lanes: map[string]lane{"gpu": {unplaced: 50}}, waiting: []waiting{inLane(at(0, "g1"), "gpu")}},
		},
		{
			name: "what fits goes past", limits: Limits{ConcurrentStarts: 9}, want: "small | 1:large(pool)",
			state: queueState{
				lanes:   map[string]lane{"": {blocked: 4, unplaced: 4}},
				waiting: []waiting{at(0, "large"), {id: "small", queued: queueNoon.Add(time.Second), fits: true}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.state.groups == nil {
				tt.state.groups = map[string]Load{}
			}
			if got := told(planQueue(tt.state, tt.limits)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestPlanQueueKeepsLimits plays many rounds on queues made by chance: no limit is passed, nobody is forgotten, and positions count from 1.
func TestPlanQueueKeepsLimits(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's dice
	names := []string{"a", "b", "c"}
	for range 500 {
		limits := Limits{ConcurrentStarts: 1 + r.IntN(8), ActiveServers: r.IntN(20), Groups: map[string]GroupLimits{
			"a": {ActiveServers: r.IntN(6)}, "b": {ConcurrentStarts: r.IntN(4)},
		}}
		state := queueState{groups: map[string]Load{}, lanes: map[string]lane{"gpu": {blocked: r.IntN(2), unplaced: r.IntN(6)}}}
		groupsOf := map[string][]string{}
		for i := range r.IntN(30) {
			w := at(r.IntN(600), fmt.Sprint(i))
			for _, name := range names {
				if r.IntN(2) == 0 {
					w.groups = append(w.groups, name)
				}
			}
			if r.IntN(3) == 0 {
				w.pool = "gpu"
			}
			groupsOf[w.id] = w.groups
			state.waiting = append(state.waiting, w)
		}
		slices.SortStableFunc(state.waiting, func(a, b waiting) int { return a.queued.Compare(b.queued) })
		before := lane{state.lanes["gpu"].blocked, state.lanes["gpu"].unplaced, time.Time{}}
		all := len(state.waiting)
		turns := planQueue(state, limits)
		checkTurns(t, turns, all, limits, groupsOf, before)
	}
}

func checkTurns(t *testing.T, turns []turn, all int, limits Limits, groupsOf map[string][]string, gpu lane) {
	t.Helper()
	seen := map[string]bool{}
	admitted, next := 0, 1
	of := map[string]int{}
	for _, turn := range turns {
		seen[turn.id] = true
		if !turn.admit {
			if turn.position != next || turn.hold.barrier == noBarrier {
				t.Errorf("%+v waits at position %d, want %d, and for something", turn, turn.position, next)
			}
			next++
			continue
		}
		admitted++
		if turn.pool == "gpu" {
			if gpu.full() {
				t.Errorf("%s was let through into a full pool", turn.id)
			}
			gpu.unplaced++
		}
		for _, g := range groupsOf[turn.id] {
			of[g]++
		}
	}
	a, b := limits.Groups["a"].ActiveServers, limits.Groups["b"].ConcurrentStarts
	if len(seen) != all || admitted > limits.ConcurrentStarts || limits.ActiveServers > 0 && admitted > limits.ActiveServers ||
		a > 0 && of["a"] > a || b > 0 && of["b"] > b {
		t.Errorf("of %d, %d were let through, by group %v, with the limits %+v", all, admitted, of, limits)
	}
}

// TestNobodyStarves has a busy group and a quiet one share one place: members of the quiet one come without end, and still everybody of the busy one gets
// their turn within the time that what they have more is worth.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	groups := map[string]Load{"busy": {Active: 40}, "quiet": {Active: 0}}
	queue := []waiting{at(0, "last of all", "busy")}
	for second := range 2000 {
		queue = append(queue, at(second, fmt.Sprint(second), "quiet")) // one each second, and one is let through each second
		state := queueState{groups: map[string]Load{"busy": groups["busy"], "quiet": groups["quiet"]}, waiting: slices.Clone(queue)}
		for _, turn := range planQueue(state, Limits{ConcurrentStarts: 1}) {
			if !turn.admit {
				continue
			}
			if turn.id == "last of all" {
				if limit := int(40 * turnWeight / time.Second); second > limit+1 {
					t.Errorf("it took %d s, and may take %d s", second, limit)
				}
				return
			}
			queue = slices.DeleteFunc(queue, func(w waiting) bool { return w.id == turn.id })
		}
	}
	t.Error("the busy group never had its turn")
}

func TestLimitsByGroup(t *testing.T) {
	t.Parallel()
	l := Limits{NamedServers: 2, ServersPerUser: 3, Groups: map[string]GroupLimits{
		"staff": {NamedServers: 5, ServersPerUser: -1}, "students": {NamedServers: 1}, "quiet": {ActiveServers: 1},
	}}
	tests := []struct {
		groups         []string
		named, perUser int
		capped         string
	}{
		{nil, 2, 3, ""},
		{[]string{"students"}, 1, 3, ""},
		{[]string{"staff", "students"}, 5, 0, ""},
		{[]string{"quiet", "unknown"}, 2, 3, "quiet"},
	}
	for _, tt := range tests {
		u := User{Groups: tt.groups}
		if l.named(u) != tt.named || l.perUser(u) != tt.perUser || strings.Join(l.capped(u.Groups), " ") != tt.capped {
			t.Errorf("%v: %d named, %d per user, capped by %v", tt.groups, l.named(u), l.perUser(u), l.capped(u.Groups))
		}
	}
}

func BenchmarkPlanQueue(b *testing.B) {
	for b.Loop() {
		state := queueState{groups: map[string]Load{}}
		for i := range 5000 {
			state.waiting = append(state.waiting, at(i/50, fmt.Sprint(i), fmt.Sprint("g", i%20)))
		}
		planQueue(state, Limits{ConcurrentStarts: 100})
	}
}

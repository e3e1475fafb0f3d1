package checker

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// slots is a set of the calls that are under way at an instant.
type slots [4]uint64

// maxSlots is how many calls may be under way at the same time.
const maxSlots = 4 * 64

func (s slots) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

func (s slots) with(n int) slots { s[n/64] |= 1 << (n % 64); return s }

func (s slots) without(n int) slots { s[n/64] &^= 1 << (n % 64); return s }

// moment is the begin or the answer of an operation.
type moment struct {
	time   int64
	op     int
	answer bool
}

// search looks for an order of operations as they might have happened: it goes along the time and lets an operation happen when its answer leaves no more choice, alone or after others that
// are under way. So it follows what really went on and turns back late, where porcupine, which tries operations in the order of their begins, does not come to an end with ten opposite wishes
// at once: its states are sets of ours, and of those there are too many.
type search struct {
	model    Model
	ops      []porcupine.Operation
	moments  []moment
	slot     []int   // of each operation
	underway [][]int // at each moment, by the time of the answer
	seen     map[place]struct{}
	until    time.Time
	late     bool // it was not finished in time
	order    []operation
	reached  int
	longest  []operation // that was found
}

// place is where a search can be.
type place struct {
	at   int
	done slots // of what is under way
	in   state
}

// maxPlaces bounds the memory of a search.
const maxPlaces = 4_000_000

// search returns whether there is an order that explains all answers, and the longest one that explains some.
func (m Model) search(ops []porcupine.Operation, until time.Time) (porcupine.CheckResult, []operation) {
	s := &search{model: m, ops: ops, seen: make(map[place]struct{}), until: until, reached: -1}
	if !s.prepare() {
		return porcupine.Unknown, nil
	}
	switch found := s.from(0, slots{}, state{phase: Absent}); {
	case found:
		return porcupine.Ok, s.order
	case s.late:
		return porcupine.Unknown, s.longest
	}
	return porcupine.Illegal, s.longest
}

// prepare lays out the time. It reports false if too much happens at once.
func (s *search) prepare() bool {
	for i, op := range s.ops {
		s.moments = append(s.moments, moment{op.Call, i, false})
		if op.Return != math.MaxInt64 {
			s.moments = append(s.moments, moment{op.Return, i, true})
		}
	}
	slices.SortStableFunc(s.moments, func(a, b moment) int {
		if a.time == b.time && a.answer != b.answer { // what begins as another ends is at the same time as it
			if b.answer {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.time, b.time)
	})
	s.slot = make([]int, len(s.ops))
	var taken slots
	var now []int
	for _, m := range s.moments {
		s.underway = append(s.underway, slices.Clone(now))
		if m.answer {
			taken = taken.without(s.slot[m.op])
			now = slices.DeleteFunc(now, func(op int) bool { return op == m.op })
			continue
		}
		free := 0
		for free < maxSlots && taken.has(free) {
			free++
		}
		if free == maxSlots {
			return false
		}
		s.slot[m.op], taken = free, taken.with(free)
		now = append(now, m.op)
		slices.SortStableFunc(now, func(a, b int) int { return cmp.Compare(s.ops[a].Return, s.ops[b].Return) })
	}
	return true
}

// from tells whether what follows a moment can be explained, when the server is in that state and those of the operations under way have happened.
func (s *search) from(at int, done slots, in state) bool {
	for at < len(s.moments) {
		m := s.moments[at]
		if m.answer {
			if !done.has(s.slot[m.op]) {
				break
			}
			done = done.without(s.slot[m.op])
		}
		at++
	}
	if at == len(s.moments) {
		return true
	}
	if at > s.reached {
		s.reached, s.longest = at, slices.Clone(s.order)
	}
	here := place{at, done, in}
	if _, again := s.seen[here]; again {
		return false
	}
	if len(s.seen) >= maxPlaces || len(s.seen)%1000 == 0 && time.Now().After(s.until) {
		s.late = true
	}
	if s.late {
		return false
	}
	s.seen[here] = struct{}{}
	if s.happens(s.moments[at].op, at, done, in) {
		return true
	}
	for _, other := range s.underway[at] {
		if other != s.moments[at].op && !done.has(s.slot[other]) && s.happens(other, at, done, in) {
			return true
		}
	}
	return false
}

// happens lets an operation happen next.
func (s *search) happens(op, at int, done slots, in state) bool {
	what := s.ops[op].Input.(operation)
	s.order = append(s.order, what)
	for _, next := range unique(s.model.step(in, what)) {
		if s.from(at, done.with(s.slot[op]), next) {
			return true
		}
	}
	s.order = s.order[:len(s.order)-1]
	return false
}

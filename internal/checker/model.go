package checker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Model says what may happen to a server without anybody asking. The zero value allows that a run fails at any time.
type Model struct {
	// Steady servers do not fail: whatever ends was asked to end.
	Steady bool
	// Moves allows the hub to restart a running server by itself, as it does when a machine is emptied.
	Moves bool
}

// state is one possible state of one server. It is comparable.
type state struct {
	phase      Phase
	id         string // "": not seen yet
	before     string // the last removed record's ID, which must not come back
	generation int64  // 0 while there is no record
	instance   string // of this run; "": not seen yet
	run        int    // counts all runs, also those of removed records
	remove     bool   // with Stopping
	restart    bool   // with Stopping
	failed     bool
	up         bool   // this run has been ready
	broke      bool   // this run has failed
	claims     claims // of answers still to come
}

// operation is a call, or the outcome of one, for the model.
type operation struct {
	kind    Kind
	answer  Answer
	claim   int  // by which call and outcome belong together; 0: there is no outcome
	outcome bool // this is the outcome
	line    *record
}

// step returns the states that the server may be in after the operation, if it was in s some time before.
func (m Model) step(s state, op operation) (next []state) {
	for _, from := range m.reachable(s) {
		switch {
		case op.outcome:
			next = append(next, from.conclude(op)...)
		case op.answer.Verdict == Accepted:
			next = append(next, accepted(from, op)...)
		case op.answer.Verdict == Unknown:
			next = append(append(next, from), changed(from, op)...)
		default:
			if s, ok := from.matching(op.answer.Seen); ok {
				next = append(next, s)
			}
		}
	}
	return next
}

// maxMoves is how often a server may be restarted by the hub between two calls, if it may at all.
const maxMoves = 3

// reachable are s and what may come of it without any call.
func (m Model) reachable(s state) []state {
	all := []state{s}
	for i := 0; i < len(all); i++ { // the list grows
		for _, next := range m.byItself(all[i]) {
			if next.run <= s.run+maxMoves && !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

// byItself are the next states that need no call.
func (m Model) byItself(s state) (next []state) {
	switch s.phase {
	case Starting:
		up := s
		up.phase, up.up, up.claims = Ready, true, s.claims.settle(Up)
		next = append(next, up)
	case Ready:
		if m.Moves {
			next = append(next, s.ending(false, true))
		}
	case Stopping:
		switch {
		case s.remove:
			next = append(next, s.gone())
		case s.restart:
			next = append(next, s.begin())
		default:
			s.phase, s.instance = Stopped, ""
			return []state{s}
		}
	case Absent, Stopped:
		return nil
	}
	if !m.Steady && (s.phase != Stopping || s.restart) {
		next = append(next, s.fail())
	}
	return next
}

// begin is the next run.
func (s state) begin() state {
	s.phase, s.instance, s.remove, s.restart, s.failed = Starting, "", false, false, false
	s.up, s.broke, s.claims = false, false, s.claims.settle(Gone)
	s.generation++
	s.run++
	return s
}

// ending is a run that is asked to end.
func (s state) ending(remove, restart bool) state {
	s.phase, s.remove, s.restart = Stopping, s.remove || remove, restart
	return s
}

func (s state) fail() state {
	s.phase, s.restart, s.failed, s.broke, s.claims = Stopping, false, true, true, s.claims.settle(Broken)
	return s
}

// gone is a server whose record is removed.
func (s state) gone() state {
	if s.id != "" {
		s.before = s.id
	}
	s.phase, s.id, s.generation, s.instance, s.remove, s.failed = Absent, "", 0, "", false, false
	return s
}

// accepted are the states after a call that was followed, as far as they fit the answer.
func accepted(s state, op operation) (fit []state) {
	for _, next := range changed(s, op) {
		if next, ok := next.matching(op.answer.Seen); ok {
			fit = append(fit, next.promise(op))
		}
	}
	return fit
}

// changed are the states that a call which is followed may lead to from s; none if it would not be followed there.
func changed(s state, op operation) []state {
	atRest := s.phase == Stopped || s.phase == Absent
	switch op.kind {
	case Start:
		return started(s, op.answer)
	case Restart:
		switch {
		case atRest:
			return started(s, op.answer)
		case s.phase == Starting: // it is restarted, or somebody started it in the same instant and the call has joined that
			return []state{s, s.ending(false, true)}
		case s.phase == Ready, s.restart:
			return []state{s.ending(false, true)}
		}
	case Stop, Remove:
		switch {
		case op.kind == Remove && s.phase == Stopped:
			return []state{s.gone()}
		case atRest:
			return []state{s}
		}
		return []state{s.ending(op.kind == Remove, false)}
	case Forget:
		if s.phase == Stopped {
			return []state{s.gone()}
		}
		if s.phase == Absent {
			return []state{s}
		}
	case Read:
		return []state{s}
	case Visit, Write:
		if !atRest {
			return []state{s}
		}
	}
	return nil
}

// started are the states after a start that was accepted.
func started(s state, a Answer) []state {
	switch s.phase {
	case Starting:
		return []state{s}
	case Stopped, Absent:
		// It may be told that somebody else's start in the same instant counts, which is over already.
		if overtaken := a.Seen.Phase == Stopped || a.Outcome == Gone || a.Outcome == Broken; overtaken {
			return []state{s, s.begin()}
		}
		return []state{s.begin()}
	case Ready, Stopping:
	}
	return nil
}

// matching is s with what the answer tells about it, or false if s is not what the answer tells.
func (s state) matching(seen Seen) (state, bool) {
	if seen.Phase != "" && seen.Phase != s.phase ||
		seen.Generation != 0 && seen.Generation != s.generation ||
		seen.Failed != nil && *seen.Failed != s.failed {
		return s, false
	}
	if seen.ID != "" {
		if s.phase == Absent || s.id != "" && s.id != seen.ID || s.id == "" && s.before == seen.ID {
			return s, false
		}
		s.id = seen.ID
	}
	if seen.Instance != "" {
		if s.instance != "" && s.instance != seen.Instance {
			return s, false
		}
		s.instance = seen.Instance
	}
	return s, true
}

// claims are what answers still to come say of the run that their calls were about, each with whether it has come true: "7=up 12=true ". Which run that was need not be kept: once it is up,
// or a later one, it has been up for ever, and so it is with the other outcomes. Orders of calls that differ in nothing else are one state this way, of which crowds make many.
type claims string

// cameTrue stands in place of the outcome that was waited for.
const cameTrue = "true"

// add returns the claims with one more, in an order that does not tell in which they were made.
func (c claims) add(claim int, is string) claims {
	list := append(strings.Fields(string(c)), fmt.Sprintf("%d=%s", claim, is))
	slices.Sort(list)
	return claims(strings.Join(list, " ") + " ")
}

// settle returns the claims after that outcome has come.
func (c claims) settle(o Outcome) claims {
	return claims(strings.ReplaceAll(string(c), "="+string(o)+" ", "="+cameTrue+" "))
}

// take returns one claim, and the others.
func (c claims) take(claim int) (is string, rest claims) {
	begin := strconv.Itoa(claim) + "="
	for one := range strings.FieldsSeq(string(c)) {
		if after, mine := strings.CutPrefix(one, begin); mine {
			is = after
		} else {
			rest += claims(one + " ")
		}
	}
	return is, rest
}

// promise notes what the outcome of a call will say.
func (s state) promise(op operation) state {
	if op.claim == 0 {
		return s
	}
	is := string(op.answer.Outcome)
	if op.answer.Outcome == Up && s.up || op.answer.Outcome == Broken && s.broke {
		is = cameTrue
	}
	s.claims = s.claims.add(op.claim, is)
	return s
}

// conclude is s if what the outcome says is true of it. It is asked at the time of the answer: what has been once has been for ever.
func (s state) conclude(op operation) []state {
	is, rest := s.claims.take(op.claim)
	atRest := s.phase == Stopped || s.phase == Absent
	if is != cameTrue && (Outcome(is) != Gone || !atRest) {
		return nil
	}
	s.claims = rest
	return []state{s}
}

// String is the state for people.
func (s state) String() string {
	text := Seen{Phase: s.phase, ID: s.id, Generation: s.generation, Instance: s.instance, Failed: &s.failed}.String()
	if s.remove {
		text += ", to be removed"
	}
	if s.restart {
		text += ", to be started again"
	}
	return text
}

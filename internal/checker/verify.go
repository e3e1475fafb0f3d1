package checker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// verifyWithin bounds the search for an explanation of one server's history.
const verifyWithin = time.Minute

// Verify fails the test if nothing explains the history, or if it is empty.
func (h *History) Verify(t testing.TB) {
	t.Helper()
	if err := h.Check(verifyWithin); err != nil {
		t.Errorf("the checker has found:\n%v", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == 0 {
		t.Error("the checker has recorded nothing, so it has shown nothing")
	}
	t.Logf("the checker can explain %d calls to %d servers", h.kept, len(h.records))
}

// Check returns an error that shows what nothing explains, or nil. The search for one server's explanation may take so long; one that is not found by then is an error, too.
func (h *History) Check(within time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, f := range h.findings {
		errs = append(errs, errors.New(f))
	}
	if h.tooMany > 0 {
		errs = append(errs, fmt.Errorf("%d calls were more than the %d that are kept: raise Limit, or ask less", h.tooMany, h.opts.Limit))
	}
	servers := slices.SortedFunc(maps.Keys(h.records), func(a, b Server) int { return cmp.Compare(a.String(), b.String()) })
	for _, at := range servers {
		if err := h.opts.Model.judge(h.records[at], within); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}

// judge looks for an order of the calls of one server that explains all answers. It first tries to do with what was seen at the instant of each answer, which is where it mostly
// was: such an order explains everything as well, and is found soon also among hundreds of calls at once.
func (m Model) judge(list []*record, within time.Duration) error {
	model := m.porcupine()
	if porcupine.CheckOperationsTimeout(model, operations(list, true), within/20) == porcupine.Ok {
		return nil
	}
	switch verdict, order := m.search(operations(list, false), time.Now().Add(within)); verdict {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return errors.New(m.explain(list, order))
	case porcupine.Unknown:
	}
	return m.judgeBeginnings(list, within)
}

// judgeBeginnings tells of a history that is too long to be searched whole which of its beginnings cannot be explained: then neither can the whole.
func (m Model) judgeBeginnings(list []*record, within time.Duration) error {
	ends := make([]int64, 0, len(list))
	for _, r := range list {
		if r.end != 0 {
			ends = append(ends, r.end)
		}
	}
	slices.Sort(ends)
	deadline := time.Now().Add(within)
	explained := 0
	for i, end := range ends {
		begin := beginning(list, end)
		verdict, order := m.search(operations(begin, false), deadline)
		switch verdict {
		case porcupine.Ok:
			explained = i + 1
			continue
		case porcupine.Illegal:
			return errors.New(m.explain(begin, order))
		case porcupine.Unknown:
		}
		break
	}
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	return fmt.Errorf("no order of its %d calls was found within %s that explains all answers, nor that there is none; of the first %d answers there is one\n%s",
		len(list), within, explained, b.String())
}

// beginning is the history up to an instant, of which later answers are not known yet.
func beginning(list []*record, until int64) (begin []*record) {
	for _, r := range list {
		switch {
		case r.begin > until:
		case r.end != 0 && r.end <= until:
			begin = append(begin, r)
		case r.kind.changes():
			open := *r
			open.end, open.answer = 0, Answer{Verdict: Unknown}
			begin = append(begin, &open)
		}
	}
	return begin
}

// porcupine is the model in the form in which it is searched.
func (m Model) porcupine() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{phase: Absent}} },
		Step: func(s, in, _ any) []any {
			var next []any
			for _, n := range m.step(s.(state), in.(operation)) {
				next = append(next, n)
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
	}).ToModel()
}

// ticks are how far apart begins and answers are on porcupine's clock, so that outcomes fit between them.
const ticks = 4

// operations are the calls in porcupine's form. An outcome is an operation of its own, at the instant of the answer: a start that is answered when the server is up was accepted at some
// instant before, and it is up by then. Late ones that only look do so at the instant of their answer.
func operations(list []*record, late bool) (ops []porcupine.Operation) {
	for i, r := range list {
		op := operation{kind: r.kind, answer: r.answer, line: r}
		end := int64(math.MaxInt64)
		if r.end != 0 {
			end = ticks * r.end
		}
		if r.answer.Outcome != "" && r.answer.Verdict == Accepted {
			op.claim = i + 1
			outcome := op
			outcome.outcome = true
			ops = append(ops, porcupine.Operation{Input: outcome, Call: end + 1, Return: end + 2})
		}
		begin := ticks * r.begin
		if late && r.end != 0 && (r.answer.Verdict == Refused || !r.kind.changes()) {
			begin = end
		}
		ops = append(ops, porcupine.Operation{Input: op, Call: begin, Return: end})
	}
	return ops
}

// linesAround is how many calls before and after the inexplicable one are shown.
const linesAround = 15

// explain shows the calls around the first that has no place in the longest order, and what the server could have been by then.
func (m Model) explain(list []*record, order []operation) string {
	states := []state{{phase: Absent}}
	placed := map[*record]int{}
	for _, op := range order {
		var next []state
		for _, s := range states {
			next = append(next, m.step(s, op)...)
		}
		states = unique(next)
		placed[op.line]++
	}
	wanted := func(r *record) int {
		if r.answer.Outcome != "" && r.answer.Verdict == Accepted {
			return 2
		}
		return 1
	}
	lines := slices.Clone(list)
	slices.SortStableFunc(lines, func(a, b *record) int { return cmp.Compare(a.begin, b.begin) })
	bad := -1 // the one that was answered first
	for i, r := range lines {
		if r.end != 0 && placed[r] < wanted(r) && (bad < 0 || r.end < lines[bad].end) {
			bad = i
		}
	}
	bad = max(bad, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "no order of its %d calls explains all answers; the one marked > has no place\n", len(list))
	for i := max(0, bad-linesAround); i < min(len(lines), bad+linesAround+1); i++ {
		mark := " "
		if i == bad {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %s\n", mark, lines[i])
	}
	b.WriteString("before it, the server was one of:\n")
	shown := map[string]bool{}
	for _, s := range states {
		if line := s.String(); !shown[line] {
			shown[line] = true
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

func unique(states []state) (list []state) {
	for _, s := range states {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

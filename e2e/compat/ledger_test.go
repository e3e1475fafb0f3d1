package compat

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// difference is one that is meant. In on, where, stock and ours a star stands for anything; an empty one, too.
type difference struct {
	on          []string // names of pairs, such as "GET users/* as admin"; any of them
	where       string   // as in deviation
	stock, ours string
	why         string
}

// ledger sorts deviations into those that are meant and those that are not.
type ledger struct {
	mu      sync.Mutex
	entries []entry
	pairs   int
}

type entry struct {
	difference
	on                 []*regexp.Regexp
	where, stock, ours *regexp.Regexp
	used               int
}

func newLedger(all []difference) *ledger {
	l := &ledger{}
	for _, d := range all {
		e := entry{difference: d, where: glob(d.where), stock: glob(d.stock), ours: glob(d.ours)}
		for _, on := range d.on {
			e.on = append(e.on, glob(on))
		}
		l.entries = append(l.entries, e)
	}
	return l
}

func glob(pattern string) *regexp.Regexp {
	if pattern == "" {
		pattern = "*"
	}
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
}

// unmeant counts a pair, and returns those of its deviations that no entry is about.
func (l *ledger) unmeant(all []deviation) []deviation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairs++
	return slices.DeleteFunc(all, l.meant)
}

// meant tells whether an entry of the list is about the deviation, and notes that the entry still holds.
func (l *ledger) meant(d deviation) bool {
	found := false
	for i := range l.entries {
		if l.entries[i].matches(d) {
			l.entries[i].used++
			found = true
		}
	}
	return found
}

func (e entry) matches(d deviation) bool {
	return (len(e.on) == 0 || slices.ContainsFunc(e.on, func(r *regexp.Regexp) bool { return r.MatchString(d.pair) })) &&
		e.where.MatchString(d.where) && e.stock.MatchString(d.stock) && e.ours.MatchString(d.ours)
}

// checkStale fails for entries that no longer differ.
func (l *ledger) checkStale(t *testing.T) {
	for _, e := range l.entries {
		if e.used == 0 {
			t.Errorf("This is listed as a difference and does not differ any more; take it from the list: on %v, %q, JupyterHub %q, NomadHub %q (%s)",
				e.difference.on, e.difference.where, e.difference.stock, e.difference.ours, e.why)
		}
	}
}

// report tells deviations that nobody meant: the same one on many pairs once.
func report(t *testing.T, all []deviation) {
	t.Helper()
	const most = 6
	type same struct{ where, stock, ours string }
	var order []same
	pairs := map[same][]string{}
	for _, d := range all {
		k := same{d.where, d.stock, d.ours}
		if pairs[k] == nil {
			order = append(order, k)
		}
		name := d.pair
		if d.said != "" {
			name += ": " + d.said
		}
		pairs[k] = append(pairs[k], name)
	}
	for _, k := range order {
		names := pairs[k]
		text := strings.Join(names[:min(most, len(names))], "\n    ")
		if len(names) > most {
			text += fmt.Sprintf("\n    and %d more", len(names)-most)
		}
		t.Errorf("%s:\n  - JupyterHub: %s\n  + NomadHub:   %s\n  on\n    %s", k.where, k.stock, k.ours, text)
	}
}

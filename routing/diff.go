package routing

import (
	"cmp"
	"slices"
)

// maxDiffLines bounds what one swap writes to the log.
const maxDiffLines = 20

// lines are the first of the entries in the order of their prefixes, as they are logged.
func lines(entries []*entry) []string {
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.Prefix, b.Prefix) })
	out := make([]string, 0, min(len(entries), maxDiffLines))
	for _, e := range entries[:min(len(entries), maxDiffLines)] {
		out = append(out, e.line())
	}
	return out
}

func (r *Router) logSwap(next *Table, c changes) {
	r.log.Info("routes changed", "routes", next.Len(), "added_count", len(c.added), "removed_count", len(c.removed),
		"added", lines(c.added), "removed", lines(c.removed))
}

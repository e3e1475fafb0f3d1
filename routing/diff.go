package routing

// maxDiffLines bounds what one swap writes to the log.
const maxDiffLines = 20

// diff lists the lines that only one of the tables has. Both are sorted by prefix, so it is one walk.
func diff(old, next *Table) (removed, added []string) {
	i, j := 0, 0
	for i < len(old.entries) || j < len(next.entries) {
		switch {
		case j == len(next.entries) || i < len(old.entries) && old.entries[i].Prefix < next.entries[j].Prefix:
			removed = append(removed, old.entries[i].line())
			i++
		case i == len(old.entries) || next.entries[j].Prefix < old.entries[i].Prefix:
			added = append(added, next.entries[j].line())
			j++
		default:
			if old.entries[i].Route != next.entries[j].Route {
				removed = append(removed, old.entries[i].line())
				added = append(added, next.entries[j].line())
			}
			i, j = i+1, j+1
		}
	}
	return removed, added
}

func (r *Router) logSwap(old, next *Table) {
	removed, added := diff(old, next)
	r.log.Info("routes changed", "routes", next.Len(), "added_count", len(added), "removed_count", len(removed),
		"added", added[:min(len(added), maxDiffLines)], "removed", removed[:min(len(removed), maxDiffLines)])
}

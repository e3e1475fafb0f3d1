package scope

import (
	"slices"
	"strings"
)

// GroupsOf returns the names of the groups that a user belongs to; nil for a user that does not exist. A nil GroupsOf knows of no groups.
type GroupsOf func(user string) []string

func (of GroupsOf) member(user, group string) bool {
	return of != nil && slices.Contains(of(user), group)
}

// Intersect returns what both sets allow. It may return less where that cannot be written down: of two different groups, the
// users who belong to both are lost.
func Intersect(a, b Set, groups GroupsOf) Set {
	var both []grant
	for i, j := 0, 0; i < len(a.grants) && j < len(b.grants); {
		x, y := a.grants[i], b.grants[j]
		switch strings.Compare(x.name, y.name) {
		case -1:
			i++
			continue
		case 1:
			j++
			continue
		}
		i, j = i+1, j+1
		if g := x.common(y, groups); !g.empty() {
			both = append(both, g)
		}
	}
	return Set{both}
}

// common is where both grants of a scope hold.
func (g grant) common(other grant, groups GroupsOf) grant {
	switch {
	case g.everywhere:
		return other
	case other.everywhere:
		return g
	}
	var limits []limit
	for _, l := range g.limits {
		if other.coversLimit(l, groups) {
			limits = append(limits, l)
		}
	}
	for _, l := range other.limits {
		if g.coversLimit(l, groups) {
			limits = append(limits, l)
		}
	}
	return grant{name: g.name, limits: sorted(limits)}
}

// coversLimit tells whether everything within the limit is covered.
func (g grant) coversLimit(l limit, groups GroupsOf) bool {
	if g.everywhere || g.holds(l.kind, l.name) {
		return true
	}
	user := l.name
	switch l.kind {
	case ByServer:
		user, _ = SplitFullName(l.name)
		if g.holds(ByUser, user) {
			return true
		}
	case ByUser:
	default:
		return false
	}
	for _, other := range g.limits {
		if other.kind == ByGroup && groups.member(user, other.name) {
			return true
		}
	}
	return false
}

// Excess returns the raw scopes of inner that outer does not cover wholly, sorted.
func Excess(inner, outer Set, groups GroupsOf) []string {
	var excess []string
	for _, g := range inner.grants {
		have := outer.grant(g.name)
		if g.everywhere && !have.everywhere {
			excess = append(excess, g.name)
		}
		for _, l := range g.limits {
			if !have.coversLimit(l, groups) {
				excess = append(excess, Scope{g.name, l.kind, l.name}.String())
			}
		}
	}
	return excess
}

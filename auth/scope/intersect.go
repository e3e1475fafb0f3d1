package scope

import "slices"

// GroupsOf returns the names of the groups that a user belongs to; nil for a user that does not exist. A nil GroupsOf knows of no groups.
type GroupsOf func(user string) []string

func (of GroupsOf) member(user, group string) bool {
	return of != nil && slices.Contains(of(user), group)
}

// Intersect returns what both sets allow. It may return less where that cannot be written down: of two different groups, the
// users who belong to both are lost.
func Intersect(a, c Set, groups GroupsOf) Set {
	b := builder{}
	for name, x := range a.grants {
		y, ok := c.grants[name]
		if !ok {
			continue
		}
		switch {
		case x.everywhere && y.everywhere:
			b.add(name, Unlimited, "")
		case x.everywhere:
			b.addLimits(name, y)
		case y.everywhere:
			b.addLimits(name, x)
		default:
			b.addCommon(name, x, y, groups)
		}
	}
	return b.set()
}

func (b builder) addLimits(name string, g grant) {
	for l := range g.limits {
		b.add(name, l.kind, l.name)
	}
}

func (b builder) addCommon(name string, x, y grant, groups GroupsOf) {
	for l := range x.limits {
		if y.coversLimit(l, groups) {
			b.add(name, l.kind, l.name)
		}
	}
	for l := range y.limits {
		if x.coversLimit(l, groups) {
			b.add(name, l.kind, l.name)
		}
	}
}

// coversLimit tells whether everything within the limit is covered.
func (g grant) coversLimit(l limit, groups GroupsOf) bool {
	if g.holds(l.kind, l.name) {
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
	for other := range g.limits {
		if other.kind == ByGroup && groups.member(user, other.name) {
			return true
		}
	}
	return false
}

// Excess returns the raw scopes of inner that outer does not cover wholly, sorted.
func Excess(inner, outer Set, groups GroupsOf) []string {
	common := Intersect(inner, outer, groups)
	return slices.DeleteFunc(inner.Names(), func(raw string) bool {
		s, err := Parse(raw)
		if err != nil {
			return false
		}
		g := common.grants[s.Name]
		return g.everywhere || s.Kind != Unlimited && g.holds(s.Kind, s.Value)
	})
}

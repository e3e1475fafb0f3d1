package scope

import (
	"cmp"
	"slices"
	"strings"
)

// Set is what somebody may do: expanded scopes. It never changes; the zero Set allows nothing.
type Set struct {
	grants []grant // by the scopes' names; none is empty. Sets share what they are made of, so nothing may be written here.
}

// grant is where one scope holds.
type grant struct {
	name       string
	everywhere bool    // swallows all limits
	limits     []limit // sorted, each once; nil if the scope holds everywhere
}

type limit struct {
	kind Kind
	name string
}

func (l limit) compare(o limit) int {
	return cmp.Or(strings.Compare(string(l.kind), string(o.kind)), strings.Compare(l.name, o.name))
}

// grant finds what the set says of a scope.
func (s Set) grant(name string) grant {
	i, ok := slices.BinarySearchFunc(s.grants, name, func(g grant, name string) int { return strings.Compare(g.name, name) })
	if !ok {
		return grant{}
	}
	return s.grants[i]
}

// Has tells whether the scope holds for the object. The object's groups count: a scope for a group covers its members.
func (s Set) Has(name string, o Object) bool { return s.grant(name).covers(o) }

func (g grant) covers(o Object) bool {
	if g.everywhere {
		return true
	}
	if o.kind == Unlimited { // a limited scope never covers everything: that is what lists have Filter for
		return false
	}
	if g.holds(o.kind, o.name) {
		return true
	}
	if o.kind != ByUser && o.kind != ByServer {
		return false
	}
	if owner, _ := SplitFullName(o.name); o.kind == ByServer && g.holds(ByUser, owner) {
		return true
	}
	return slices.ContainsFunc(o.groups, func(group string) bool { return g.holds(ByGroup, group) })
}

// few is up to how many limits are looked through one after another.
const few = 8

func (g grant) holds(kind Kind, name string) bool {
	l := limit{kind, name}
	if len(g.limits) <= few {
		return slices.Contains(g.limits, l)
	}
	_, ok := slices.BinarySearchFunc(g.limits, l, limit.compare)
	return ok
}

func (g grant) empty() bool { return !g.everywhere && len(g.limits) == 0 }

// Filter returns where a scope holds, for lists.
func (s Set) Filter(name string) Filter { return Filter{s.grant(name)} }

// Filter is where one scope holds. The zero Filter is nowhere.
type Filter struct{ grant grant }

// All tells that the scope holds everywhere.
func (f Filter) All() bool { return f.grant.everywhere }

// Empty tells that the scope holds nowhere.
func (f Filter) Empty() bool { return f.grant.empty() }

// Covers tells whether the object may be in the list.
func (f Filter) Covers(o Object) bool { return f.grant.covers(o) }

// Names returns the users, groups, servers ("USER/SERVER") or services that the scope is limited to, sorted.
func (f Filter) Names(kind Kind) []string {
	var names []string
	for _, l := range f.grant.limits {
		if l.kind == kind {
			names = append(names, l.name)
		}
	}
	return names
}

// Names returns the set as raw scopes, sorted; empty but not nil if it allows nothing. Expanding them gives the same set.
func (s Set) Names() []string {
	names := make([]string, 0, len(s.grants))
	for _, g := range s.grants { // "!" comes before all that a scope's name may go on with, so their order is that of the texts
		if g.everywhere {
			names = append(names, g.name)
		}
		for _, l := range g.limits {
			names = append(names, Scope{g.name, l.kind, l.name}.String())
		}
	}
	return names
}

// Empty tells that the set allows nothing.
func (s Set) Empty() bool { return len(s.grants) == 0 }

// Equal tells whether both sets are made of the same scopes.
func (s Set) Equal(other Set) bool {
	return slices.EqualFunc(s.grants, other.grants, func(a, b grant) bool {
		return a.name == b.name && a.everywhere == b.everywhere && slices.Equal(a.limits, b.limits)
	})
}

// Union returns what one of the sets allows.
func Union(sets ...Set) Set {
	var all Set
	for _, s := range sets {
		all = all.with(s)
	}
	return all
}

func (s Set) with(other Set) Set {
	switch {
	case len(s.grants) == 0:
		return other
	case len(other.grants) == 0:
		return s
	}
	grants := make([]grant, 0, len(s.grants)+len(other.grants))
	i, j := 0, 0
	for i < len(s.grants) && j < len(other.grants) {
		x, y := s.grants[i], other.grants[j]
		switch strings.Compare(x.name, y.name) {
		case -1:
			grants = append(grants, x)
			i++
		case 1:
			grants = append(grants, y)
			j++
		default:
			grants = append(grants, x.with(y))
			i, j = i+1, j+1
		}
	}
	return Set{append(append(grants, s.grants[i:]...), other.grants[j:]...)}
}

// with is where one of two grants of a scope holds. An unlimited one swallows the other.
func (g grant) with(other grant) grant {
	switch {
	case g.everywhere:
		return g
	case other.everywhere:
		return other
	}
	g.limits = sorted(append(slices.Clip(g.limits), other.limits...))
	return g
}

// sorted returns the limits in order, each once. It leaves the list as it is: other sets may share it.
func sorted(limits []limit) []limit {
	if len(limits) < 2 {
		return limits
	}
	limits = slices.Clone(limits)
	slices.SortFunc(limits, limit.compare)
	return slices.Compact(limits)
}

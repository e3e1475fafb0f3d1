package scope

import (
	"maps"
	"slices"
)

// Set is what somebody may do: expanded scopes. It never changes; the zero Set allows nothing.
type Set struct {
	grants map[string]grant // by scope; no grant is empty
}

// grant is where one scope holds.
type grant struct {
	everywhere bool // swallows all limits
	limits     map[limit]struct{}
}

type limit struct {
	kind Kind
	name string
}

// Has tells whether the scope holds for the object. The object's groups count: a scope for a group covers its members.
func (s Set) Has(name string, o Object) bool { return s.grants[name].covers(o) }

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

func (g grant) holds(kind Kind, name string) bool {
	_, ok := g.limits[limit{kind, name}]
	return ok
}

// Filter returns where a scope holds, for lists.
func (s Set) Filter(name string) Filter { return Filter{s.grants[name]} }

// Filter is where one scope holds. The zero Filter is nowhere.
type Filter struct{ grant grant }

// All tells that the scope holds everywhere.
func (f Filter) All() bool { return f.grant.everywhere }

// Empty tells that the scope holds nowhere.
func (f Filter) Empty() bool { return !f.grant.everywhere && len(f.grant.limits) == 0 }

// Covers tells whether the object may be in the list.
func (f Filter) Covers(o Object) bool { return f.grant.covers(o) }

// Names returns the users, groups, servers ("USER/SERVER") or services that the scope is limited to, sorted.
func (f Filter) Names(kind Kind) []string {
	var names []string
	for l := range f.grant.limits {
		if l.kind == kind {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	return names
}

// Names returns the set as raw scopes, sorted; empty but not nil if it allows nothing. Expanding them gives the same set.
func (s Set) Names() []string {
	names := make([]string, 0, len(s.grants))
	for name, g := range s.grants {
		if g.everywhere {
			names = append(names, name)
			continue
		}
		for l := range g.limits {
			names = append(names, Scope{name, l.kind, l.name}.String())
		}
	}
	slices.Sort(names)
	return names
}

// Empty tells that the set allows nothing.
func (s Set) Empty() bool { return len(s.grants) == 0 }

// Equal tells whether both sets are made of the same scopes.
func (s Set) Equal(other Set) bool {
	return maps.EqualFunc(s.grants, other.grants, func(a, b grant) bool {
		return a.everywhere == b.everywhere && maps.Equal(a.limits, b.limits)
	})
}

// Union returns what one of the sets allows.
func Union(sets ...Set) Set {
	b := builder{}
	for _, s := range sets {
		for name, g := range s.grants {
			if g.everywhere {
				b.add(name, Unlimited, "")
			}
			for l := range g.limits {
				b.add(name, l.kind, l.name)
			}
		}
	}
	return b.set()
}

// builder gathers a set. An unlimited scope swallows its limited forms, whichever comes first.
type builder map[string]grant

func (b builder) add(name string, kind Kind, value string) {
	g := b[name]
	switch {
	case g.everywhere:
		return
	case kind == Unlimited:
		g = grant{everywhere: true}
	default:
		if g.limits == nil {
			g.limits = make(map[limit]struct{})
		}
		g.limits[limit{kind, value}] = struct{}{}
	}
	b[name] = g
}

func (b builder) set() Set { return Set{grants: b} }

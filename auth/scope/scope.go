// Package scope decides what a set of JupyterHub scopes allows. It is pure: memberships are asked of the caller.
//
// A raw scope is "name" or "name!kind=value", as granted to roles and tokens. A [Set] is what raw scopes amount to: every implied scope, filters resolved,
// and narrow grants dropped where a wide one is held.
package scope

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Filter narrows a scope to one resource. The zero Filter is none: all resources.
type Filter struct {
	kind  string // "", user, group, server, service
	value string // for server: "user/server"
}

// User is the filter on one user, and for scopes of servers on all of theirs.
func User(name string) Filter { return Filter{"user", name} }

// Group is the filter on one group, or on all its members.
func Group(name string) Filter { return Filter{"group", name} }

// Server is the filter on one server of a user; the default server's name is "".
func Server(user, server string) Filter { return Filter{"server", user + "/" + server} }

// Service is the filter on one service.
func Service(name string) Filter { return Filter{"service", name} }

func (f Filter) String() string {
	if f.kind == "" {
		return ""
	}
	return "!" + f.kind + "=" + f.value
}

// owner is the user that a user or server filter is about. User names hold no slash.
func (f Filter) owner() string {
	if f.kind == "server" {
		user, _, _ := strings.Cut(f.value, "/")
		return user
	}
	return f.value
}

// Members tells whether a user is in a group; nil means that no memberships are known.
type Members func(group, user string) bool

func (m Members) has(group, user string) bool { return m != nil && m(group, user) }

// Owner resolves the self filters !user, !service and !server. An empty field leaves its filter unresolved, and the scope is dropped.
type Owner struct {
	User    string
	Service string
	Server  string // "user/server"
}

// Set is an immutable set of expanded scopes. The zero Set allows nothing.
type Set struct {
	of map[string]map[Filter]struct{}
}

// Validate tells in words which raw scope is not one, or returns nil.
func Validate(raw []string) error {
	for _, r := range raw {
		name, filter, filtered := strings.Cut(r, "!")
		if _, known := subscopes[name]; !known && name != Self && name != Inherit {
			return fmt.Errorf("there is no scope %q", name)
		}
		if !filtered {
			continue
		}
		kind, value, valued := strings.Cut(filter, "=")
		switch kind {
		case "user", "service", "server":
		case "group":
			if !valued {
				return fmt.Errorf("the filter of %q names no group", r)
			}
		default:
			return fmt.Errorf("the filter of %q is of no kind that exists", r)
		}
		if valued && (value == "" || kind == "server" && !strings.Contains(value, "/")) {
			return fmt.Errorf("the filter of %q names nothing", r)
		}
	}
	return nil
}

// Expand returns what raw scopes amount to for their owner. Inherit and unknown scopes add nothing.
func Expand(raw []string, o Owner) Set {
	s := Set{of: map[string]map[Filter]struct{}{}}
	for _, r := range raw {
		name, filter, filtered := strings.Cut(r, "!")
		if name == Self {
			if o.User != "" {
				for _, n := range selfScopes {
					s.add(n, User(o.User))
				}
			}
			continue
		}
		f := Filter{}
		if filtered {
			var ok bool
			if f, ok = o.resolve(filter); !ok {
				continue
			}
		}
		s.add(name, f)
	}
	s.reduce()
	return s
}

func (o Owner) resolve(filter string) (Filter, bool) {
	kind, value, valued := strings.Cut(filter, "=")
	if !valued {
		value = map[string]string{"user": o.User, "service": o.Service, "server": o.Server}[kind]
	}
	switch kind {
	case "user", "service", "group":
	case "server":
		if !strings.Contains(value, "/") {
			return Filter{}, false
		}
	default:
		return Filter{}, false
	}
	return Filter{kind, value}, value != ""
}

// add puts a scope and all that it implies into a set under construction.
func (s Set) add(name string, f Filter) {
	subs, known := subscopes[name]
	if !known {
		return
	}
	if s.of[name] == nil {
		s.of[name] = map[Filter]struct{}{}
	}
	if _, have := s.of[name][f]; have {
		return
	}
	s.of[name][f] = struct{}{}
	for _, sub := range subs {
		if f.kind == "server" && strings.HasPrefix(sub, "read:user") {
			continue // one server does not reveal its owner
		}
		s.add(sub, f)
	}
}

// reduce drops what a wider grant covers.
func (s Set) reduce() {
	for name, filters := range s.of {
		if _, all := filters[Filter{}]; all {
			s.of[name] = map[Filter]struct{}{{}: {}}
		}
	}
}

// narrower returns the filter that covers what both a and b cover.
func narrower(a, b Filter, m Members) (Filter, bool) {
	switch {
	case a == b, b.kind == "":
		return a, true
	case a.kind == "":
		return b, true
	case covers(a, b, m):
		return b, true
	case covers(b, a, m):
		return a, true
	}
	return Filter{}, false
}

// covers tells whether wide includes all that narrow is about.
func covers(wide, narrow Filter, m Members) bool {
	switch {
	case wide == narrow, wide.kind == "":
		return true
	case narrow.kind != "user" && narrow.kind != "server":
		return false
	case wide.kind == "user":
		return wide.value == narrow.owner()
	case wide.kind == "group":
		return m.has(wide.value, narrow.owner())
	}
	return false
}

// Intersect returns what both sets allow.
func Intersect(a, b Set, m Members) Set {
	s := Set{of: map[string]map[Filter]struct{}{}}
	for name, fa := range a.of {
		for x := range fa {
			for y := range b.of[name] {
				f, ok := narrower(x, y, m)
				if !ok {
					continue
				}
				if s.of[name] == nil {
					s.of[name] = map[Filter]struct{}{}
				}
				s.of[name][f] = struct{}{}
			}
		}
	}
	s.reduce()
	return s
}

// Excess returns the scopes of asked, raw and sorted, that held does not cover.
func Excess(asked, held Set, m Members) []string {
	var excess []string
	for name, filters := range asked.of {
		for f := range filters {
			if !held.Has(name, f, m) {
				excess = append(excess, name+f.String())
			}
		}
	}
	slices.Sort(excess)
	return excess
}

// Has tells whether the set allows the scope on the resource; the zero Filter asks for all resources.
func (s Set) Has(name string, on Filter, m Members) bool {
	for f := range s.of[name] {
		if covers(f, on, m) {
			return true
		}
	}
	return false
}

// Any tells whether the set allows the scope on anything at all.
func (s Set) Any(name string) bool { return len(s.of[name]) > 0 }

// Names returns the set as sorted raw scopes.
func (s Set) Names() []string {
	names := []string{}
	for name, filters := range s.of {
		for f := range filters {
			names = append(names, name+f.String())
		}
	}
	slices.Sort(names)
	return names
}

// Filters returns to what the scope is narrowed, sorted; a single zero Filter means not at all.
func (s Set) Filters(name string) []Filter {
	return slices.SortedFunc(maps.Keys(s.of[name]), func(a, b Filter) int {
		return strings.Compare(a.String(), b.String())
	})
}

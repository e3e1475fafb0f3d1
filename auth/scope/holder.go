package scope

import (
	"slices"
	"strings"
)

// Holder is a user, as far as it matters for what they may do.
type Holder struct {
	Name   string
	Admin  bool
	Roles  []string // given at login, beside those of the configuration; those that do not exist mean nothing
	Groups []string
	Shared []string // raw scopes of what others share with them
}

// OfUser returns what a user may do: by their own roles, those of their groups, and by what is shared with them.
func (p *Policy) OfUser(h Holder) Set {
	set := p.templateOf(h).of(Owner{User: h.Name})
	if len(h.Shared) == 0 {
		return set
	}
	return Union(set, p.Expand(h.Shared, Owner{User: h.Name}))
}

// templateOf finds the template of the user's roles. Most users have none but those that everybody has, and are told apart without any work.
func (p *Policy) templateOf(h Holder) template {
	if len(h.Roles) == 0 && len(p.users[h.Name]) == 0 && !slices.ContainsFunc(h.Groups, p.hasRoles) {
		if h.Admin {
			return p.admin
		}
		return p.user
	}
	return p.combine(p.allRoles(h))
}

func (p *Policy) hasRoles(group string) bool { return len(p.groups[group]) > 0 }

// combine returns the template of several roles, whose names are sorted.
func (p *Policy) combine(names []string) template {
	key := strings.Join(names, " ")
	if t, ok := p.combined.Load(key); ok {
		return t.(template)
	}
	var raw []string
	for _, name := range names {
		raw = append(raw, p.roles[name].Scopes...)
	}
	t := p.words.compile(raw)
	if p.kept.Load() < maxCombined {
		if _, there := p.combined.LoadOrStore(key, t); !there {
			p.kept.Add(1)
		}
	}
	return t
}

// everybodys are the roles of whom nobody gave one.
var everybodys = []string{RoleUser}

// RolesOfUser returns the user's own roles, sorted: those that everybody has, those of the configuration, and those that were given at login. What they have
// by their groups is not among them. They are to be read only: most people's are the same, and lists ask for those of many.
func (p *Policy) RolesOfUser(h Holder) []string {
	if !h.Admin && len(h.Roles) == 0 && len(p.users[h.Name]) == 0 {
		return everybodys
	}
	names := []string{RoleUser}
	if h.Admin {
		names = append(names, RoleAdmin)
	}
	names = append(names, p.users[h.Name]...)
	for _, name := range h.Roles {
		if p.Grantable(name) {
			names = append(names, name)
		}
	}
	return distinct(names)
}

// Grantable tells whether a role can be given to a user at login: one that exists. "admin" is not given like that; it follows the admin flag.
func (p *Policy) Grantable(role string) bool {
	_, ok := p.roles[role]
	return ok && role != RoleAdmin
}

func (p *Policy) allRoles(h Holder) []string {
	names := slices.Clone(p.RolesOfUser(h))
	for _, g := range h.Groups {
		names = append(names, p.groups[g]...)
	}
	return distinct(names)
}

// RolesOfGroup returns the roles of a group, sorted.
func (p *Policy) RolesOfGroup(name string) []string { return slices.Clone(p.groups[name]) }

// RolesOfService returns the roles of a service, sorted.
func (p *Policy) RolesOfService(name string, admin bool) []string {
	names := slices.Clone(p.services[name])
	if admin {
		names = append(names, RoleAdmin)
	}
	return distinct(names)
}

// OfService returns what a service may do. Without any role it may do nothing; that it may know itself is no scope.
func (p *Policy) OfService(name string, admin bool) Set {
	return p.combine(p.RolesOfService(name, admin)).of(Owner{Service: name})
}

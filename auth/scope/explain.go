package scope

import (
	"fmt"
	"slices"
	"strings"
)

// Question asks whether somebody holds a scope for an object, and why.
type Question struct {
	User         Holder // who it is; the zero Holder if it is a service
	Service      string
	ServiceAdmin bool
	// Token are the raw scopes of the token that they show; nil: they show none.
	Token []string
	// ClientServer and ClientService are what the token was issued to by OAuth, as in [Owner].
	ClientServer, ClientService string

	Scope  string   // without a limit
	On     Object   // with the groups of its user
	Groups GroupsOf // as for [Intersect]
}

// Answer says whether, and because of what.
type Answer struct {
	Who     string `json:"who"`   // "user=alice", "service=culler"
	Scope   string `json:"scope"` // "servers"
	On      string `json:"on"`    // "server=bob/", or "everything"
	Granted bool   `json:"granted"`
	// Because are all grants that cover the object: of roles and shares, and of the token if one is shown. Both are needed then.
	Because []Cause `json:"because"`
	// Refused are sentences that say what is missing; empty if it is granted.
	Refused []string `json:"refused"`
	// Acceptable are the scopes of which one would do, limited to the object or to something that holds it.
	Acceptable []string `json:"acceptable"`
	// Roles are those that hold one of them, for anything.
	Roles []string `json:"roles"`
}

// Cause is one grant that covers the object.
type Cause struct {
	Source Source `json:"source"`
	Group  string `json:"group,omitempty"` // whose role it is, if it is a group's
	Role   string `json:"role,omitempty"`
	Holds  string `json:"holds"` // the raw scope, as the role, share or token has it
	Gives  string `json:"gives"` // what of it covers the object
}

// Source is from where somebody has a grant.
type Source string

// The sources of grants.
const (
	FromAll    Source = "all"    // everybody has the role
	FromAdmin  Source = "admin"  // by the admin flag
	FromConfig Source = "config" // the role names the user or service
	FromLogin  Source = "login"  // the login provider named the role
	FromGroup  Source = "group"  // a group holds the role
	FromShare  Source = "share"
	FromToken  Source = "token"
)

// Explain answers as [Set.Has] would, and says why. It fails with ErrInvalid for a scope that does not exist.
func (p *Policy) Explain(q Question) (Answer, error) {
	s, err := p.Parse(q.Scope)
	if err == nil && (s.Kind != Unlimited || s.Name == Self || s.Name == Inherit) {
		err = fmt.Errorf("%w: ask for one scope, and name apart what it is to be held for: %q", ErrInvalid, q.Scope)
	}
	if err != nil {
		return Answer{}, err
	}
	held := p.heldBy(q)
	a := Answer{
		Who: q.who().String(), Scope: q.Scope, On: q.On.String(), Granted: held.Has(q.Scope, q.On),
		Because: p.causes(q), Refused: []string{}, Acceptable: p.Including(q.Scope), Roles: p.rolesWith(q.Scope),
	}
	if !a.Granted {
		a.Refused = append(a.Refused, lack("Roles and shares of "+a.Who+" give", held.Filter(q.Scope), q))
	}
	if q.Token == nil {
		return a, nil
	}
	token := p.Expand(slices.Concat(q.Token, Identify(q.owner()), Access(q.owner())), q.owner())
	inherits := slices.Contains(q.Token, Inherit)
	switch granted := p.Effective(q.Token, q.owner(), held, q.Groups).Has(q.Scope, q.On); {
	case !inherits && !token.Has(q.Scope, q.On):
		a.Refused = append(a.Refused, lack("The token has", token.Filter(q.Scope), q))
	case a.Granted && !granted:
		a.Refused = append(a.Refused, "The token and its owner both hold the scope here, by limits that have nothing in common.")
	}
	a.Granted = len(a.Refused) == 0
	return a, nil
}

func (q Question) owner() Owner {
	return Owner{User: q.User.Name, Service: q.Service, ClientServer: q.ClientServer, ClientService: q.ClientService}
}

func (q Question) who() Object {
	if q.Service != "" {
		return Service(q.Service)
	}
	return User(q.User.Name)
}

func (p *Policy) heldBy(q Question) Set {
	if q.Service != "" {
		return p.OfService(q.Service, q.ServiceAdmin)
	}
	return p.OfUser(q.User)
}

// lack says what somebody has instead of what they need.
func lack(subject string, f Filter, q Question) string {
	if f.Empty() {
		return fmt.Sprintf("%s no scope that includes %s.", subject, q.Scope)
	}
	const most = 5
	var only []string
	for _, l := range f.grant.limits {
		only = append(only, Scope{q.Scope, l.kind, l.name}.String())
	}
	more := ""
	if len(only) > most {
		only, more = only[:most], fmt.Sprintf(" and %d more", len(only)-most)
	}
	return fmt.Sprintf("%s only %s%s, and it is asked for %s.", subject, strings.Join(only, ", "), more, q.On)
}

// causes are the grants that cover the object, in the order of their sources.
func (p *Policy) causes(q Question) []Cause {
	all := []Cause{}
	add := func(c Cause, raw []string) {
		for _, r := range raw {
			c.Holds = r
			if r == Inherit {
				if c.Source == FromToken {
					c.Gives = Inherit
					all = append(all, c)
				}
				continue
			}
			if gives, ok := p.covering(r, q); ok {
				c.Gives = gives
				all = append(all, c)
			}
		}
	}
	for _, c := range p.sources(q) {
		add(c, p.roles[c.Role].Scopes)
	}
	add(Cause{Source: FromShare}, q.User.Shared)
	if q.Token != nil {
		add(Cause{Source: FromToken}, slices.Concat(q.Token, Identify(q.owner()), Access(q.owner())))
	}
	return all
}

// covering tells what of a raw scope covers the object.
func (p *Policy) covering(raw string, q Question) (gives string, ok bool) {
	g := p.Expand([]string{raw}, q.owner()).grant(q.Scope)
	if g.everywhere {
		return q.Scope, true
	}
	for _, l := range g.limits {
		if (grant{limits: []limit{l}}).covers(q.On) {
			return Scope{q.Scope, l.kind, l.name}.String(), true
		}
	}
	return "", false
}

// sources are the roles that somebody has, each from every source.
func (p *Policy) sources(q Question) []Cause {
	var all []Cause
	add := func(source Source, group string, roles ...string) {
		for _, r := range roles {
			all = append(all, Cause{Source: source, Group: group, Role: r})
		}
	}
	if q.Service != "" {
		if q.ServiceAdmin {
			add(FromAdmin, "", RoleAdmin)
		}
		add(FromConfig, "", p.services[q.Service]...)
		return all
	}
	add(FromAll, "", RoleUser)
	if q.User.Admin {
		add(FromAdmin, "", RoleAdmin)
	}
	add(FromConfig, "", p.users[q.User.Name]...)
	for _, r := range q.User.Roles {
		if p.Grantable(r) {
			add(FromLogin, "", r)
		}
	}
	for _, g := range q.User.Groups {
		add(FromGroup, g, p.groups[g]...)
	}
	return all
}

// rolesWith are the roles that hold a scope for anything.
func (p *Policy) rolesWith(name string) []string {
	names := []string{}
	for _, r := range p.Roles() {
		if t := p.words.compile(r.Scopes); slices.ContainsFunc(t.slots, func(s slot) bool { return s.name == name }) {
			names = append(names, r.Name)
		}
	}
	return names
}

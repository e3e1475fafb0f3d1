package scope

import (
	"slices"
	"strings"
)

// Owner is who holds raw scopes. Limits without a name ("!user", "!server", "!service") and "self" mean the owner; those that find
// no target mean nothing.
type Owner struct {
	User    string // the user's name, or ""
	Service string // the service's name, or ""
	// ClientServer and ClientService are what a token was issued to by OAuth, if it was: the full name of a server ("alice/")
	// or the name of a service.
	ClientServer  string
	ClientService string
}

// target returns what a limit without a name means.
func (o Owner) target(kind Kind) string {
	switch kind {
	case ByUser:
		return o.User
	case ByServer:
		return o.ClientServer
	case ByService:
		if o.ClientService != "" {
			return o.ClientService
		}
		return o.Service
	default:
		return ""
	}
}

// selfScopes are what "self" includes, each for the owner.
var selfScopes = []string{"read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers"}

// Expand returns what raw scopes allow to their owner. Scopes that do not exist allow nothing, and neither does "inherit": what
// it stands for is not ours to know; see [Effective].
func Expand(raw []string, o Owner) Set { return builtIn.compile(raw).of(o) }

// template is a list of raw scopes, expanded but for what depends on their owner.
type template struct {
	slots []slot // by name
	fixed *Set   // what it amounts to for every owner; nil if it depends on them
}

// slot is a grant with references to the owner.
type slot struct {
	grant
	user, server, service bool // whether it holds for the owner's user, the client's server, the owner's or client's service
}

func (v *vocabulary) compile(raw []string) template {
	slots := map[string]slot{}
	for _, r := range raw {
		s, err := v.parse(r)
		switch {
		case err != nil, s.Name == Inherit:
			continue
		case s.Name == Self:
			for _, name := range selfScopes {
				v.include(slots, Scope{Name: name, Kind: ByUser})
			}
		default:
			v.include(slots, s)
		}
	}
	t := template{slots: make([]slot, 0, len(slots))}
	for _, s := range slots {
		s.limits = sorted(s.limits)
		t.slots = append(t.slots, s)
	}
	slices.SortFunc(t.slots, func(a, b slot) int { return strings.Compare(a.name, b.name) })
	if !slices.ContainsFunc(t.slots, slot.refers) {
		t.fixed = new(t.of(Owner{}))
	}
	return t
}

// include adds a scope with all that it includes.
func (v *vocabulary) include(slots map[string]slot, s Scope) {
	for _, name := range v.included[s.Name] {
		// Whoever may see one server of a user may not, for that, see the user.
		if s.Kind == ByServer && strings.HasPrefix(name, "read:user") {
			continue
		}
		slots[name] = slots[name].also(name, s.Kind, s.Value)
	}
}

// refers tells whether the slot depends on the owner.
func (s slot) refers() bool { return s.user || s.server || s.service }

// also is the slot of the scope that holds there, too.
func (s slot) also(name string, kind Kind, value string) slot {
	s.name = name
	switch {
	case s.everywhere:
	case kind == Unlimited:
		return slot{grant: grant{name: name, everywhere: true}}
	case value != "":
		s.limits = append(slices.Clip(s.limits), limit{kind, value})
	case kind == ByUser:
		s.user = true
	case kind == ByServer:
		s.server = true
	case kind == ByService:
		s.service = true
	}
	return s
}

// of returns what the template allows to an owner. The grants of the set share one list of limits wherever they hold for the owner's user and nobody else, as they
// mostly do.
func (t template) of(o Owner) Set {
	if t.fixed != nil {
		return *t.fixed
	}
	own := []limit{{ByUser, o.User}}
	grants := make([]grant, 0, len(t.slots))
	for _, s := range t.slots {
		g := s.grant
		switch {
		case s.user && !s.server && !s.service && len(s.limits) == 0 && o.User != "":
			g.limits = own
		case s.refers():
			g.limits = s.resolve(o)
		}
		if !g.empty() {
			grants = append(grants, g)
		}
	}
	return Set{grants}
}

// resolve names whom the references mean. Those that find no target mean nothing.
func (s slot) resolve(o Owner) []limit {
	limits := slices.Clone(s.limits)
	for _, ref := range []struct {
		is   bool
		kind Kind
	}{{s.user, ByUser}, {s.server, ByServer}, {s.service, ByService}} {
		if target := o.target(ref.kind); ref.is && target != "" {
			limits = append(limits, limit{ref.kind, target})
		}
	}
	return sorted(limits)
}

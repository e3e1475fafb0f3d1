package scope

import "strings"

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
func Expand(raw []string, o Owner) Set {
	b := builder{}
	for _, r := range raw {
		s, err := Parse(r)
		switch {
		case err != nil, s.Name == Inherit:
			continue
		case s.Name == Self:
			b.addSelf(o)
		default:
			b.addExpanded(s, o)
		}
	}
	return b.set()
}

func (b builder) addSelf(o Owner) {
	for _, name := range selfScopes {
		b.addExpanded(Scope{Name: name, Kind: ByUser}, o)
	}
}

func (b builder) addExpanded(s Scope, o Owner) {
	if s.Kind != Unlimited && s.Value == "" {
		if s.Value = o.target(s.Kind); s.Value == "" {
			return
		}
	}
	for _, name := range included[s.Name] {
		// Whoever may see one server of a user may not, for that, see the user.
		if s.Kind == ByServer && strings.HasPrefix(name, "read:user") {
			continue
		}
		b.add(name, s.Kind, s.Value)
	}
}

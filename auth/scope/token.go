package scope

import "slices"

// Identify returns the raw scopes that every token has, within what its owner may do: to learn who its owner is.
func Identify(o Owner) []string {
	switch {
	case o.User != "":
		return []string{
			Scope{"read:users:name", ByUser, o.User}.String(),
			Scope{"read:users:groups", ByUser, o.User}.String(),
		}
	case o.Service != "":
		return []string{Scope{"read:services:name", ByService, o.Service}.String()}
	default:
		return nil
	}
}

// Access returns the raw scopes that a token issued by OAuth has, within what its owner may do: to use what it was issued to.
func Access(o Owner) []string {
	var raw []string
	if o.ClientServer != "" {
		raw = append(raw, Scope{"access:servers", ByServer, o.ClientServer}.String())
	}
	if o.ClientService != "" {
		raw = append(raw, Scope{"access:services", ByService, o.ClientService}.String())
	}
	return raw
}

// Effective returns what a token with these raw scopes may do now. held is what its owner may do now, by roles and shares: a
// token never allows more.
func (p *Policy) Effective(raw []string, o Owner, held Set, groups GroupsOf) Set {
	if slices.Contains(raw, Inherit) {
		return held
	}
	return Intersect(p.words.compile(slices.Concat(raw, Identify(o), Access(o))).of(o), held, groups)
}

// Narrow returns which of the requested raw scopes somebody can grant who holds that much at this moment, and which not, or not wholly. What is held in part is
// granted narrowed to that part. "inherit" can always be granted: it is what they hold, now and later.
func (p *Policy) Narrow(requested []string, held Set, o Owner, groups GroupsOf) (granted, refused []string) {
	for _, raw := range requested {
		if raw == Inherit {
			granted = append(granted, raw)
			continue
		}
		wanted := p.Expand([]string{raw}, o)
		part := Intersect(wanted, held, groups)
		switch {
		case part.Empty():
			refused = append(refused, raw)
		case part.Equal(wanted):
			granted = append(granted, raw)
		default:
			granted = append(granted, part.Names()...)
			refused = append(refused, raw)
		}
	}
	return distinct(granted), refused
}

// AdminScopes is what the role "admin" holds: everything.
func AdminScopes() Set { return admin }

var admin = Expand(DefaultRoles()[1].Scopes, Owner{})

// ServerToken returns the raw scopes of the token that a server itself holds: those of the role "server". The server is named in them, because such a
// token belongs to no OAuth client that could tell it later. That it may report activity is no matter of configuration.
func (p *Policy) ServerToken(user, server string) []string {
	const activity = "users:activity!user"
	raw := []string{activity}
	for _, r := range p.roles[RoleServer].Scopes {
		s, err := p.Parse(r)
		if err != nil || r == activity {
			continue
		}
		if s.Kind == ByServer && s.Value == "" {
			s.Value = FullName(user, server)
		}
		raw = append(raw, s.String())
	}
	return raw
}

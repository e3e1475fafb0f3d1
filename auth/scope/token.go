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
func Effective(raw []string, o Owner, held Set, groups GroupsOf) Set {
	if slices.Contains(raw, Inherit) {
		return held
	}
	return Intersect(Expand(slices.Concat(raw, Identify(o), Access(o)), o), held, groups)
}

// Narrow returns which of the requested raw scopes may be granted to somebody who holds have, and which not, or not wholly. What
// is held letter by letter is granted as it is, "inherit" included; what is held in part is granted narrowed to that part.
func Narrow(requested, have []string, o Owner, groups GroupsOf) (granted, refused []string) {
	held := Expand(have, o)
	for _, raw := range requested {
		if slices.Contains(have, raw) {
			granted = append(granted, raw)
			continue
		}
		wanted := Expand([]string{raw}, o)
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
	slices.Sort(granted)
	return slices.Compact(granted), refused
}

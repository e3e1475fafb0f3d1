package compat

import "slices"

// table is the requests about one resource, in order: first pairs, then all lanes at once, then last.
type table struct {
	name  string
	pairs []pair
	lanes [][]pair
	last  []pair
}

// tables are all, in the order in which they run. The first makes what the others speak of.
func tables() []table {
	return []table{
		{name: "base", pairs: basePairs()},
		{name: "hub", pairs: hubPairs()},
		{name: "users", pairs: userPairs()},
		{name: "tokens", pairs: tokenPairs()},
		{name: "servers", pairs: serverPairs()},
		{name: "activity", pairs: activityPairs()},
		{name: "groups", pairs: groupPairs()},
		{name: "services", pairs: servicePairs()},
		{name: "roles", pairs: rolePairs()},
		{name: "pages", pairs: pagePairs()},
		{name: "shares", pairs: sharePairs()},
		{name: "proxy", pairs: proxyPairs()},
		{name: "authorizations", pairs: authorizationPairs()},
		{name: "oauth", pairs: oauthPairs()},
		{
			name: "scopes", pairs: []pair{{as: "admin", do: "POST users/alice/server", note: "for scopes"}}, lanes: scopeLanes(),
			last: []pair{{as: "admin", do: "DELETE users/alice/server", note: "after scopes"}},
		},
		{name: "names", lanes: [][]pair{namePairs(), pendingPairs()}}, // a start that hangs takes a while
		{name: "quirks", pairs: quirkPairs()},
		{name: "last", pairs: lastPairs()},
	}
}

// each asks the same as several.
func each(who []string, what ...string) []pair {
	var all []pair
	for _, do := range what {
		for _, as := range who {
			all = append(all, pair{as: as, do: do})
		}
	}
	return all
}

func join(lists ...[]pair) []pair { return slices.Concat(lists...) }

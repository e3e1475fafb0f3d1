package compat

import "slices"

// table is the requests about one resource, in order.
type table struct {
	name  string
	pairs []pair
}

// tables are all, in the order in which they run. The first makes what the others speak of.
func tables() []table {
	return []table{
		{"base", basePairs()},
		{"hub", hubPairs()},
		{"users", userPairs()},
		{"tokens", tokenPairs()},
		{"servers", serverPairs()},
		{"activity", activityPairs()},
		{"groups", groupPairs()},
		{"services", servicePairs()},
		{"roles", rolePairs()},
		{"pages", pagePairs()},
		{"shares", sharePairs()},
		{"proxy", proxyPairs()},
		{"authorizations", authorizationPairs()},
		{"oauth", oauthPairs()},
		{"scopes", scopePairs()},
		{"names", namePairs()},
		{"quirks", quirkPairs()},
		{"last", lastPairs()},
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

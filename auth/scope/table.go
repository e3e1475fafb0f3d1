package scope

import (
	"iter"
	"maps"
	"slices"
)

// definition says what a scope is for, and what it includes.
type definition struct {
	text     string
	includes []string
}

// definitions are the scopes of JupyterHub 5 and 6. Nothing changes this map.
var definitions = map[string]definition{
	Self:    {text: "Everything that every user may do with what is their own."},
	Inherit: {text: "Everything that the owner of the token may do."},

	"admin-ui": {text: "Open the administration page."},

	"admin:users":         {"Create, change and delete users, and see what their login provider said.", []string{"admin:auth_state", "users", "read:roles:users", "delete:users"}},
	"admin:auth_state":    {text: "See what the login provider said about users."},
	"users":               {"Read and change users, without their servers and tokens.", []string{"read:users", "list:users", "users:activity"}},
	"delete:users":        {text: "Delete users."},
	"list:users":          {"List users by name.", []string{"read:users:name"}},
	"read:users":          {"Read about users.", []string{"read:users:name", "read:users:groups", "read:users:activity"}},
	"read:users:name":     {text: "Read the names of users."},
	"read:users:groups":   {text: "Read which groups users belong to."},
	"read:users:activity": {text: "Read when users were last active."},
	"users:activity":      {"Report that users are active.", []string{"read:users:activity"}},

	"read:roles":          {"Read who has which role.", []string{"read:roles:users", "read:roles:services", "read:roles:groups"}},
	"read:roles:users":    {text: "Read the roles of users."},
	"read:roles:services": {text: "Read the roles of services."},
	"read:roles:groups":   {text: "Read the roles of groups."},

	"admin:servers":      {"Start, stop and delete servers, and see their inner state.", []string{"admin:server_state", "servers"}},
	"admin:server_state": {text: "See the inner state of servers."},
	"servers":            {"Start and stop servers.", []string{"read:servers", "delete:servers", "start:servers"}},
	"read:servers":       {"Read about servers and whose they are.", []string{"read:users:name"}},
	"start:servers":      {text: "Start, create and change servers."},
	"delete:servers":     {text: "Stop and delete servers."},
	"access:servers":     {text: "Use servers."},

	"tokens":      {"Read, make and revoke API tokens of users.", []string{"read:tokens"}},
	"read:tokens": {text: "Read about API tokens of users."},

	"admin:groups":     {"Create, change and delete groups.", []string{"groups", "read:roles:groups", "delete:groups"}},
	"groups":           {"Read groups and change who belongs to them.", []string{"read:groups", "list:groups"}},
	"list:groups":      {"List groups by name.", []string{"read:groups:name"}},
	"read:groups":      {"Read about groups.", []string{"read:groups:name"}},
	"read:groups:name": {text: "Read the names of groups."},
	"delete:groups":    {text: "Delete groups."},

	"admin:services":     {"Create, change and delete services.", []string{"list:services", "read:services", "read:roles:services"}},
	"list:services":      {"List services by name.", []string{"read:services:name"}},
	"read:services":      {"Read about services.", []string{"read:services:name"}},
	"read:services:name": {text: "Read the names of services."},
	"access:services":    {text: "Use services."},

	"shares":             {"Share servers with others.", []string{"access:servers", "read:shares", "users:shares", "groups:shares"}},
	"read:shares":        {text: "Read who may use shared servers."},
	"users:shares":       {"Read and give up what is shared with users.", []string{"read:users:shares"}},
	"read:users:shares":  {text: "Read what is shared with users."},
	"groups:shares":      {"Read and give up what is shared with groups.", []string{"read:groups:shares"}},
	"read:groups:shares": {text: "Read what is shared with groups."},

	"proxy":        {text: "Read and renew the proxy's routes."},
	"shutdown":     {text: "Shut the hub down."},
	"read:hub":     {text: "Read details about the hub."},
	"read:metrics": {text: "Read the hub's metrics."},
}

// vocabulary is which scopes there are. It never changes.
type vocabulary struct {
	definitions map[string]definition
	// included holds, for every scope, itself and all that it includes at any depth, sorted.
	included map[string][]string
}

// builtIn are the scopes that every hub has. Nothing changes it.
var builtIn = newVocabulary(definitions)

func newVocabulary(all map[string]definition) *vocabulary {
	v := &vocabulary{definitions: all, included: make(map[string][]string, len(all))}
	for name := range all {
		reached := make(map[string]bool)
		v.reach(name, reached)
		v.included[name] = slices.Sorted(maps.Keys(reached))
	}
	return v
}

func (v *vocabulary) reach(name string, reached map[string]bool) {
	if reached[name] {
		return
	}
	reached[name] = true
	for _, sub := range v.definitions[name].includes {
		v.reach(sub, reached)
	}
}

func (v *vocabulary) known(name string) bool {
	_, ok := v.definitions[name]
	return ok
}

func (v *vocabulary) all() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range slices.Sorted(maps.Keys(v.definitions)) {
			if !yield(name, v.definitions[name].text) {
				return
			}
		}
	}
}

// including returns the scopes that include one, itself among them, sorted.
func (v *vocabulary) including(name string) []string {
	var all []string
	for other, included := range v.included {
		if _, ok := slices.BinarySearch(included, name); ok {
			all = append(all, other)
		}
	}
	slices.Sort(all)
	return all
}

// All returns every scope that all hubs have with a sentence for people who are asked to grant it, by name. See [Policy.All].
func All() iter.Seq2[string, string] { return builtIn.all() }

// Describe returns the sentence for one such scope, "" for one that does not exist. Limits are left to the caller.
func Describe(name string) string { return definitions[name].text }

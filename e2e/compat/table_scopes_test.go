package compat

import "strings"

// narrowed are tokens of the administrator that can do one thing each.
func narrowed() []string {
	return []string{
		"admin-ui", "admin:users", "admin:auth_state", "users", "delete:users", "list:users", "read:users", "read:users:name", "read:users:groups", "read:users:activity",
		"users:activity", "read:roles", "read:roles:users", "read:roles:services", "read:roles:groups", "admin:servers", "admin:server_state", "servers", "read:servers",
		"delete:servers", "tokens", "read:tokens", "admin:groups", "groups", "list:groups", "read:groups", "read:groups:name", "delete:groups", "admin:services",
		"list:services", "read:services", "read:services:name", "read:hub", "access:servers", "access:services", "users:shares", "groups:shares", "read:users:shares",
		"read:groups:shares", "read:shares", "shares", "proxy", "shutdown", "read:metrics",
	}
}

// filtered are tokens of the administrator that can do one thing for some.
func filtered() []string {
	return []string{
		"list:users!user=alice", "list:users!group=physics", "list:users!server=alice/", "users!user=alice", "read:users!user=alice", "read:users!group=physics",
		"read:users:name!user=alice", "read:servers!user=alice", "read:servers!group=physics", "read:servers!server=alice/", "read:servers!server=alice/lab",
		"servers!server=alice/", "admin:users!user=alice", "tokens!user=alice", "tokens!group=physics", "groups!group=physics", "list:groups!group=physics",
		"read:groups!group=physics", "read:services!service=dash", "list:services!service=dash", "shares!user=alice", "shares!server=alice/", "read:shares!server=alice/",
		"users:activity!user=alice", "self", "read:users!user", "servers!user", "inherit",
	}
}

// readRoutes are asked with every narrowed token.
func readRoutes() []string {
	return []string{
		"user", "users", "users?name_filter=ali", "users/alice", "users/carol", "users/nobody", "users/alice/server/progress", "users/alice/tokens", "users/alice/tokens/{id.alice}",
		"groups", "groups/physics", "groups/none", "services", "services/dash", "services/none", "info", "proxy", "metrics", "shares/alice", "shares/alice/", "users/alice/shared",
		"groups/physics/shared", "share-codes/alice", "share-codes/alice/", "authorizations/token/{token.alice}",
	}
}

// writeRoutes are asked with every narrowed token, in a way that changes nothing.
func writeRoutes() []pair {
	return []pair{
		{do: "POST users", json: `{"usernames": []}`}, {do: "POST users/alice", json: `{}`}, {do: "PATCH users/carol", json: `{"colour": 1}`},
		{do: "DELETE users/nobody"}, {do: "POST users/alice/activity", json: `{}`}, {do: "POST users/nobody/server"}, {do: "DELETE users/alice/servers/none"},
		{do: "POST users/alice/tokens", json: `{"scopes": ["no:such"]}`}, {do: "DELETE users/alice/tokens/a999999"}, {do: "POST groups", json: `{}`},
		{do: "POST groups/physics", json: `{}`}, {do: "DELETE groups/none"}, {do: "POST groups/physics/users", json: `{}`}, {do: "DELETE groups/physics/users", json: `{}`},
		{do: "PUT groups/physics/properties", json: `[1]`}, {do: "POST services/dash", json: `{}`}, {do: "DELETE services/none"}, {do: "POST shares/alice/", json: `{}`},
		{do: "PATCH shares/alice/", json: `{}`}, {do: "DELETE shares/alice/none"}, {do: "POST share-codes/alice/", json: `{"colour": 1}`},
		{do: "DELETE share-codes/alice/?code=none"}, {do: "POST shutdown", json: `{"proxy": "x"}`}, {do: "PATCH proxy", json: `[1]`},
	}
}

// scopeLanes ask everything with every narrowed token, several at once: none of it changes anything.
func scopeLanes() [][]pair {
	const atOnce = 4
	lanes := make([][]pair, atOnce)
	for i, scope := range append(narrowed(), filtered()...) {
		name, lane := "only-"+credential(scope), &lanes[i%atOnce]
		*lane = append(*lane, token(name, "admin", `{"scopes": ["`+scope+`"]}`))
		for _, path := range readRoutes() {
			*lane = append(*lane, pair{as: name, do: "GET " + path})
		}
		for _, p := range writeRoutes() {
			p.as = name
			*lane = append(*lane, p)
		}
	}
	return lanes
}

// credential is a scope as a name of a variable.
func credential(scope string) string {
	return strings.NewReplacer("!", ".", "/", ".").Replace(scope)
}

package compat

// rolePairs ask as those to whom the configuration gives roles: dave watches, bob and whoever else is in the group "staff" assists the group "lab", gina grades,
// and a service culls.
func rolePairs() []pair {
	holders := []string{"dave", "gina", "bob", "bob-narrow", "culler"}
	return join(
		[]pair{
			{as: "admin", do: "GET groups/staff"},
			{as: "admin", do: "POST groups/staff/users", json: `{"users": ["bob"]}`},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": ["alice", "erin"]}`, note: "for roles"},
			{as: "admin", do: "POST users/gina/tokens", json: `{"scopes": ["custom:grader:write"]}`, keep: map[string]string{"token.gina": "token"}},
			{as: "admin", do: "POST users/gina/tokens", json: `{"roles": ["grader"]}`},
			{as: "admin", do: "POST users/gina/tokens", json: `{"roles": ["watcher"]}`},
			{as: "admin", do: "POST users/gina/tokens", json: `{"scopes": ["custom:none"]}`},
			{as: "admin", do: "POST users/alice/tokens", json: `{"scopes": ["custom:grader:read"]}`},
			{as: "admin", do: "POST users/bob/tokens", json: `{"scopes": ["servers!group=lab"]}`, keep: map[string]string{"token.bob-narrow": "token"}},
			{as: "admin", do: "POST users/bob/tokens", json: `{"scopes": ["servers!user=alice"]}`},
			{as: "admin", do: "POST users/bob/tokens", json: `{"scopes": ["servers"]}`},
			token("dave", "dave", `{}`),
		},
		each(holders, "GET user", "GET users", "GET users?name_filter=a", "GET users/alice", "GET users/carol", "GET users/dave", "GET groups", "GET groups/lab", "GET groups/staff",
			"GET services", "GET services/culler", "GET users/alice/tokens", "GET users/alice/server/progress", "DELETE users/alice/servers/none", "DELETE users/carol/servers/none",
			"POST users/nobody/server"),
		[]pair{
			{as: "admin", do: "GET users/dave", note: "roles"},
			{as: "admin", do: "GET users/bob", note: "roles by group"},
			{as: "admin", do: "GET services/culler"},
			{as: "admin", do: "POST services/culler", json: `{}`},
			{as: "admin", do: "DELETE services/culler"},
			{as: "culler", do: "POST users/culler/tokens"},
			{as: "bob", do: "POST groups/lab/users", json: `{"users": ["carol"]}`, note: "assists"},
			{as: "bob", do: "DELETE groups/lab/users", json: `{"users": ["carol"]}`, note: "assists"},
			{as: "bob", do: "POST groups/staff/users", json: `{"users": ["carol"]}`, note: "does not assist"},
			{as: "bob", do: "POST users/alice/tokens", json: `{"scopes": ["read:users!user"]}`, note: "assists"},
			{as: "bob", do: "POST users/alice/server", note: "assists"},
			{as: "culler", do: "GET users?state=ready"},
			{as: "culler", do: "DELETE users/alice/server"},
			{as: "bob", do: "DELETE users/alice/server", note: "assists"},
			{as: "admin", do: "DELETE groups/staff/users", json: `{"users": ["bob"]}`},
			{as: "bob", do: "GET user", note: "assists no longer"},
			{as: "bob-narrow", do: "GET user", note: "assists no longer"},
			{as: "bob", do: "GET users", note: "assists no longer"},
		},
	)
}

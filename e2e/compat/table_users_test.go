package compat

// anybody are the credentials that most routes are asked with.
var anybody = []string{"admin", "alice", "bob", "read-only", "no-scopes", "expired", "wrong", ""}

func userPairs() []pair {
	return join(
		each(anybody, "GET user", "GET users", "GET users/alice", "GET users/carol", "GET users/nobody"),
		userLists(), userWrites(),
	)
}

func userLists() []pair {
	return each([]string{"admin"},
		"GET users?limit=2", "GET users?limit=2&offset=1", "GET users?limit=0", "GET users?limit=-3", "GET users?limit=100000", "GET users?limit=x",
		"GET users?offset=x", "GET users?offset=-2", "GET users?offset=1000", "GET users?limit=1.5", "GET users?limit=",
		"GET users?sort=name", "GET users?sort=-name", "GET users?sort=id", "GET users?sort=-id", "GET users?sort=created", "GET users?sort=",
		"GET users?name_filter=a", "GET users?name_filter=ALI", "GET users?name_filter=%25", "GET users?name_filter=_", "GET users?name_filter=",
		"GET users?state=active", "GET users?state=inactive&sort=name", "GET users?state=ready", "GET users?state=none", "GET users?state=",
		"GET users?include_stopped_servers", "GET users?include_stopped_servers=0&limit=1", "GET users?include_stopped_servers=false&limit=1",
		"GET users?unknown=1&limit=1", "GET users/", "GET users/alice/", "GET users/ALICE", "GET users/joe%20b@ex.org", "GET users/joe%20b%40ex.org",
		"GET users/alice?include_stopped_servers=1",
	)
}

func userWrites() []pair {
	return join(
		[]pair{
			{as: "admin", do: "POST users", json: `{"usernames": ["u1", "u2"]}`},
			{as: "admin", do: "POST users", json: `{"usernames": ["u1", "u3"]}`},
			{as: "admin", do: "POST users", json: `{"usernames": ["u1", "u2"]}`, note: "all exist"},
			{as: "admin", do: "POST users", json: `{"usernames": []}`, note: "none"},
			{as: "admin", do: "POST users", json: `{}`, note: "no names"},
			{as: "admin", do: "POST users", note: "no body"},
			{as: "admin", do: "POST users", json: `{`, note: "not JSON"},
			{as: "admin", do: "POST users", json: `["u9"]`, note: "a list"},
			{as: "admin", do: "POST users", json: `{"usernames": ["u9"], "admin": "yes"}`, note: "text for a flag"},
			{as: "admin", do: "POST users", json: `{"usernames": ["u9"], "colour": 1}`, note: "unknown key"},
			{as: "admin", do: "POST users", json: `{"usernames": ["a/b"]}`, note: "slash"},
			{as: "admin", do: "POST users", json: `{"usernames": [""]}`, note: "empty name"},
			{as: "admin", do: "POST users", json: `{"usernames": ["root2"], "admin": true}`, note: "administrator"},
			{as: "admin", do: "POST users/u4"},
			{as: "admin", do: "POST users/u4", note: "exists"},
			{as: "admin", do: "POST users/u6", json: `{"admin": true}`},
			{as: "admin", do: "POST users/u7", json: `{"colour": 1}`, note: "unknown key"},
			{as: "admin", do: "POST users/u7", json: `{"admin": 1}`, note: "number for a flag"},
			{as: "admin", do: "POST users/u7", json: `{"name": 1}`, note: "number for a name"},
			{as: "admin", do: "GET users/u6"},
			{as: "admin", do: "PATCH users/u4", json: `{"admin": true}`},
			{as: "admin", do: "PATCH users/u4", json: `{"admin": false}`},
			{as: "admin", do: "PATCH users/u4", json: `{}`, note: "nothing"},
			{as: "admin", do: "PATCH users/u4", note: "no body"},
			{as: "admin", do: "PATCH users/u4", json: `{"colour": 1}`, note: "unknown key"},
			{as: "admin", do: "PATCH users/u4", json: `{"admin": "no"}`, note: "text for a flag"},
			{as: "admin", do: "PATCH users/u4", json: `{"name": "u1"}`, note: "name taken"},
			{as: "admin", do: "PATCH users/u4", json: `{"name": "u8"}`, note: "rename"},
			{as: "admin", do: "GET users/u8"},
			{as: "admin", do: "GET users/u4"},
			{as: "admin", do: "PATCH users/nobody", json: `{"admin": false}`},
			{as: "admin", do: "DELETE users/u8"},
			{as: "admin", do: "DELETE users/u8", note: "again"},
			{as: "admin", do: "DELETE users/admin"},
			{as: "admin", do: "PUT users/alice"},
			{as: "admin", do: "POST user"},
		},
		each([]string{"alice", "wrong", ""}, "POST users", "POST users/u9", "PATCH users/alice", "PATCH users/bob", "DELETE users/alice", "DELETE users/bob",
			"DELETE users/nobody", "POST users/nobody"),
	)
}

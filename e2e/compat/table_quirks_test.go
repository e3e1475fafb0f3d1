package compat

// quirkPairs come last: of what they ask for the stock hub makes something that nobody wants, which would show in the tables before.
func quirkPairs() []pair {
	return []pair{
		{as: "alice", do: "POST users/alice/tokens", json: `{"expires_in": 0}`},
		{as: "alice", do: "POST users/alice/tokens", json: `{"note": 5}`},
		{as: "admin", do: "POST groups/props", json: `{"properties": {"a": 1}}`},
		{as: "admin", do: "POST groups", json: `{"groups": "ab"}`},
		{as: "admin", do: "POST groups", json: `{"groups": [7]}`},
		{as: "carol", do: "POST users/carol/server", json: `[1]`, note: "a list"},
		{as: "admin", do: "POST users", json: `{"usernames": "u9"}`, note: "text for a list"},
		{as: "admin", do: "POST users/U5", json: `{"admin": false}`, note: "upper case"},
		{as: "admin", do: "POST users", json: `{"usernames": [7]}`, note: "a number for a name"},
	}
}

package compat

// basePairs log the administrator in with a browser, make a token with it, and make the users of all tables.
func basePairs() []pair {
	all := join(login("admin"), []pair{
		{
			as: "browser.admin", do: "POST users/admin/tokens", json: `{"note": "compat"}`, header: map[string]string{"X-XSRFToken": "{xsrf}"},
			keep: map[string]string{"token.admin": "token", "id.admin": "id"},
		},
		{as: "admin", do: "GET user"},
		{as: "admin", do: "POST users", json: `{"usernames": ["dave", "gina"]}`, note: "named by roles"},
		{as: "admin", do: "POST groups/staff", note: "named by a role"},
		{as: "admin", do: "POST users", json: `{"usernames": ["alice", "bob", "carol", "erin", "fay", "sloan", "joe b@ex.org"]}`},
	})
	for _, name := range []string{"alice", "bob", "carol", "erin"} {
		all = append(all, token(name, name, `{"note": "compat"}`))
	}
	return append(all,
		token("expired", "alice", `{"expires_in": 1}`),
		pair{as: "expired", do: "GET user", until: 403},
		token("read-only", "alice", `{"scopes": ["read:users!user"]}`),
		token("no-scopes", "alice", `{"scopes": []}`),
	)
}

// login is what a browser does to log in.
func login(name string) []pair {
	browser := "browser." + name
	return []pair{
		{as: browser, do: "GET /hub/login"},
		{
			as: browser, do: "POST /hub/login", form: "username=" + name + "&password=" + password + "&_xsrf={xsrf}",
			keep: map[string]string{"cookie." + name: "=jupyterhub-hub-login"},
		},
	}
}

// token makes a credential of this name for the user.
func token(credential, user, body string) pair {
	return pair{
		as: "admin", do: "POST users/" + user + "/tokens", json: body, note: credential,
		keep: map[string]string{"token." + credential: "token", "id." + credential: "id"},
	}
}

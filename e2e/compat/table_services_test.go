package compat

func servicePairs() []pair {
	return join(
		[]pair{
			{as: "admin", do: "GET services", note: "none yet"},
			{as: "admin", do: "POST services/dash", json: `{"info": {"a": 1}, "api_token": "dash-secret-of-many-letters"}`},
			{as: "admin", do: "POST services/dash", json: `{}`, note: "exists"},
			{as: "admin", do: "POST services/plain", json: `{"display": false}`},
			{as: "admin", do: "POST services/boss", json: `{"admin": true, "api_token": "boss-secret-of-many-letters"}`},
			{as: "admin", do: "POST services/run", json: `{"command": ["true"]}`},
			{as: "admin", do: "POST services/wrong", json: `{"colour": 1}`},
			{as: "admin", do: "POST services/wrong", json: `{"admin": "yes"}`},
			{as: "admin", do: "POST services/wrong", json: `{"url": 5}`},
			{as: "admin", do: "POST services/wrong", json: `{"oauth_client_id": "x-1"}`},
			{as: "admin", do: "POST services/wrong", json: `{"oauth_client_allowed_scopes": ["no:such"], "url": "http://127.0.0.1:1"}`},
			{as: "admin", do: "POST services/wrong", json: `[`},
			{as: "alice", do: "POST services/wrong"},
			{as: "", do: "POST services/wrong"},
		},
		each(anybody, "GET services", "GET services/dash", "GET services/none"),
		serviceCredentials(),
		[]pair{
			{as: "alice", do: "DELETE services/plain"},
			{as: "", do: "DELETE services/plain"},
			{as: "admin", do: "DELETE services/plain"},
			{as: "admin", do: "DELETE services/plain", note: "again"},
			{as: "admin", do: "PATCH services/dash"},
			{as: "admin", do: "GET services/"},
			{as: "admin", do: "GET services", note: "at the end"},
		},
	)
}

// serviceCredentials ask as services: one without any role, and one that is an administrator.
func serviceCredentials() []pair {
	var all []pair
	for _, name := range []string{"dash", "boss"} {
		for _, do := range []string{"GET user", "GET users?limit=2", "GET users/alice", "GET services", "GET groups", "GET info", "POST users/alice/tokens", "POST users/" + name + "/tokens"} {
			all = append(all, pair{do: do, header: map[string]string{"Authorization": "token " + name + "-secret-of-many-letters"}, note: "service " + name})
		}
	}
	return all
}

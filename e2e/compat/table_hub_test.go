package compat

func hubPairs() []pair {
	return join(
		each(anybody, "GET /hub/api", "GET /hub/api/", "GET info", "GET health", "GET /hub/health", "GET metrics", "GET /hub/metrics", "GET nothing"),
		each([]string{"admin", ""}, "OPTIONS /hub/api", "OPTIONS users", "OPTIONS users/alice", "OPTIONS nothing", "HEAD health", "HEAD users", "HEAD user", "HEAD /hub/health",
			"POST /hub/api", "PUT users", "DELETE users", "PATCH users", "POST info", "DELETE user", "PUT users/alice/server", "POST nothing", "GET users/alice/nothing",
			"GET users//", "GET users/alice/tokens/a/b"),
		each([]string{"alice", "wrong", ""}, "POST shutdown"),
		[]pair{
			{as: "admin", do: "POST shutdown", json: `{"proxy": "yes"}`},
			{as: "admin", do: "POST shutdown", json: `{"servers": "x"}`},
			{as: "admin", do: "POST shutdown", json: `{`},
			{as: "admin", do: "GET shutdown"},
		},
		credentialForms(),
	)
}

// credentialForms are ways to write a credential.
func credentialForms() []pair {
	var all []pair
	for _, value := range []string{
		"token {token.alice}", "Token {token.alice}", "TOKEN {token.alice}", "bearer {token.alice}", "Bearer {token.alice}", "Bearer  {token.alice}",
		"Bearer {token.alice} more", "{token.alice}", "Basic {token.alice}", "Bearer", "Bearer ", "tokens {token.alice}", "token\t{token.alice}",
	} {
		all = append(all, pair{do: "GET user", header: map[string]string{"Authorization": value}, note: "Authorization: " + value})
	}
	return append(all,
		pair{do: "GET user?token={token.alice}"},
		pair{as: "browser.admin", do: "GET user"},
		pair{as: "browser.admin", do: "GET user", header: map[string]string{"Authorization": "token wrong"}, note: "wrong token, good cookie"},
		pair{as: "browser.admin", do: "GET user", header: map[string]string{"Authorization": "token {token.alice}"}, note: "good token, other's cookie"},
	)
}

// lastPairs end the hubs.
func lastPairs() []pair {
	return []pair{{as: "admin", do: "POST shutdown", json: `{"servers": true, "proxy": false}`, note: "for good"}}
}

// proxyPairs are about the table of routes.
func proxyPairs() []pair {
	return join(
		each([]string{"alice", "wrong", ""}, "GET proxy", "POST proxy", "PATCH proxy"),
		[]pair{
			{as: "admin", do: "GET proxy"},
			{as: "admin", do: "GET proxy?limit=1"},
			{as: "admin", do: "GET proxy?limit=x"},
			{as: "admin", do: "GET proxy?limit=1", header: map[string]string{"Accept": "application/jupyterhub-pagination+json"}, note: "paged"},
			{as: "admin", do: "POST proxy"},
			{as: "admin", do: "PATCH proxy", json: `[`},
			{as: "admin", do: "PATCH proxy", json: `[1]`},
			{as: "admin", do: "PATCH proxy"},
			{as: "admin", do: "DELETE proxy"},
		},
	)
}

// authorizationPairs are about the endpoints that older services identify visitors with.
func authorizationPairs() []pair {
	return join(
		each(anybody, "GET authorizations/token/{token.alice}", "GET authorizations/token/nothing", "GET authorizations/cookie/jupyterhub-hub-login/nothing",
			"GET authorizations/cookie/jupyterhub-hub-login/{cookie.admin}", "GET authorizations/token/{token.expired}", "GET authorizations/token/{token.no-scopes}",
			"POST authorizations/token", "POST authorizations/token/{token.alice}", "GET authorizations/token", "GET authorizations/cookie/jupyterhub-hub-login"),
	)
}

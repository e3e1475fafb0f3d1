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
			{as: "admin", do: "POST services/web", json: `{"url": "http://127.0.0.1:1", "api_token": "web-secret-of-many-letters"}`},
			{as: "admin", do: "POST services/far", json: `{"api_token": "far-secret-of-many-letters", "oauth_client_id": "service-far", "oauth_redirect_uri": "http://127.0.0.1:3/back"}`},
			{as: "admin", do: "POST services/quick", json: `{"url": "http://127.0.0.1:2", "api_token": "quick-secret-of-many-letters", "oauth_no_confirm": true}`},
			{as: "alice", do: "DELETE services/plain"},
			{as: "", do: "DELETE services/plain"},
			{as: "admin", do: "DELETE services/plain"},
			{as: "admin", do: "DELETE services/plain", note: "again"},
			{as: "admin", do: "PATCH services/dash"},
			{as: "admin", do: "GET services/"},
			{as: "admin", do: "GET services", note: "at the end"},
		},
		serviceLogins(),
	)
}

// serviceLogins are visits of services that log people in with the hub.
func serviceLogins() []pair {
	const web, quick = "oauth2/authorize?client_id=service-web&response_type=code&state=s", "oauth2/authorize?client_id=service-quick&response_type=code&state=s"
	const far = "oauth2/authorize?client_id=service-far&response_type=code&state=s"
	exchange := func(name, code string) pair {
		return pair{
			do: "POST oauth2/token", form: "client_id=service-" + name + "&client_secret=" + name + "-secret-of-many-letters&grant_type=authorization_code&code={" + code + "}",
			keep: map[string]string{"token." + code: "access_token"},
		}
	}
	return []pair{
		{as: "browser.admin", do: "GET " + web},
		{as: "browser.admin", do: "GET " + web + "&redirect_uri=/services/web/oauth_callback"},
		{as: "browser.admin", do: "GET " + web + "&redirect_uri=http://127.0.0.1:1/elsewhere"},
		{as: "browser.admin", do: "GET " + far},
		{as: "browser.admin", do: "GET " + far + "&redirect_uri=http://127.0.0.1:3/back"},
		{as: "browser.admin", do: "GET " + far + "&redirect_uri=http://127.0.0.1:3/elsewhere"},
		{as: "browser.admin", do: "POST " + far, form: "_xsrf={xsrf}&scopes=access:services!service=far"},
		{as: "browser.alice", do: "GET " + far},
		{as: "browser.admin", do: "POST " + web, form: "_xsrf={xsrf}&scopes=access:services!service=web", keep: map[string]string{"web.1": "?code"}},
		exchange("web", "web.1"),
		{as: "web.1", do: "GET user"},
		{as: "web.1", do: "GET users"},
		{as: "web.1", do: "GET services/web"},
		{as: "browser.admin", do: "GET " + quick, keep: map[string]string{"quick.1": "?code"}},
		exchange("quick", "quick.1"),
		{as: "quick.1", do: "GET user"},
		{as: "admin", do: "DELETE services/web"},
		{as: "web.1", do: "GET user", note: "the service is gone"},
		{as: "browser.admin", do: "GET " + web, note: "the service is gone"},
		{as: "admin", do: "DELETE services/quick"},
		{as: "admin", do: "DELETE services/far"},
	}
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

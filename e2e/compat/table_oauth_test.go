package compat

// oauthPairs are the flow by which a server logs a visitor in, and its failures.
func oauthPairs() []pair {
	const authorize, back = "oauth2/authorize?client_id={client.carol}&response_type=code&state=xyz", "&redirect_uri=/user/carol/oauth_callback"
	return join(
		[]pair{
			{as: "admin", do: "POST users/carol/server", note: "for OAuth"},
			{as: "", do: "GET /user/carol/secrets", keep: map[string]string{"secret.carol": "token", "client.carol": "client"}},
			{as: "browser.nobody", do: "GET " + authorize + back},
			{as: "carol", do: "GET " + authorize + back, note: "token, no cookie"},
			{as: "browser.carol", do: "GET " + authorize + back, keep: map[string]string{"oauth.1": "?code"}},
			{as: "browser.carol", do: "GET " + authorize, note: "without redirect_uri", keep: map[string]string{"oauth.2": "?code"}},
			{as: "browser.carol", do: "GET " + authorize + back + "&unknown=1&code_challenge=abc", note: "unknown parameters", keep: map[string]string{"oauth.3": "?code"}},
			{as: "browser.carol", do: "GET " + authorize + "&redirect_uri=/user/carol/elsewhere"},
			{as: "browser.carol", do: "GET " + authorize + "&redirect_uri={origin}/user/carol/oauth_callback"},
			{as: "browser.carol", do: "GET oauth2/authorize"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id=none&response_type=code"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id=jupyterhub&response_type=code"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=token&state=s" + back},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&state=s" + back, note: "no response_type"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=no:such"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=admin:users"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=identify", note: "identify", keep: map[string]string{"oauth.4": "?code"}},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=access:servers!server=carol/", keep: map[string]string{"oauth.5": "?code"}},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=code" + back, note: "no state", keep: map[string]string{"oauth.6": "?code"}},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=code&state=a%3D%3D%26b%20c" + back, note: "odd state"},
			{as: "browser.bob", do: "GET " + authorize + back, note: "no access"},
			{as: "browser.admin", do: "GET " + authorize + back, note: "consent"},
			{as: "browser.admin", do: "POST " + authorize + back, form: "_xsrf={xsrf}&scopes=access:servers!server=carol/", keep: map[string]string{"oauth.a": "?code"}},
			{as: "browser.admin", do: "POST " + authorize + back, form: "_xsrf={xsrf}", note: "no scopes", keep: map[string]string{"oauth.b": "?code"}},
			{as: "browser.admin", do: "POST " + authorize + back, form: "scopes=access:servers!server=carol/", note: "no XSRF"},
			{as: "browser.bob", do: "POST " + authorize + back, form: "_xsrf={xsrf}", note: "no access"},
			{as: "", do: "POST " + authorize + back, form: "x=1"},
			{as: "browser.carol", do: "PUT " + authorize + back},
		},
		tokenRequests(),
		[]pair{
			{as: "oauth", do: "GET user"},
			{as: "oauth", do: "GET users/carol"},
			{as: "oauth", do: "GET users"},
			{as: "oauth", do: "POST users/carol/activity", json: `{"last_activity": "2026-01-01T00:00:00Z"}`},
			{as: "oauth.admin", do: "GET user"},
			{as: "oauth.admin", do: "GET users/admin"},
			{as: "carol", do: "GET users/carol/tokens", note: "with OAuth's"},
			{as: "browser.admin", do: "GET " + authorize + back, note: "no consent again"},
			{as: "browser.carol", do: "GET /hub/logout", note: "with OAuth tokens"},
			{as: "oauth", do: "GET user", note: "after logout"},
			{as: "carol", do: "GET user", note: "after logout"},
			{as: "oauth.admin", do: "GET user", note: "another's logout"},
			{as: "admin", do: "DELETE users/carol/server", note: "of OAuth"},
			{as: "oauth.admin", do: "GET user", note: "after the stop"},
		},
		login("carol"),
	)
}

// tokenRequests exchange codes.
func tokenRequests() []pair {
	const client = "client_id={client.carol}&client_secret={secret.carol}"
	const grant = "&grant_type=authorization_code"
	ask := func(form, note string) pair { return pair{do: "POST oauth2/token", form: form, note: note} }
	all := []pair{
		ask("client_id=none&client_secret=x"+grant+"&code={oauth.1}", "unknown client"),
		ask("client_id={client.carol}&client_secret=wrong"+grant+"&code={oauth.1}", "wrong secret"),
		ask("client_id={client.carol}"+grant+"&code={oauth.1}", "no secret"),
		ask("client_secret={secret.carol}"+grant+"&code={oauth.1}", "no client"),
		ask(client+grant+"&code=nothing", "unknown code"),
		ask(client+grant, "no code"),
		ask(client+"&code={oauth.1}", "no grant type"),
		ask(client+"&grant_type=password&code={oauth.1}", "password"),
		ask(client+"&grant_type=client_credentials", "client credentials"),
		ask(client+"&grant_type=refresh_token&refresh_token=x", "refresh"),
		ask(client+grant+"&code={oauth.1}&redirect_uri=/user/carol/elsewhere", "wrong redirect"),
		ask(client+grant+"&code={oauth.1}&redirect_uri=/user/carol/oauth_callback", "good"),
		ask(client+grant+"&code={oauth.1}&redirect_uri=/user/carol/oauth_callback", "used"),
		ask(client+grant+"&code={oauth.2}", "good without redirect"),
		ask(client+grant+"&code={oauth.4}&redirect_uri=/user/carol/oauth_callback&code_verifier=abc", "verifier unasked"),
		ask(client+grant+"&code={oauth.a}", "administrator's"),
		ask(client+grant+"&code={oauth.b}", "administrator's without scopes"),
		{do: "POST oauth2/token", json: `{"grant_type": "authorization_code"}`},
		{do: "POST oauth2/token", note: "no body"},
		{do: "GET oauth2/token"},
		{as: "server", do: "POST oauth2/token", form: client + grant + "&code={oauth.5}", note: "with an old token in the header"},
		{do: "POST oauth2/token", form: "grant_type=authorization_code&code={oauth.6}", header: map[string]string{"Authorization": "Basic Y2xpZW50OnNlY3JldA=="}, note: "Basic"},
	}
	all[11].keep = map[string]string{"token.oauth": "access_token"}
	all[15].keep = map[string]string{"token.oauth.admin": "access_token"}
	return all
}

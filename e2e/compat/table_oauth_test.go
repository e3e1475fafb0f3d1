package compat

// The verifier of a proof key, and its challenge.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

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
			{as: "browser.carol", do: "GET " + authorize + back + "&unknown=1&nonce=2", note: "unknown parameters"},
			{as: "browser.carol", do: "GET " + authorize + back + "&code_challenge_method=S256&code_challenge=" + challenge, note: "challenge", keep: map[string]string{"oauth.3": "?code"}},
			{as: "browser.carol", do: "GET " + authorize + back + "&code_challenge_method=plain&code_challenge=" + verifier, note: "plain challenge"},
			{as: "browser.carol", do: "GET " + authorize + back + "&code_challenge=" + verifier, note: "plain challenge by default"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=identify", note: "identify", keep: map[string]string{"oauth.4": "?code"}},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=access:servers!server=carol/", keep: map[string]string{"oauth.5": "?code"}},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=code" + back, note: "no state", keep: map[string]string{"oauth.6": "?code"}},
			{as: "browser.admin", do: "GET " + authorize + back, note: "consent"},
			{as: "browser.admin", do: "POST " + authorize + back, form: "_xsrf={xsrf}&scopes=access:servers!server=carol/", keep: map[string]string{"oauth.a": "?code"}},
			{as: "browser.admin", do: "POST " + authorize + back, form: "_xsrf={xsrf}", note: "no scopes", keep: map[string]string{"oauth.b": "?code"}},
		},
		tokenRequests(),
		[]pair{
			{as: "browser.carol", do: "GET " + authorize + "&redirect_uri=/user/carol/elsewhere"},
			{as: "browser.carol", do: "GET " + authorize + "&redirect_uri={origin}/user/carol/oauth_callback"},
			{as: "browser.carol", do: "GET oauth2/authorize"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id=none&response_type=code"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id=jupyterhub&response_type=code"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=token&state=s" + back},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&state=s" + back, note: "no response_type"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=no:such"},
			{as: "browser.carol", do: "GET " + authorize + back + "&scope=admin:users"},
			{as: "browser.carol", do: "GET oauth2/authorize?client_id={client.carol}&response_type=code&state=a%3D%3D%26b%20c" + back, note: "odd state"},
			{as: "browser.bob", do: "GET " + authorize + back, note: "no access"},
			{as: "browser.admin", do: "POST " + authorize + back, form: "scopes=access:servers!server=carol/", note: "no XSRF"},
			{as: "browser.bob", do: "POST " + authorize + back, form: "_xsrf={xsrf}", note: "no access"},
			{as: "", do: "POST " + authorize + back, form: "x=1"},
			{as: "browser.carol", do: "PUT " + authorize + back},
		},
		[]pair{
			{as: "oauth", do: "GET user"},
			{as: "oauth", do: "GET users/carol"},
			{as: "oauth", do: "GET users"},
			{as: "oauth", do: "POST users/carol/activity", json: `{"last_activity": "2026-01-01T00:00:00Z"}`},
			{as: "oauth.admin", do: "GET user"},
			{as: "oauth.admin", do: "GET users/admin"},
			{as: "carol", do: "GET users/carol/tokens", note: "with OAuth's"},
			{as: "oauth.twice", do: "GET user"},
			{do: "POST oauth2/token", form: codeForm + "&code={oauth.2}", note: "used"},
			{as: "oauth.twice", do: "GET user", note: "after the second use of its code"},
			{as: "oauth", do: "GET user", note: "after the second use of another's code"},
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

const (
	oauthClient = "client_id={client.carol}&client_secret={secret.carol}"
	codeGrant   = "&grant_type=authorization_code"
	codeForm    = oauthClient + codeGrant
)

// tokenRequests exchange codes.
func tokenRequests() []pair {
	ask := func(form, note string) pair { return pair{do: "POST oauth2/token", form: form, note: note} }
	all := []pair{
		ask("client_id=none&client_secret=x"+codeGrant+"&code={oauth.1}", "unknown client"),
		ask("client_id={client.carol}&client_secret=wrong"+codeGrant+"&code={oauth.1}", "wrong secret"),
		ask("client_id={client.carol}"+codeGrant+"&code={oauth.1}", "no secret"),
		ask("client_secret={secret.carol}"+codeGrant+"&code={oauth.1}", "no client"),
		ask(codeForm+"&code=nothing", "unknown code"),
		ask(codeForm, "no code"),
		ask(oauthClient+"&code={oauth.1}", "no grant type"),
		ask(oauthClient+"&grant_type=password&code={oauth.1}", "password"),
		ask(oauthClient+"&grant_type=client_credentials", "client credentials"),
		ask(oauthClient+"&grant_type=refresh_token&refresh_token=x", "refresh"),
		ask(codeForm+"&code={oauth.1}&redirect_uri=/user/carol/elsewhere", "wrong redirect"),
		ask(codeForm+"&code={oauth.1}&redirect_uri=/user/carol/oauth_callback", "good"),
		ask(codeForm+"&code={oauth.2}", "good without redirect"),
		ask(codeForm+"&code={oauth.4}&redirect_uri=/user/carol/oauth_callback&code_verifier=abc", "verifier unasked"),
		ask(codeForm+"&code={oauth.3}&code_verifier="+verifier, "verifier"),
		ask(codeForm+"&code={oauth.a}", "administrator's"),
		ask(codeForm+"&code={oauth.b}", "administrator's without scopes"),
		{do: "POST oauth2/token", json: `{"grant_type": "authorization_code"}`},
		{do: "POST oauth2/token", note: "no body"},
		{do: "GET oauth2/token"},
		{as: "server", do: "POST oauth2/token", form: codeForm + "&code={oauth.5}", note: "with an old token in the header"},
		{do: "POST oauth2/token", form: "grant_type=authorization_code&code={oauth.6}", header: map[string]string{"Authorization": "Basic Y2xpZW50OnNlY3JldA=="}, note: "Basic"},
	}
	all[11].keep = map[string]string{"token.oauth": "access_token"}
	all[12].keep = map[string]string{"token.oauth.twice": "access_token"}
	all[15].keep = map[string]string{"token.oauth.admin": "access_token"}
	return all
}

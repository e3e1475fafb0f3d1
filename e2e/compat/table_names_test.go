package compat

// namePairs are about names that have to be encoded.
func namePairs() []pair {
	var all []pair
	for _, name := range []string{"joe%20b@ex.org", "j%C3%B6rg", "a%2Bb", "a%26b%3Dc", "a%25b", "a%22b", "%3Cb%3E", "a%3Ab", "a.b-c_d~e", "a%27b"} {
		all = append(all,
			pair{as: "admin", do: "POST users/" + name}, pair{as: "admin", do: "GET users/" + name},
			pair{as: "admin", do: "POST users/" + name + "/tokens", keep: map[string]string{"token.odd": "token"}},
			pair{as: "odd", do: "GET user", note: name},
			pair{as: "admin", do: "GET users/" + name + "?include_stopped_servers", note: "with servers"},
			pair{as: "browser.admin", do: "GET /hub/user/" + name + "/"},
			pair{as: "browser.admin", do: "GET /hub/spawn-pending/" + name},
		)
	}
	all = append(all, join(odd("joe%20b@ex.org"), odd("j%C3%B6rg"))...)
	for _, name := range []string{"%20a", "a%20", "a%2Fb", "%00", "a%0Ab", ""} {
		all = append(all, pair{as: "admin", do: "POST users/" + name}, pair{as: "admin", do: "GET users/" + name})
	}
	return all
}

// odd is a visit at a server whose owner's name has to be encoded.
func odd(name string) []pair {
	return []pair{
		{as: "admin", do: "POST users/" + name + "/server"},
		{as: "admin", do: "GET users/" + name, note: "runs"},
		{as: "admin", do: "GET users/" + name + "/server/progress"},
		{as: "", do: "GET /user/" + name + "/secrets", keep: map[string]string{"secret.odd": "token", "client.odd": "client"}},
		{as: "browser.admin", do: "GET oauth2/authorize?client_id={client.odd}&response_type=code&state=s", note: name},
		{as: "admin", do: "DELETE users/" + name + "/server"},
		{as: "admin", do: "DELETE users/" + name},
	}
}

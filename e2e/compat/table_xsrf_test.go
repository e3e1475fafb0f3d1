package compat

// xsrfPairs ask the API with a browser's cookies, as pages of this and of other sites do.
func xsrfPairs() []pair {
	var all []pair
	for _, h := range []map[string]string{
		{}, {"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "same-origin"}, {"Sec-Fetch-Mode": "no-cors"},
		{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Mode": "websocket"}, {"Origin": "http://evil.example"},
		{"X-XSRFToken": "{xsrf}"}, {"X-CSRFToken": "{xsrf}"}, {"X-XSRFToken": "wrong"}, {"Sec-Fetch-Mode": "cors", "X-XSRFToken": "{xsrf}"},
		{"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-8", "X-XSRFToken": "{xsrf}"},
		{"Content-Type": "application/x-www-form-urlencoded", "X-XSRFToken": "{xsrf}"}, {"Content-Type": "text/plain", "X-XSRFToken": "{xsrf}"},
	} {
		note := "headers"
		for _, name := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Site", "Origin", "X-XSRFToken", "X-CSRFToken", "Content-Type"} {
			if h[name] != "" {
				note += " " + name + ":" + h[name]
			}
		}
		for _, do := range []string{"GET user", "GET users/alice", "POST users/alice/activity", "POST users/alice/tokens", "DELETE users/alice/tokens/a999999", "GET nothing", "GET /hub/api"} {
			p := pair{as: "browser.alice", do: do, header: h, note: note}
			if do == "POST users/alice/tokens" {
				p.json = `{"scopes": ["no:such"]}`
			}
			all = append(all, p)
		}
		all = append(all, pair{as: "browser.nobody", do: "GET user", header: h, note: note}, pair{as: "alice", do: "GET user", header: h, note: note})
	}
	return append(all,
		pair{as: "browser.alice", do: "GET user?_xsrf={xsrf}", header: map[string]string{"Sec-Fetch-Mode": "cors"}},
		pair{as: "browser.alice", do: "POST users/alice/tokens?_xsrf={xsrf}", json: `{"note": "by a browser"}`},
		pair{as: "browser.alice", do: "GET users/alice/server/progress", header: map[string]string{"Sec-Fetch-Mode": "cors"}},
		pair{as: "browser.alice", do: "GET users/alice/server/progress?_xsrf={xsrf}", header: map[string]string{"Sec-Fetch-Mode": "cors"}},
	)
}

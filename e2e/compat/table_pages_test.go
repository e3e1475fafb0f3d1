package compat

import "net/url"

func pagePairs() []pair {
	return join(
		login("alice"), login("bob"), login("carol"),
		each([]string{"browser.alice", "browser.nobody"},
			"GET /", "GET /hub", "GET /hub/", "GET /hub/home", "GET /hub/token", "GET /hub/admin", "GET /hub/error/404", "GET /hub/error/503", "GET /hub/error/x", "GET /hub/logo",
			"GET /hub/nothing", "GET /hub/static/nothing.js", "GET /nothing", "GET /nothing/below?a=1", "POST /nothing", "GET /user/alice", "GET /user/alice/", "GET /user/alice/lab?x=1",
			"GET /user/bob/", "GET /user/nobody/", "GET /services/none", "GET /services/none/", "POST /user/alice/api/contents", "PUT /user/alice/api/contents",
			"GET /hub/user/alice/", "GET /hub/user/alice/lab", "GET /hub/user/alice/api/contents", "GET /hub/user/bob/", "GET /hub/user/nobody/", "GET /hub/user/",
			"GET /hub/user", "POST /hub/user/alice/", "DELETE /hub/user/alice/", "PATCH /hub/user/alice/", "PUT /hub/user/alice/",
			"GET /hub/spawn-pending/alice", "GET /hub/spawn-pending/bob", "GET /hub/spawn-pending/nobody", "GET /hub/spawn-pending/alice/none", "GET /hub/spawn-pending",
			"GET /hub/spawn/bob", "GET /hub/spawn/nobody", "GET /hub/user-redirect/lab/tree?x=1", "GET /hub/user-redirect/", "POST /hub/home", "POST /hub/logo",
			"POST /hub/security/csp-report", "HEAD /hub/login", "HEAD /hub/home", "HEAD /hub/logo", "GET /hub/accept-share", "GET /hub/api/nothing"),
		each([]string{"browser.admin"}, "GET /hub/admin", "GET /hub/user/alice/", "GET /hub/user/nobody/", "GET /hub/spawn-pending/alice", "GET /hub/spawn-pending/nobody", "GET /hub/spawn/nobody"),
		each([]string{"alice"}, "GET /hub/home", "GET /hub/token", "GET /hub/user/alice/", "GET /hub/user/bob/", "GET /hub/spawn/bob"),
		[]pair{
			{as: "browser.alice", do: "GET /hub/user/alice/lab", header: map[string]string{"Accept": "application/json"}, note: "JSON"},
			{as: "browser.alice", do: "GET /hub/user/alice/lab", header: map[string]string{"Accept": "text/html, application/json"}, note: "rather HTML"},
		},
		nextPairs(), loginPairs(), visitPairs(), login("carol"), xsrfPairs(),
	)
}

// nextPairs are about where the login page leads who is logged in.
func nextPairs() []pair {
	var all []pair
	for _, next := range []string{
		"/hub/home", "/user/alice/lab?a=b#c", "hub/home", "//evil.example/", "///evil.example/", "http://evil.example/", "https://{origin}/", "{origin}/hub/home",
		`\\evil.example`, `/\evil.example`, "/hub/home?x=%2F%2Fy", "javascript:alert(1)", "", "/", "//127.0.0.1:1/", "/user/alice%20b/", "{origin}.evil.example/hub",
		"http:/hub/home", "http:hub/home", "/hub/../x",
	} {
		all = append(all, pair{as: "browser.alice", do: "GET /hub/login?next=" + escapeNext(next), note: "next=" + next})
	}
	return append(all,
		pair{as: "browser.alice", do: "GET /hub/login?other=1"},
		pair{as: "browser.alice", do: "GET /hub/login?other=1&next=/hub/home"},
		pair{as: "browser.alice", do: "GET /hub/?other=1"},
	)
}

// escapeNext leaves variables as they are.
func escapeNext(s string) string {
	return variable.ReplaceAllStringFunc(url.QueryEscape(s), func(v string) string { return v })
}

func loginPairs() []pair {
	return []pair{
		{as: "browser.new", do: "GET /hub/login?next=%2Fhub%2Ftoken"},
		{as: "browser.new", do: "POST /hub/login", form: "username=dave&password=wrong&_xsrf={xsrf}"},
		{as: "browser.new", do: "POST /hub/login", form: "username=dave&password=" + password, note: "no XSRF"},
		{as: "browser.new", do: "POST /hub/login", form: "username=dave&password=" + password + "&_xsrf=wrong", note: "wrong XSRF"},
		{as: "browser.new", do: "POST /hub/login", form: "username=dave&password=" + password, header: map[string]string{"Sec-Fetch-Mode": "cors"}, note: "no XSRF, a script"},
		{as: "browser.new", do: "POST /hub/login", form: "username=&password=" + password + "&_xsrf={xsrf}"},
		{as: "browser.new", do: "POST /hub/login", form: "username=a/b&password=" + password + "&_xsrf={xsrf}"},
		{as: "browser.new", do: "POST /hub/login?next=%2Fhub%2Ftoken", form: "username=%20DAVE%20&password=" + password + "&_xsrf={xsrf}"},
		{as: "browser.new", do: "GET user"},
		{as: "browser.new", do: "GET /hub/login"},
		{as: "browser.new", do: "GET /hub/logout"},
		{as: "browser.new", do: "GET user", note: "logged out"},
		{as: "browser.new", do: "GET /hub/logout", note: "again"},
		{as: "browser.new", do: "GET /hub/home", note: "logged out"},
		{as: "browser.new", do: "PUT /hub/login"},
		{as: "browser.new", do: "POST /hub/logout"},
		{as: "browser.first", do: "GET /hub/login"},
		{as: "browser.first", do: "POST /hub/login", form: "username=newcomer&password=" + password + "&_xsrf={xsrf}", note: "a new user"},
		{as: "browser.first", do: "GET user"},
	}
}

// visitPairs are a first visit, and what a browser sees of a server that runs and of one that never answers.
func visitPairs() []pair {
	return []pair{
		{as: "admin", do: "POST users/alice/server", note: "for visits"},
		{as: "browser.alice", do: "GET /hub/spawn"},
		{as: "browser.alice", do: "GET /hub/spawn?next=%2Fuser%2Falice%2Flab"},
		{as: "browser.alice", do: "GET /hub/spawn-pending/alice"},
		{as: "browser.alice", do: "GET /hub/"},
		{as: "browser.alice", do: "GET /user/alice/lab"},
		{as: "browser.alice", do: "GET /user/alice"},
		{as: "browser.alice", do: "GET /hub/user/alice/lab?x=1", note: "loop"},
		{as: "browser.alice", do: "GET /hub/user/alice/lab?redirects=1", note: "loop"},
		{as: "browser.alice", do: "GET /hub/user/alice/lab?redirects=4", note: "loop"},
		{as: "browser.alice", do: "GET /hub/user/alice/lab?redirects=x", note: "loop"},
		{as: "browser.alice", do: "POST /hub/spawn", form: "_xsrf={xsrf}", note: "runs already"},
		{as: "browser.bob", do: "GET /hub/spawn/alice"},
		{as: "browser.admin", do: "GET /hub/spawn/alice"},
		{as: "admin", do: "DELETE users/alice/server", note: "after visits"},
		{as: "browser.alice", do: "GET /hub/spawn-pending/alice", note: "stopped"},
		{as: "browser.alice", do: "POST /hub/spawn", form: "x=1", note: "no XSRF"},
		{as: "browser.alice", do: "GET /hub/spawn", note: "from who knows where"},
		{as: "admin", do: "DELETE users/alice/server", note: "from who knows where"},
		{as: "browser.alice", do: "GET /hub/spawn?next=%2Fuser%2Falice%2Flab", header: ownPage(), note: "starts"},
		{as: "admin", do: "POST users/alice/server", until: 400, note: "runs by now"},
		{as: "browser.alice", do: "GET /hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab", note: "runs by now"},
		{as: "admin", do: "DELETE users/alice/server", note: "after the page"},
		{as: "browser.carol", do: "GET /hub/spawn/carol/fresh", header: ownPage()},
		{as: "admin", do: "POST users/carol/servers/fresh", until: 400, note: "runs by now"},
		{as: "browser.carol", do: "GET /user/carol/fresh/lab"},
		{as: "browser.carol", do: "GET /hub/user/carol/fresh/lab"},
		{as: "admin", do: "DELETE users/carol/servers/fresh", json: `{"remove": true}`, note: "after the page"},
		{as: "browser.admin", do: "POST /hub/spawn/carol", form: "_xsrf={xsrf}"},
		{as: "admin", do: "POST users/carol/server", until: 400, note: "runs by now"},
		{as: "admin", do: "DELETE users/carol", note: "with a server"},
		{as: "admin", do: "POST users/carol", note: "back again"},
		token("carol", "carol", `{"note": "compat"}`),
		{as: "browser.carol", do: "GET user", note: "deleted meanwhile"},
	}
}

// ownPage is what a browser says of a link in one of the hub's own pages.
func ownPage() map[string]string {
	return map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
}

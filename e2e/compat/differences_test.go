package compat

// part is the differences about one subject.
type part struct {
	title       string
	differences []difference
}

// parts are the differences that are meant. An entry that no longer differs fails the test.
func parts() []part {
	return []part{
		{"In all answers", everywhere()},
		{"Fields", inBodies()},
		{"Refused or granted otherwise", inStatuses()},
		{"Pages and cookies", onPages()},
		{"OAuth", inOAuth()},
		{"Where JupyterHub is wrong", stockFaults()},
	}
}

// differences are all.
func differences() []difference {
	var all []difference
	for _, part := range parts() {
		all = append(all, part.differences...)
	}
	return all
}

// everywhere are headers and fields of all answers.
func everywhere() []difference {
	return []difference{
		{where: "header Allow", stock: absent, why: "RFC 9110 asks for Allow on a 405; JupyterHub leaves it out"},
		{where: "body*.request_id", stock: absent, why: "an error names its request, which is then found in the log"},
		{where: "cookie * SameSite", stock: absent, ours: "Lax", why: "the hub's own cookies are not sent along from other sites"},
		{where: "cookie _xsrf", stock: "on /hub/*", ours: "on /hub/* HttpOnly", why: "a notebook on the hub's own host could read it, and do in the hub what its visitor may"},
		{where: "header Cache-Control", stock: absent, ours: "no-store", why: "pages and answers about a person are not kept by browsers and caches"},
		{on: []string{"*OPTIONS *"}, where: "header Content-Type", stock: "application/json", ours: "text/plain", why: "an empty body is no JSON"},
		{on: []string{"*OPTIONS *", "POST /hub/api *"}, where: "header Access-Control-Allow-Origin", ours: absent, why: "scripts of other sites may read the version, and nothing else"},
		{on: []string{"DELETE *"}, where: "header Content-Type", ours: "text/plain", why: "an empty answer is text, whatever its status"},
		{on: []string{"GET metrics as *", "GET /hub/metrics as *"}, where: "header Content-Type", why: "another version of the same format; and errors as JSON, since no person asks for metrics"},
		{on: []string{"GET metrics as *", "GET /hub/metrics as *"}, where: "body", stock: page, ours: "*status*403*", why: "the same"},
		{on: []string{"*health *"}, where: "header Content-Type", why: "the body is empty"},
		{on: []string{"POST users/*/activity as *", "POST proxy as *"}, where: "header Content-Type", stock: "application/json", ours: "text/plain", why: "an empty body is no JSON"},
		{on: []string{"GET /hub/logo *", "HEAD /hub/logo *", "GET /hub/static/*"}, where: "header *", why: "another picture, kept by browsers, with the headers of all answers"},
	}
}

// inBodies are fields that JupyterHub 5.5 has not.
func inBodies() []difference {
	return []difference{
		{where: "body*scopes[]", stock: absent, ours: "start:servers*", why: "the scope start:servers of JupyterHub 6.0"},
		{where: "body*.display_name", stock: absent, why: "the names for people of JupyterHub 6.0"},
		{on: []string{"GET users*include_stopped_servers*"}, where: "body*.state", ours: "<state>", why: "what the hub knows of a server that it never started: its ID"},
		{on: []string{"GET users*include_stopped_servers*"}, where: "body*.user_options", stock: "null", ours: "{}", why: "options are an object, also before the first start"},
		{on: []string{"GET users/fay/server/progress as *"}, where: "body[].cause", stock: absent, why: "ours: a word for why a start failed, for programs"},
		{on: []string{"GET /user/carol/fresh/lab as *"}, where: "body.client", why: "the client ID of a named server is its own, and not that of another user's default server; see decision 0009"},
		{where: "body*.user_info", stock: absent, ours: "null", why: "what JupyterHub 6.0 knows of a person"},
		{where: "body*.healthy", stock: absent, why: "ours: whether a service answers"},
		{
			on: []string{"GET user as nobody (service *)"}, where: "body.*", stock: "null",
			why: "what nothing was said of is shown as at the service's own address: JupyterHub has null here and the default there",
		},
		{where: "body*.last_used", stock: absent, why: "ours: when somebody last did something with a server"},
		{on: []string{"GET info *"}, where: "body.nomadhub_version", stock: absent, why: "ours: version is JupyterHub's, whose protocol is spoken"},
	}
}

// inStatuses are requests that are refused, or granted, on purpose.
func inStatuses() []difference {
	return []difference{
		{
			on: []string{"GET users/carol/server as *", "GET users/carol/servers/ as *", "GET users/carol/servers/lab as *"}, where: "status", stock: "405",
			why: "JupyterHub 6.0 shows a server here",
		},
		{on: []string{"GET users/*/server/progress*"}, where: "status", stock: "404", ours: "400", why: "JupyterHub does not find a server that it has not started since it runs itself"},
		{on: []string{"POST users/%20a *", "GET users/%20a *", "GET users/a%20 *", "POST users/a%20 *"}, where: "status", why: "spaces around a name are dropped, as at the login"},
		{on: []string{"* users/%00 as admin", "* users/a%0Ab as admin"}, where: "status", ours: "4*", why: "names have no control characters"},
		{
			on: []string{"POST users as admin (named by roles)", "POST groups/staff as admin (named by a role)"}, where: "status", stock: "409", ours: "201",
			why: "a role of the configuration waits for users and groups; JupyterHub makes at its start those that a role names",
		},
		{
			on: []string{"GET authorizations/cookie/jupyterhub-hub-login/{cookie.admin} as *"}, where: "body.*", stock: absent,
			why: "who has somebody's cookie learns whose it is, as who has a token does one path further; JupyterHub answers with an empty object",
		},
		{on: []string{"PUT users/alice/server as *"}, where: "status", stock: "405", why: "JupyterHub 6.0 makes a server here"},
		{on: []string{"POST groups/props as *"}, where: "status", stock: "400", ours: "201", why: "a group may be made with its properties"},
		{on: []string{"GET authorizations/token as *"}, where: "status", stock: "403", ours: "404", why: "there is nothing at this path, whoever asks"},
		{on: []string{"GET users/ALICE as admin"}, where: "status", stock: "404", ours: "200", why: "names are normalized in paths as they are in bodies"},
		{on: []string{"OPTIONS nothing *"}, where: "status", stock: "404", ours: "200", why: "OPTIONS tells nothing about a path"},
		{
			on:    []string{"* as browser.alice (headers Sec-Fetch-Mode:websocket)"},
			where: "status", ours: "403", why: "a handshake is a GET: whatever else says that it is one is checked like every other request",
		},
	}
}

// onPages are what people see, and what browsers are told with it.
func onPages() []difference {
	return []difference{
		{on: []string{"GET /hub/accept-share as browser.*"}, where: "status", stock: "400", ours: "404", why: "without a code the address leads nowhere"},
		{where: "header Location", stock: "/hub/spawn", ours: "/hub/home", why: "after login people come to their home page, where they choose what to start"},
		{on: []string{"GET /hub/login?other=1 *", "GET /hub/?other=1 *"}, where: "header Location", stock: "/hub/spawn?other=1", ours: "/hub/home?other=1", why: "the same"},
		{on: []string{"GET /hub/ as browser.alice"}, where: "header Location", stock: "/user/alice/", ours: "/hub/home", why: "the same"},
		{
			on: []string{"GET /hub/spawn as browser.alice (from who knows where)"}, where: "status", stock: "302", ours: "200",
			why: "another site's link starts nothing: the page asks, unless the browser says that the link is the hub's own",
		},
		{on: []string{"GET user as browser.carol (deleted meanwhile)"}, where: "cookie jupyterhub-hub-login", ours: absent, why: "the API sets no cookies; the next login replaces what is left"},
		{on: []string{"POST /hub/login*"}, where: "cookie nomadhub-device", stock: absent, why: "with this browser nobody waits for what others guess at their name; it lets nobody in"},
		{on: []string{"POST /hub/login as browser.carol *"}, where: "cookie jupyterhub-session-id", stock: absent, why: "a login begins a new session, whatever a browser brings"},
		{on: []string{"HEAD /hub/login *", "HEAD /hub/home *"}, where: "status", stock: "405", why: "a HEAD is answered as its GET"},
		{
			on:    []string{"PUT /hub/user/alice/ *", "POST /hub/home *", "POST /hub/logo *", "PUT /hub/login *", "POST /hub/logout *", "PUT oauth2/authorize*"},
			where: "status", stock: "403", ours: "405", why: "a method that is not offered is said to be that, with or without the proof of a page",
		},
		{
			on: []string{"POST /hub/security/csp-report as browser.alice"}, where: "status", stock: "403", ours: "204",
			why: "browsers send reports without the proof of a page, so JupyterHub never gets one",
		},
		{on: []string{"POST /user/*", "PUT /user/*"}, where: "header Content-Type", stock: "text/html", ours: "application/json", why: "no person sees the answer to such a request"},
		{on: []string{"POST /user/*", "PUT /user/*"}, where: "body", stock: page, why: "the same"},
		{
			where: "cookie _xsrf", stock: "on /hub/*", ours: absent,
			why: "the proof for forms is only set by pages that have one",
		},
		{on: []string{"GET /hub/user/alice/ as alice"}, where: "cookie _xsrf", why: "a request with a token begins no session"},
		{on: []string{"GET /hub/user/* as alice", "GET metrics as *", "GET /hub/metrics as *"}, where: "cookie jupyterhub-session-id", ours: absent, why: "the same"},
		{
			on: []string{"GET /hub/login* as browser.alice*", "GET /hub/login as browser.new"}, where: "cookie jupyterhub-*", stock: absent,
			why: "who comes to the login page and is logged in gets the cookies anew, as they may be lost with the last window",
		},
		{on: []string{"GET /hub/logout as browser.new (again)"}, where: "cookie *", stock: absent, ours: "*deleted", why: "whoever logs out has no cookies afterwards, whatever they were"},
		{on: []string{"* (next=/hub/../x)"}, where: "header Location", stock: "/hub/../x", why: "dots in a path could lead out of the hub's"},
		{on: []string{"GET /hub/user/alice/lab?redirects=x *"}, where: "header Location", stock: "*redirects=x&redirects=1", why: "what is no number is replaced"},
	}
}

// inOAuth are the provider's.
func inOAuth() []difference {
	return []difference{
		{
			on: []string{"POST oauth2/authorize?client_id=service-far*"}, where: "status", stock: "302", ours: "200",
			why: "forms of the hub's pages lead to the hub only, also by a redirect; so a page sends the visitor on to a service at another address",
		},
		{
			on: []string{"GET user as oauth.twice (after the second use of its code)"}, where: "status", stock: "200", ours: "403",
			why: "a code that is shown again is perhaps a stolen one: the token that it gave is revoked, as RFC 6749 advises. Stock servers show a code once",
		},
		{
			on: []string{"GET oauth2/authorize* (plain challenge*)"}, where: "header Location", stock: "*code=*", ours: "*error=invalid_request*",
			why: "JupyterHub 5 ignores proof keys, and 6 also takes the method plain. Such a challenge is its own verifier, for whoever sees the address; stock servers of 6 send S256",
		},
		{on: []string{"* oauth2/*"}, where: "header Pragma", stock: absent, ours: "no-cache", why: "as with Cache-Control"},
		{on: []string{"POST oauth2/token *"}, where: "body.error_description", stock: absent, why: "errors say what is wrong"},
		{on: []string{"GET oauth2/authorize*"}, where: "header Location", stock: "*error=*", ours: "*error_description=*", why: "the same"},
		{
			on: []string{"POST oauth2/token *"}, where: "body.scope", stock: "*read:users:groups!user read:users:name!user", ours: "*read:users:groups!user=* read:users:name!user=*",
			why: "scopes about the user name them, as everywhere else; clients do not read the field",
		},
	}
}

// stockFaults are what JupyterHub does wrong.
func stockFaults() []difference {
	return []difference{
		{stock: "500", where: "status", ours: "4*", why: "a request that cannot be right is no error of the server"},
		{on: []string{"GET users?name_filter=%25 *", "GET users?name_filter=_ *"}, where: "body[]", ours: absent, why: "JupyterHub takes % and _ of the filter for wildcards of its database"},
		{
			on:    []string{"POST users as admin (text for a list)", "POST groups as admin {\"groups\": \"ab\"}", "POST groups as admin {\"groups\": [7]}", "POST users/alice/tokens as alice {\"note\": 5}"},
			where: "status", stock: "201", ours: "400", why: "JupyterHub takes a text for a list of letters, and a number for a text",
		},
		{on: []string{"POST users/U5 as admin (upper case)"}, where: "body.name", stock: "U5", ours: "u5", why: "JupyterHub normalizes names in one way of making users and not in the other"},
		{
			on: []string{"PATCH shares/erin/ as admin {\"user\": \"alice\", \"scopes\": [\"read:servers\"]}"}, where: "body.scopes[]", stock: "read:servers!server=erin/",
			ours: absent, why: "a scope without a limit means that of the share when it is given, and so when it is taken back; JupyterHub then takes nothing back",
		},
		{on: []string{"GET user as bob (with shares)"}, where: "body.scopes[]", stock: absent, ours: "access:servers!server=erin/lab", why: "what is shared with a group also holds for the tokens of its members"},
		{
			on: []string{"POST users/alice/tokens as alice {\"expires_in\": 0}"}, where: "status", stock: "400", ours: "201",
			why: "JupyterHub up to 5.5.1 takes 0 for never, and scripts send it",
		},
		{
			on: []string{"POST oauth2/authorize* as browser.bob (no access)"}, where: "status", stock: "302", ours: "403",
			why: "JupyterHub gives a code to who may not use the server, if they post the form of the page that it does not show them",
		},
	}
}

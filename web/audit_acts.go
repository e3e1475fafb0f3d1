package web

import "github.com/nomadhub/nomadhub/httpd"

// Acts are the names of what the pages do, for the audit log. They are those of the API where it does the same.
func Acts() httpd.Acts {
	acts := httpd.Acts{
		"POST /login":      {Name: "login", Target: "user"},
		"POST /login/link": {Name: "login", Target: "user"},

		"POST /token":                 {Name: "token.create", Target: "user/{self}"},
		"POST /token/{id}/revoke":     {Name: "token.revoke", Target: "token/{id}"},
		"POST /session/{id}/revoke":   {Name: "session.revoke", Target: "user/{self}"},
		"POST /session/revoke-others": {Name: "session.revoke", Target: "user/{self}"},
		"POST /named":                 {Name: "server.start", Target: "server/{self}"},

		"POST /admin/users":                     {Name: "user.create", Target: "user"},
		"POST /admin/users/{user}/delete":       {Name: "user.delete", Target: "user/{user}"},
		"POST /admin/users/{user}/admin":        {Name: "user.update", Target: "user/{user}"},
		"POST /admin/volumes/{volume}/{action}": {Name: "volume.update", Target: "volume/{volume}"},

		"POST /admin/groups":                  {Name: "group.create", Target: "group"},
		"POST /admin/groups/{group}/{action}": {Name: "group.update", Target: "group/{group}"},

		"POST /accept-share": {Name: "share.accept", Target: "server"},

		"POST /security/csp-report": {},
	}
	for _, method := range []string{"POST ", "PATCH ", "DELETE "} { // meant for a server that does not run
		acts[method+"/user/{user}"], acts[method+"/user/{user}/*"] = httpd.Act{}, httpd.Act{}
	}
	acts["POST /spawn"] = httpd.Act{Name: "server.start", Target: "server/{self}"}
	for page, name := range map[string]string{
		"spawn": "server.start", "stop": "server.stop", "restart": "server.restart", "move": "server.move", "keep": "server.keep",
		"share": "share.update", "leave-share": "share.leave",
	} {
		acts["POST /"+page+"/{user}"] = httpd.Act{Name: name, Target: "server/{user}"}
		acts["POST /"+page+"/{user}/{server}"] = httpd.Act{Name: name, Target: "server/{user}/{server}"}
	}
	return acts
}

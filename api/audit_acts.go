package api

import "github.com/nomadhub/nomadhub/httpd"

// Acts are the names of what requests to the API do, for the audit log. What servers report by themselves is no act of anybody's.
func Acts() httpd.Acts {
	acts := httpd.Acts{
		"POST /api/users":                         {Name: "user.create", Target: "user"},
		"POST /api/users/{name}":                  {Name: "user.create", Target: "user/{name}"},
		"PATCH /api/users/{name}":                 {Name: "user.update", Target: "user/{name}"},
		"DELETE /api/users/{name}":                {Name: "user.delete", Target: "user/{name}"},
		"POST /api/users/{name}/activity":         {},
		"POST /api/users/{name}/tokens":           {Name: "token.create", Target: "user/{name}"},
		"DELETE /api/users/{name}/tokens/{token}": {Name: "token.revoke", Target: "token/{token}"},

		"POST /api/groups":                   {Name: "group.create", Target: "group"},
		"POST /api/groups/{group}":           {Name: "group.create", Target: "group/{group}"},
		"DELETE /api/groups/{group}":         {Name: "group.delete", Target: "group/{group}"},
		"POST /api/groups/{group}/users":     {Name: "group.member.add", Target: "group/{group}"},
		"DELETE /api/groups/{group}/users":   {Name: "group.member.remove", Target: "group/{group}"},
		"PUT /api/groups/{group}/properties": {Name: "group.properties", Target: "group/{group}"},

		"POST /api/services/{service}":                  {Name: "service.create", Target: "service/{service}"},
		"PATCH /api/services/{service}":                 {Name: "service.update", Target: "service/{service}"},
		"DELETE /api/services/{service}":                {Name: "service.delete", Target: "service/{service}"},
		"POST /api/services/{service}/tokens":           {Name: "token.create", Target: "service/{service}"},
		"DELETE /api/services/{service}/tokens/{token}": {Name: "token.revoke", Target: "token/{token}"},

		"POST /api/authorizations/token/{secret}": {}, // always refused, and so is the next
		"POST /api/users/{name}/admin-access":     {},

		"POST /api/shutdown": {Name: "hub.shutdown", Target: "hub"},
		"POST /api/proxy":    {Name: "proxy.check", Target: "proxy"},
		"PATCH /api/proxy":   {Name: "proxy.update", Target: "proxy"},

		"PATCH /api/volumes/{volume}":                     {Name: "volume.update", Target: "volume/{volume}"},
		"DELETE /api/volumes/{volume}":                    {Name: "volume.delete", Target: "volume/{volume}"},
		"POST /api/volumes/{volume}/restore":              {Name: "volume.restore", Target: "volume/{volume}"},
		"POST /api/volumes/{volume}/keep":                 {Name: "volume.keep", Target: "volume/{volume}"},
		"DELETE /api/users/{name}/volumes/{volume}":       {Name: "volume.delete", Target: "volume/{volume}"},
		"POST /api/users/{name}/volumes/{volume}/restore": {Name: "volume.restore", Target: "volume/{volume}"},
	}
	for _, server := range []string{"/", "/{server}"} {
		for key, name := range map[string]string{
			"POST /api/shares/{name}": "share.grant", "PATCH /api/shares/{name}": "share.revoke", "DELETE /api/shares/{name}": "share.revoke",
			"POST /api/share-codes/{name}": "share.code.create", "DELETE /api/share-codes/{name}": "share.code.delete",
		} {
			acts[key+server] = httpd.Act{Name: name, Target: "server/{name}/{server}"}
		}
		for _, key := range []string{"DELETE /api/users/{name}/shared/{owner}", "DELETE /api/groups/{group}/shared/{owner}"} {
			acts[key+server] = httpd.Act{Name: "share.leave", Target: "server/{owner}/{server}"}
		}
	}
	for _, path := range serverPaths {
		for key, name := range map[string]string{
			"POST": "server.start", "DELETE": "server.stop", "PUT": "server.create", "PATCH": "server.update",
		} {
			acts[key+" /api"+path] = httpd.Act{Name: name, Target: "server/{name}/{server}"}
		}
		for key, name := range map[string]string{"keep": "server.keep", "move": "server.move"} {
			acts["POST /api"+path+"/"+key] = httpd.Act{Name: name, Target: "server/{name}/{server}"}
		}
	}
	return acts
}

package hub

import (
	"encoding/json"
	"maps"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// Version is the JupyterHub version whose protocol the hub speaks; servers compare it with their own.
const Version = "5.5.1"

// environment is what a stock single-user server needs to know. The token is apart from it, and the server's own listening address
// (JUPYTERHUB_SERVICE_URL) is added by the scheduler. Source: JupyterHub's Spawner.get_env.
func environment(u URLs, s Server, extra map[string]string) map[string]string {
	path, at := u.Server(s.UserName, s.Name), u.ServerURL(s.UserName, s.Name)
	access, _ := json.Marshal(accessScopes(s)) // strings always encode
	env := map[string]string{
		"JUPYTERHUB_API_URL":                     u.APIForServers(),
		"JUPYTERHUB_BASE_URL":                    u.Base(),
		"JUPYTERHUB_CLIENT_ID":                   ClientID(s.UserName, s.Name),
		"JUPYTERHUB_OAUTH_CALLBACK_URL":          at + "oauth_callback",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":         string(access),
		"JUPYTERHUB_OAUTH_SCOPES":                string(access),
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "[]",
		"JUPYTERHUB_USER":                        s.UserName,
		"JUPYTERHUB_SERVER_NAME":                 s.Name,
		"JUPYTERHUB_SERVICE_PREFIX":              path,
		"JUPYTERHUB_HOST":                        u.Origin(),
		"JUPYTERHUB_ACTIVITY_URL":                u.APIForServers() + "/users/" + EscapePath(s.UserName) + "/activity",
		"JUPYTERHUB_PUBLIC_URL":                  u.Absolute(at),
		"JUPYTERHUB_PUBLIC_HUB_URL":              u.Absolute(u.Hub()),
		"JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED":  u.hostPrefixSwitch(),
	}
	maps.Copy(env, extra)
	return env
}

// accessScopes are the scopes of which a visitor needs one to use the server. Names are raw.
func accessScopes(s Server) []string {
	return append(scope.Access(serverOwner(s)), "access:servers!user="+s.UserName)
}

// serverOwner is who a token is about that was issued to a server.
func serverOwner(s Server) scope.Owner {
	return scope.Owner{ClientServer: scope.FullName(s.UserName, s.Name)}
}

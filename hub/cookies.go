package hub

import "strings"

// hostPrefix begins the names of cookies that browsers take only over TLS, for the path "/", and never from another host than the one that they are for.
const hostPrefix = "__Host-"

// WithHostPrefix returns the addresses of a hub whose cookies, and those of its servers, have names that begin with "__Host-".
func (u URLs) WithHostPrefix() URLs {
	u.hostPrefix = true
	return u
}

// HostPrefix tells whether cookies have names that begin with "__Host-".
func (u URLs) HostPrefix() bool { return u.hostPrefix }

// hostPrefixSwitch is how servers and services are told.
func (u URLs) hostPrefixSwitch() string {
	if u.hostPrefix {
		return "1"
	}
	return "0"
}

// Foreign tells whether a cookie belongs to another server than the ones below a decoded path prefix. Browsers send cookies with the "__Host-" prefix to every path of
// a host, so where servers share one, only the proxy keeps them apart. The name of a server's cookie is its OAuth client's.
func (u URLs) Foreign(prefix, cookie string) bool {
	name, ok := strings.CutPrefix(cookie, hostPrefix)
	if !ok {
		return false
	}
	path := strings.TrimPrefix(prefix, u.base)
	kind, rest, _ := strings.Cut(path, "/")
	user, server, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if kind != "user" {
		return strings.HasPrefix(name, clientPrefix) // services are the operator's
	}
	if strings.HasPrefix(name, serviceClientPrefix) {
		return true
	}
	if !strings.HasPrefix(name, clientPrefix) {
		return false // not ours
	}
	own, ok := strings.CutPrefix(name, ClientID(user, server))
	return !ok || own != "" && !isOAuthState(own)
}

// isOAuthState tells whether what follows a client's ID makes the name of the cookie that a server keeps during a login. It has eight letters at its end where several
// logins go on at once.
func isOAuthState(s string) bool {
	rest, ok := strings.CutPrefix(s, "-oauth-state")
	return ok && (rest == "" || len(rest) == 9 && rest[0] == '-')
}

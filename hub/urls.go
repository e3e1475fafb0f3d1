package hub

import (
	"net/url"
	"strings"
)

// URLs builds the addresses of hub and servers.
type URLs struct {
	base   string   // with leading and trailing slash
	hub    string   // the same of the hub's own pages
	paths  string   // what those of the API begin with, without trailing slash
	public *url.URL // nil: not known; requests tell it
	api    string   // absolute, for servers, without trailing slash

	subdomains bool // see WithSubdomains
	hostPrefix bool // see WithHostPrefix
}

// NewURLs returns the addresses below base ("/" or "/prefix/"). public is the absolute address at which browsers reach the hub, or nil;
// servers is the absolute address, without a path, at which servers reach the hub's API.
func NewURLs(base string, public *url.URL, servers string) URLs {
	base = "/" + strings.Trim(base, "/") + "/"
	if base == "//" {
		base = "/"
	}
	paths := base + "hub/api"
	return URLs{base: base, hub: base + "hub/", paths: paths, public: public, api: strings.TrimSuffix(servers, "/") + paths}
}

// Base is the path of everything: "/" or "/prefix/".
func (u URLs) Base() string { return u.base }

// Hub is the path of the hub's own pages: "/hub/".
func (u URLs) Hub() string { return u.hub }

// Login is the path of the login page.
func (u URLs) Login() string { return u.Hub() + "login" }

// Home is the path of the user's control panel.
func (u URLs) Home() string { return u.Hub() + "home" }

// AcceptShare is the path and query of the page that joins a server by a share code.
func (u URLs) AcceptShare(code string) string {
	return u.Hub() + "accept-share?" + url.Values{"code": {code}}.Encode()
}

// API is the path of the REST API, without trailing slash: "/hub/api".
func (u URLs) API() string { return u.paths }

// APIForServers is the absolute URL of the API as servers reach it, without trailing slash.
func (u URLs) APIForServers() string { return u.api }

// Public is the absolute URL at which browsers reach the hub, or nil if it was not configured.
func (u URLs) Public() *url.URL { return u.public }

// Secure tells whether browsers reach the hub over TLS, as configured.
func (u URLs) Secure() bool { return u.public != nil && u.public.Scheme == "https" }

// Server is the percent-encoded path of a user's server, with a trailing slash.
func (u URLs) Server(userName, serverName string) string {
	return string(u.appendServer(nil, userName, serverName))
}

func (u URLs) appendServer(b []byte, userName, serverName string) []byte {
	b = append(b, u.base...)
	b = append(b, "user/"...)
	b = append(b, EscapePath(userName)...)
	b = append(b, '/')
	if serverName != "" {
		b = append(append(b, EscapePath(serverName)...), '/')
	}
	return b
}

// Prefix is the decoded path of a user's server, by which requests are routed.
func (u URLs) Prefix(userName, serverName string) string {
	p := u.base + "user/" + userName + "/"
	if serverName != "" {
		p += serverName + "/"
	}
	return p
}

// Spawn is the path of the page that starts a server.
func (u URLs) Spawn(userName, serverName string) string {
	return u.Hub() + "spawn" + target(userName, serverName)
}

// SpawnPending is the path of the page that shows a start as it happens.
func (u URLs) SpawnPending(userName, serverName string) string {
	return u.Hub() + "spawn-pending" + target(userName, serverName)
}

func target(userName, serverName string) string {
	p := "/" + EscapePath(userName)
	if serverName != "" {
		p += "/" + EscapePath(serverName)
	}
	return p
}

// Progress is the path of a server's progress stream in the API.
func (u URLs) Progress(userName, serverName string) string {
	return string(u.AppendProgress(nil, userName, serverName))
}

// AppendProgress appends what [URLs.Progress] returns, for lists.
func (u URLs) AppendProgress(b []byte, userName, serverName string) []byte {
	return append(u.appendOfServer(b, userName, serverName), "/progress"...)
}

// APIServer is the path of a server in the API.
func (u URLs) APIServer(userName, serverName string) string {
	return string(u.appendOfServer(nil, userName, serverName))
}

func (u URLs) appendOfServer(b []byte, userName, serverName string) []byte {
	b = append(b, u.paths...)
	b = append(b, "/users/"...)
	b = append(b, EscapePath(userName)...)
	if serverName == "" {
		return append(b, "/server"...)
	}
	return append(append(b, "/servers/"...), EscapePath(serverName)...)
}

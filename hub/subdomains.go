package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// Where users' servers and services have hosts of their own, below the hub's, browsers keep what they run apart: a page of one can neither read nor use what belongs to
// another, or to the hub. Paths stay what they are; the host is looked at besides.

// WithSubdomains returns the addresses of a hub whose users and services have hosts of their own below its public one, which must be known.
func (u URLs) WithSubdomains() URLs {
	u.subdomains = u.public != nil
	return u
}

// Subdomains tells whether users and services have hosts of their own.
func (u URLs) Subdomains() bool { return u.subdomains }

// Origin is what stands before a path of the hub's in a page or program of another host: "https://hub.example.org" where users and services have hosts of their own,
// else "".
func (u URLs) Origin() string {
	if !u.subdomains {
		return ""
	}
	return u.public.Scheme + "://" + u.public.Host
}

// CookieDomain is the domain of cookies that all hosts share; "" for one host.
func (u URLs) CookieDomain() string {
	if !u.subdomains {
		return ""
	}
	return u.domain()
}

// domain is the hub's own host, without a port.
func (u URLs) domain() string { return hostName(u.public.Host) }

// ServerURL is where browsers find a user's server: its path, with its host where that is not the hub's.
func (u URLs) ServerURL(userName, serverName string) string {
	return string(u.AppendServerURL(nil, userName, serverName))
}

// AppendServerURL appends what [URLs.ServerURL] returns, for lists.
func (u URLs) AppendServerURL(b []byte, userName, serverName string) []byte {
	if u.subdomains {
		b = append(b, u.originOf(userLabel(userName))...)
	}
	return u.appendServer(b, userName, serverName)
}

// ServiceURL is where browsers find a service: its path, with its host where that is not the hub's.
func (u URLs) ServiceURL(name string) string {
	if !u.subdomains {
		return u.Service(name)
	}
	return u.originOf(serviceLabel(name)) + u.Service(name)
}

// originOf is scheme and host of a user or service.
func (u URLs) originOf(label string) string {
	origin := u.public.Scheme + "://" + label + "." + u.domain()
	if port := u.public.Port(); port != "" {
		origin += ":" + port
	}
	return origin
}

// Absolute is the address that a path has for everybody, or "" if the hub's public address is not known. What has a host already stays.
func (u URLs) Absolute(path string) string {
	switch {
	case u.public == nil:
		return ""
	case strings.HasPrefix(path, "/"):
		return u.public.Scheme + "://" + u.public.Host + path
	}
	return path
}

// OnItsHost puts the host of a server or service before its percent-encoded path, which may have a query. All other paths stay as they are.
func (u URLs) OnItsHost(path string) string {
	if !u.subdomains {
		return path
	}
	bare, _, _ := strings.Cut(path, "?")
	bare, _, _ = strings.Cut(bare, "#")
	label, ok := u.labelOf(bare, unescapeSegment)
	if !ok {
		return path
	}
	return u.originOf(label) + path
}

// Serves tells whether a request's host is the one at which browsers visit the route of a decoded prefix. Where there is only one host, every name of it will do.
func (u URLs) Serves(host, prefix string) bool {
	if !u.subdomains {
		return true
	}
	label, ok := u.labelOf(prefix, verbatim)
	if !ok {
		return u.IsHub(host)
	}
	rest, ok := strings.CutPrefix(hostName(host), label)
	return ok && len(rest) == len(u.domain())+1 && rest[0] == '.' && rest[1:] == u.domain()
}

// HostOf is the host, without a port, at which browsers visit the route of a decoded prefix; "" where there is only one host.
func (u URLs) HostOf(prefix string) string {
	if !u.subdomains {
		return ""
	}
	if label, ok := u.labelOf(prefix, verbatim); ok {
		return label + "." + u.domain()
	}
	return u.domain()
}

func verbatim(s string) (string, bool) { return s, true }

// IsHub tells whether a host is the hub's own public one.
func (u URLs) IsHub(host string) bool { return u.public != nil && hostName(host) == u.domain() }

// IsBelow tells whether a host is, or may be, that of a user or a service: one below the hub's.
func (u URLs) IsBelow(host string) bool {
	return u.subdomains && strings.HasSuffix(hostName(host), "."+u.domain())
}

// Everywhere is a source of a content policy that stands for all users' and services' hosts; "" where there are none.
func (u URLs) Everywhere() string {
	if !u.subdomains {
		return ""
	}
	return u.originOf("*")
}

// labelOf is the first part of the host that a path of a server or service belongs to.
func (u URLs) labelOf(path string, decode func(string) (string, bool)) (string, bool) {
	rest, ok := strings.CutPrefix(path, u.base)
	if !ok {
		return "", false
	}
	kind, rest, _ := strings.Cut(rest, "/")
	segment, _, _ := strings.Cut(rest, "/")
	if segment == "" || kind != "user" && kind != "services" {
		return "", false
	}
	name, ok := decode(segment)
	if !ok {
		return "", false
	}
	if kind == "user" {
		return userLabel(name), true
	}
	return serviceLabel(name), true
}

func unescapeSegment(s string) (string, bool) {
	name, err := url.PathUnescape(s)
	return name, err == nil
}

// hostName is a host without its port, as it is compared.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

const (
	maxLabel      = 63 // of DNS, in bytes
	serviceSuffix = "--service"
)

// userLabel is the part of a user's host that stands before the hub's.
func userLabel(name string) string { return hostLabel(name, maxLabel) }

// serviceLabel is the part of a service's host that stands before the hub's. No user's label ends like it.
func serviceLabel(name string) string {
	return hostLabel(name, maxLabel-len(serviceSuffix)) + serviceSuffix
}

// hostLabel makes one label of a domain name out of any name, and of no two names the same, as JupyterHub does: the name itself if it is one, its IDNA form if it has
// one, else what is left of it with a hash. Two hyphens mark what is made, so names that have them are hashed.
func hostLabel(name string, longest int) string {
	if strings.Contains(name, "--") {
		return hashedLabel(name)
	}
	if isHostLabel(name, longest) {
		return name
	}
	if encoded, err := idna.Registration.ToASCII(name); err == nil && encoded != name && isHostLabel(encoded, longest) {
		return encoded
	}
	return hashedLabel(name)
}

// isHostLabel tells whether a name can stand in a domain name as it is. Digits alone would look like an address.
func isHostLabel(s string, longest int) bool {
	if s == "" || len(s) > longest || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		if !digit && c != '-' && (c < 'a' || c > 'z') {
			return false
		}
		digits = digits && digit
	}
	return !digits
}

const (
	labelStub = 8
	// labelHash is how much of the hash is taken, in hexadecimal digits. JupyterHub takes seven, for which somebody who may choose their name can find one
	// that falls together with another user's, and share their origin.
	labelHash = 24
)

// hashedLabel is a label for a name that cannot be one.
func hashedLabel(name string) string {
	var stub []byte
	for i := 0; i < len(name) && len(stub) < labelStub; i++ {
		if c := name[i] | 0x20; 'a' <= c && c <= 'z' || '0' <= name[i] && name[i] <= '9' {
			stub = append(stub, c)
		}
	}
	if len(stub) == 0 {
		stub = []byte("x") // two hyphens in third place are IDNA's
	}
	sum := sha256.Sum256([]byte(name))
	return "u-" + string(stub) + "--" + hex.EncodeToString(sum[:])[:labelHash]
}

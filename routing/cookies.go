package routing

import (
	"net/http"
	"slices"
	"strings"
)

// privateCookies tells which cookies a server may neither see nor set.
type privateCookies struct {
	names   []string                         // of nobody but the hub
	begin   []string                         // so begin others of them
	hints   []string                         // without one of these in it, a header has none of all these
	foreign func(prefix, cookie string) bool // of other servers; nil: none
}

// browserCookie is seen by servers, and only set by the hub.
const browserCookie = "jupyterhub-session-id"

// hostPrefix begins the names of cookies that are sent to every path.
const hostPrefix = "__Host-"

func newPrivateCookies(o Options) privateCookies {
	names := o.PrivateCookies
	if names == nil {
		names = []string{
			"jupyterhub-hub-login", "__Host-jupyterhub-hub-login", "__Secure-jupyterhub-hub-login", "nomadhub-login-flow*", "__Host-nomadhub-login-flow*",
		}
	}
	c := privateCookies{foreign: o.Foreign}
	for _, name := range names {
		if begin, ok := strings.CutSuffix(name, "*"); ok {
			c.begin = append(c.begin, begin)
		} else {
			c.names = append(c.names, name)
		}
	}
	all := slices.Concat(c.names, c.begin)
	for _, name := range all {
		covered := func(other string) bool { return other != name && strings.Contains(name, other) }
		if !slices.Contains(c.hints, name) && !slices.ContainsFunc(all, covered) {
			c.hints = append(c.hints, name)
		}
	}
	return c
}

// hides tells whether servers below the prefix may not see a cookie.
func (c privateCookies) hides(prefix, name string) bool {
	if slices.Contains(c.names, name) || c.foreign != nil && c.foreign(prefix, name) {
		return true
	}
	return slices.ContainsFunc(c.begin, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// in is a cheap test that lets nearly every request pass unparsed.
func (c privateCookies) in(value string) bool {
	for _, hint := range c.hints {
		if strings.Contains(value, hint) {
			return true
		}
	}
	return c.foreign != nil && strings.Contains(value, hostPrefix)
}

// removeFromRequest leaves all other cookies as they are, byte for byte: servers see more in them than a parser of ours would keep.
func (c privateCookies) removeFromRequest(h http.Header, prefix string) {
	values := h["Cookie"]
	var kept []string
	changed := false
	for _, value := range values {
		if !c.in(value) {
			kept = append(kept, value)
			continue
		}
		changed = true
		if value = c.without(value, prefix); value != "" {
			kept = append(kept, value)
		}
	}
	switch {
	case changed && len(kept) == 0:
		delete(h, "Cookie")
	case changed:
		h["Cookie"] = kept
	}
}

func (c privateCookies) without(value, prefix string) string {
	var kept []string
	for pair := range strings.SplitSeq(value, ";") {
		if name, _, _ := strings.Cut(pair, "="); !c.hides(prefix, strings.TrimSpace(name)) {
			kept = append(kept, pair)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}

// removeFromResponse drops cookies that a server may not set, and what would make one of another host's.
func (c privateCookies) removeFromResponse(h http.Header, prefix string) {
	values := h["Set-Cookie"]
	if len(values) == 0 {
		return
	}
	kept := make([]string, 0, len(values))
	for _, value := range values {
		name, _, _ := strings.Cut(value, "=")
		if name = strings.TrimSpace(name); name != browserCookie && !c.hides(prefix, name) {
			kept = append(kept, withoutDomain(value))
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// withoutDomain makes a cookie one of this host alone. One that is for a whole domain would be sent to the hub, and to other people's servers.
func withoutDomain(value string) string {
	parts := strings.Split(value, ";")
	kept := slices.DeleteFunc(parts[1:], func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		return strings.EqualFold(strings.TrimSpace(name), "domain")
	})
	if len(kept) == len(parts)-1 {
		return value
	}
	return strings.Join(parts[:len(kept)+1], ";")
}

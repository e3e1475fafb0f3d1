package routing

import (
	"net/http"
	"slices"
	"strings"
)

// privateCookies are the names of cookies that no server may see or set.
type privateCookies []string

func newPrivateCookies(names []string) privateCookies {
	if names == nil {
		return privateCookies{"jupyterhub-hub-login", "__Host-jupyterhub-hub-login", "__Secure-jupyterhub-hub-login"}
	}
	return names
}

func (c privateCookies) has(name string) bool {
	return slices.Contains(c, name)
}

// in is a cheap test that lets nearly every request pass unparsed.
func (c privateCookies) in(value string) bool {
	for _, private := range c {
		if strings.Contains(value, private) {
			return true
		}
	}
	return false
}

// removeFromRequest leaves all other cookies as they are, byte for byte: servers see more in them than a parser of ours would keep.
func (c privateCookies) removeFromRequest(h http.Header) {
	values := h["Cookie"]
	var kept []string
	changed := false
	for _, value := range values {
		if !c.in(value) {
			kept = append(kept, value)
			continue
		}
		changed = true
		if value = c.without(value); value != "" {
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

func (c privateCookies) without(value string) string {
	var kept []string
	for pair := range strings.SplitSeq(value, ";") {
		if name, _, _ := strings.Cut(pair, "="); !c.has(strings.TrimSpace(name)) {
			kept = append(kept, pair)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}

func (c privateCookies) removeFromResponse(h http.Header) {
	values := h["Set-Cookie"]
	var kept []string
	for _, value := range values {
		if name, _, _ := strings.Cut(value, "="); !c.has(strings.TrimSpace(name)) {
			kept = append(kept, value)
		}
	}
	switch {
	case len(kept) == len(values):
	case len(kept) == 0:
		delete(h, "Set-Cookie")
	default:
		h["Set-Cookie"] = kept
	}
}

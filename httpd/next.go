package httpd

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// SafeNext returns the place that next names if it is on this very site and below its base path, else "". Browsers read a backslash as a slash, drop control
// characters, and take "//host" for another site, so the value is judged as they will read it, and rebuilt from its parts.
func SafeNext(r *http.Request, urls hub.URLs, next string) string {
	if next == "" || strings.ContainsFunc(next, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		return ""
	}
	next = strings.ReplaceAll(next, `\`, "%5C")
	for strings.HasPrefix(next, "///") {
		next = next[1:]
	}
	u, err := url.Parse(next)
	if err != nil || u.Opaque != "" || u.User != nil {
		return ""
	}
	if u.Host != "" && !ownHost(r, urls, u) || u.Host == "" && u.Scheme != "" {
		return ""
	}
	if u.Host != "" && u.Path == "" {
		u.Path = "/"
	}
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || !strings.HasPrefix(path+"/", urls.Base()) || hasDots(u.Path) {
		return ""
	}
	out := &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	return out.String()
}

// hasDots tells whether a decoded path holds "." or ".." as a segment. Browsers resolve them, also when they are encoded, and would leave the base path.
func hasDots(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

func ownHost(r *http.Request, urls hub.URLs, u *url.URL) bool {
	if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if p := urls.Public(); p != nil && strings.EqualFold(u.Host, p.Host) {
		return true
	}
	return strings.EqualFold(u.Host, r.Host) || urls.IsBelow(u.Host) // the path alone counts; where it leads is looked up anew
}

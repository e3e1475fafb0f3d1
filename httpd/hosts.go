package httpd

import (
	"net/http"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// hosted keeps the hub's own pages and API off the hosts of users and services: what is on these hosts is theirs, and shall never have the hub's origin. Readers of pages
// are sent to the hub's host. All other hosts are names of the hub, as its load balancers and servers may know it by one of their own.
func (p Parts) hosted(next http.Handler) http.Handler {
	if !p.URLs.Subdomains() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.URLs.IsBelow(r.Host) || !isOwn(p.URLs, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		away := Problem{Status: http.StatusNotFound, Message: "This is a host of a user or a service. The hub is at " + p.URLs.Origin() + p.URLs.Hub() + "."}
		switch {
		case r.URL.Path == p.URLs.API() || strings.HasPrefix(r.URL.Path, p.URLs.API()+"/"):
			RenderJSON(w, r, away)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			p.RenderPage(w, r, away)
		default:
			to := p.URLs.Origin() + r.URL.EscapedPath()
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	})
}

// isOwn tells whether a path is the hub's own, and not one of servers and services.
func isOwn(urls hub.URLs, path string) bool {
	return path == strings.TrimSuffix(urls.Hub(), "/") || strings.HasPrefix(path, urls.Hub())
}

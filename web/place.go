package web

import (
	"net/http"
	"net/url"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Scopes that pages ask for, by their JupyterHub names.
const (
	scopeAdminUI      = "admin-ui"
	scopeAdminUsers   = "admin:users"
	scopeAdminServer  = "admin:servers"
	scopeDeleteUsers  = "delete:users"
	scopeListUsers    = "list:users"
	scopeReadUsers    = "read:users"
	scopeListGroups   = "list:groups"
	scopeReadGroups   = "read:groups"
	scopeGroups       = "groups" // members and properties
	scopeAdminGroups  = "admin:groups"
	scopeDeleteGroups = "delete:groups"
	scopeServers      = "servers"
	scopeStop         = "delete:servers"
	scopeAccess       = "access:servers"
	scopeShares       = "shares"
)

// everything is what only an unlimited scope covers.
var everything scope.Object

// redirect sends the browser on. Unlike http.Redirect it leaves the path exactly as it is: a server may see a difference between "a//b" and "a/b".
func redirect(w http.ResponseWriter, to string, status int) {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}

// lead sends the browser on to a place of ours, at the host on which it is.
func (h *Web) lead(w http.ResponseWriter, to string, status int) {
	redirect(w, h.urls.OnItsHost(to), status)
}

// sendToLogin has a visitor log in and come back.
func (h *Web) sendToLogin(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return hub.Errorf(hub.Forbidden, "You are not logged in any more. Log in and try again.")
	}
	redirect(w, h.urls.Login()+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusFound)
	return nil
}

// next is where the request's "next" leads, if that is a place of ours, else "".
func (h *Web) next(r *http.Request) string {
	return httpd.SafeNext(r, h.urls, r.URL.Query().Get("next"))
}

// landing is where somebody belongs who did not ask for any place: to their server if it is active, else to where it is started, or to their home page. rest are
// arguments that travel along.
//
// A start needs a request from one of our own pages; who comes from elsewhere, such as from a login provider, lands on the home page instead of being asked.
func (h *Web) landing(r *http.Request, u hub.User, next string, rest url.Values) (string, error) {
	if next != "" {
		return next, nil
	}
	to := h.urls.Home()
	if !h.homeFirst {
		s, err := h.hub.Server(r.Context(), u.Name, "")
		switch {
		case err != nil:
			return "", err
		case s.Active():
			to = h.urls.Server(u.Name, "")
		case byOwnWish(r):
			to = h.urls.Hub() + "spawn"
		}
	}
	if len(rest) > 0 {
		to += "?" + rest.Encode()
	}
	return to, nil
}

// byOwnWish tells whether a reading request was made by one of our own pages or typed by the person, not by a link or script of another site. It guards what reading
// sets in motion.
func byOwnWish(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	// Browsers leave the header away without TLS. Another site can hide its Referer, but not make it ours.
	from, err := url.Parse(r.Referer())
	return err == nil && from.Host != "" && from.Host == r.Host
}

// withNext adds where to go afterwards.
func withNext(to, next string) string {
	if next == "" {
		return to
	}
	return to + "?next=" + url.QueryEscape(next)
}

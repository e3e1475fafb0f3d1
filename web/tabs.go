package web

import (
	"net/http"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// tab is one page of the administration, as its pages offer each other.
type tab struct {
	ID, Title, URL string
	Here           bool
}

// tabs are the pages of the administration that a person may see; here is the address of the one that is shown.
func (h *Web) tabs(p hub.Principal, here string) []tab {
	at := h.urls.Hub() + "admin"
	var list []tab
	add := func(may bool, id, title, url string) {
		if may {
			list = append(list, tab{ID: id, Title: title, URL: url, Here: url == here})
		}
	}
	add(p.Can(scopeListUsers, everything), "users-tab", "Users and servers", at)
	add(p.Holds(scopeListGroups), "groups-tab", "Groups", h.groupsURL())
	add(p.Can(scopeAdminServer, everything), "volumes-tab", "Volumes", h.volumesURL())
	add(p.Can(scopeAdminUsers, everything), "audit-tab", "Audit log", h.auditURL())
	return list
}

// needAny lets only those pass who hold the scope for anything at all; handlers look for what.
func (h *Web) needAny(name string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return h.do(func(w http.ResponseWriter, r *http.Request) error {
			if !httpd.Principal(r).Holds(name) {
				return hub.Errorf(hub.Forbidden, "This page is for administrators.")
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}

package web

import (
	"net/http"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// serviceLink leads to a service.
type serviceLink struct{ Name, URL string }

// servicesFor are the services that the person may use and that pages show.
func (h *Web) servicesFor(p hub.Principal) (links []serviceLink) {
	for _, s := range h.hub.ServicesFor(p) {
		links = append(links, serviceLink{s.Name, h.urls.ServiceURL(s.Name)})
	}
	return links
}

// ofService tells whether a request is for a service, and not for a server.
func (h *Web) ofService(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, h.urls.Base()+"services/")
}

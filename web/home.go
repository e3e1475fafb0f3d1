package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// homeView is a person's control panel.
type homeView struct {
	chrome
	Server    serverView
	Named     []serverView
	NamedOn   bool
	NamedRoom string // how many more named servers there may be, in words; "" if that is not limited
	NamedFull bool
	AddURL    string
	Shared    []sharedView // servers of others
	Services  []serviceLink
	Choice    bool // there are profiles or options to choose from
	Live      bool // something changes by itself, so the page asks again
}

// maxShown bounds the servers that one page lists.
const maxShown = 200

func (h *Web) home(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	v := homeView{chrome: h.chrome(w, r, "Home", "home"), NamedOn: h.hub.Limits().AllowNamed, AddURL: h.urls.Hub() + "named"}
	if err := h.fillHome(r, p.User, &v); err != nil {
		return err
	}
	h.addShareURLs(p, &v)
	v.Services = h.servicesFor(p)
	var err error
	if v.Shared, err = h.sharedWith(r, p.User); err != nil {
		return err
	}
	forms, err := h.hub.Forms(r.Context(), p.User.Name, "")
	if err != nil {
		return err
	}
	v.Choice = choosable(forms)
	if v.Live {
		v.Refresh = refreshSeconds
	}
	return h.show(w, http.StatusOK, "home", v)
}

func (h *Web) fillHome(r *http.Request, u hub.User, v *homeView) error {
	now := time.Now()
	servers, _, err := h.hub.Servers(r.Context(), hub.ServerQuery{UserIDs: []string{u.ID}, Limit: maxShown})
	if err != nil {
		return err
	}
	v.Server = h.viewServer(hub.Server{UserName: u.Name, State: hub.Stopped}, now)
	for _, s := range servers {
		v.Live = v.Live || s.Pending() != ""
		if s.Name == "" {
			v.Server = h.viewServer(s, now)
			continue
		}
		v.Named = append(v.Named, h.viewServer(s, now))
	}
	if limit := h.hub.NamedLimit(u); limit > 0 {
		v.NamedRoom = roomText(limit - len(v.Named))
		v.NamedFull = len(v.Named) >= limit
	}
	return nil
}

func roomText(left int) string {
	switch {
	case left <= 0:
		return "You have as many named servers as you may. Remove one to add another."
	case left == 1:
		return "You may add 1 more."
	}
	return "You may add " + number(left) + " more."
}

// addNamed makes and starts a server of the name that was typed.
func (h *Web) addNamed(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	name := strings.TrimSpace(r.PostFormValue("name"))
	if err := hub.ValidateServerName(name); err != nil {
		return err
	}
	if !p.Can(scopeServers, serverObject(p.User, name)) {
		return hub.Errorf(hub.Forbidden, "You may not start servers here.")
	}
	forms, err := h.hub.Forms(r.Context(), p.User.Name, name)
	if err != nil {
		return err
	}
	httpd.Concerns(r, p.User)
	if choosable(forms) {
		httpd.DidNothing(r)
		redirect(w, h.urls.Spawn(p.User.Name, name), http.StatusSeeOther)
		return nil
	}
	return h.start(w, r, p.User.Name, name, nil)
}

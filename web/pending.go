package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// pendingView shows a start as it happens, and how it ended.
type pendingView struct {
	chrome
	Server      serverView
	Own         bool
	Heading     string
	Restart     bool   // it is stopped to be started again
	ProgressURL string // the event stream, with the page token; "" if nothing happens
	StartURL    string // where "try again" is sent
}

// pending shows where a start stands. It never starts anything.
func (h *Web) pending(w http.ResponseWriter, r *http.Request) error {
	_, s, err := h.targetServer(r)
	if err != nil {
		return err
	}
	switch {
	case s.State == hub.Ready:
		h.lead(w, h.afterReady(r, s), http.StatusFound)
		return nil
	case s.State == hub.Starting:
		return h.showStarting(w, r, s)
	case s.State == hub.Stopping && s.Restart != nil:
		v := h.pendingChrome(w, r, s, "Stopping the server, to start it again")
		v.Refresh, v.Restart = refreshSeconds, true
		return h.show(w, http.StatusOK, "stopping", v)
	case s.State == hub.Stopping:
		v := h.pendingChrome(w, r, s, "Stopping the server")
		v.Refresh = refreshSeconds
		return h.show(w, http.StatusOK, "stopping", v)
	case s.Failure != nil:
		return h.showFailed(w, r, s)
	}
	return h.show(w, http.StatusOK, "stopped", h.pendingChrome(w, r, s, "The server is not running"))
}

func (h *Web) pendingChrome(w http.ResponseWriter, r *http.Request, s hub.Server, heading string) pendingView {
	v := pendingView{
		chrome: h.chrome(w, r, heading, ""), Heading: heading, Server: h.viewServer(s, time.Now()),
		Own: own(httpd.Principal(r), s.UserName), StartURL: withNext(h.urls.Spawn(s.UserName, s.Name), h.next(r)),
	}
	return v
}

func (h *Web) showStarting(w http.ResponseWriter, r *http.Request, s hub.Server) error {
	v := h.pendingChrome(w, r, s, "Starting your server")
	if !v.Own {
		v.Heading = "Starting the server of " + s.UserName
		v.Title = v.Heading
	}
	place, err := h.hub.QueuePlace(r.Context(), s)
	if err != nil {
		return err
	}
	if place != nil {
		v.Server.Wait = &waitView{Reason: place.Wait.Reason, Position: placeText(place)}
	}
	v.Refresh = refreshSeconds
	v.ProgressURL = h.urls.Progress(s.UserName, s.Name) + "?_xsrf=" + url.QueryEscape(v.XSRF)
	return h.show(w, http.StatusOK, "pending", v)
}

// showFailed shows why a server ended, with the status of a fault, since scripts look at it.
func (h *Web) showFailed(w http.ResponseWriter, r *http.Request, s hub.Server) error {
	heading := "The server did not start"
	if s.LastActivity.After(s.Started) {
		heading = "The server stopped"
	}
	return h.show(w, http.StatusInternalServerError, "failed", h.pendingChrome(w, r, s, heading))
}

// stop stops a server, or gives up its start. With "remove", a named server's record goes as well.
func (h *Web) stop(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeStop)
	if err != nil {
		return err
	}
	if _, err := h.hub.StopServer(r.Context(), user.Name, name, r.PostFormValue("remove") != ""); err != nil {
		return err
	}
	to := h.next(r)
	if to == "" {
		to = h.urls.Home()
	}
	h.lead(w, to, http.StatusSeeOther)
	return nil
}

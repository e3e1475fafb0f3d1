package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// journey is what a browser keeps for us while it is at a provider.
type journey struct {
	Flow auth.Flow `json:"flow"`
	Next string    `json:"next,omitempty"`
}

// external finds the authenticator that the address names.
func (h *Web) external(r *http.Request) (auth.Redirect, error) {
	id, err := httpd.Param(r, "id")
	if err != nil {
		return nil, err
	}
	for _, a := range h.redirects {
		if a.ID() == id {
			return a, nil
		}
	}
	return nil, hub.Errorf(hub.NotFound, "There is no such way to log in here.")
}

// callback is the absolute URL at which the provider sends the browser back. It comes from the configuration, or else from the request, which the provider checks
// against what it was told at registration.
func (h *Web) callback(r *http.Request, id string) string {
	u := url.URL{Scheme: "http", Host: r.Host}
	if public := h.urls.Public(); public != nil {
		u.Scheme, u.Host = public.Scheme, public.Host
	} else if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String() + h.urls.Hub() + "oauth_callback/" + hub.EscapePath(id)
}

// beginExternal sends the browser to a provider. It is reached by a link, not a form: browsers hold redirects after a form to the page's form-action.
func (h *Web) beginExternal(w http.ResponseWriter, r *http.Request) error {
	a, err := h.external(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), providerPatience)
	defer cancel()
	to, flow, err := a.Begin(ctx, h.callback(r, a.ID()))
	if err != nil {
		return h.loginFailed(w, r, a.Label(), "", err)
	}
	if err := h.sessions.KeepFlow(w, r, flowKey(a.ID(), flow.State), journey{Flow: flow, Next: h.next(r)}); err != nil {
		return fmt.Errorf("keep the login flow: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, to, http.StatusFound)
	return nil
}

// flowKey names what the browser keeps for one login: two tabs that log in at once do not spoil each other's.
func flowKey(authenticator, state string) string { return authenticator + "." + state }

// nothingBegun answers a browser that keeps nothing of a login with which it comes back. Whoever is logged in came by the back button or a bookmark, or was sent here by
// somebody who wants them to be another: they go on as who they are, and the provider is asked nothing.
func (h *Web) nothingBegun(w http.ResponseWriter, r *http.Request, a auth.Redirect) error {
	p, err := h.sessions.Browser(r)
	if hub.KindOf(err) == hub.Unauthenticated {
		return h.loginFailed(w, r, a.Label(), "", fmt.Errorf("no login was begun in this browser: %w", auth.ErrDenied))
	}
	if err != nil {
		return err
	}
	to, err := h.landing(r, p.User, "", nil)
	if err != nil {
		return err
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

// finishExternal receives the browser back from a provider.
func (h *Web) finishExternal(w http.ResponseWriter, r *http.Request) error {
	a, err := h.external(r)
	if err != nil {
		return err
	}
	var j journey
	if !h.sessions.TakeFlow(w, r, flowKey(a.ID(), r.FormValue("state")), &j) {
		return h.nothingBegun(w, r, a)
	}
	ctx, cancel := context.WithTimeout(r.Context(), providerPatience)
	defer cancel()
	id, err := a.Finish(ctx, r, h.callback(r, a.ID()), j.Flow)
	if err != nil {
		return h.loginFailed(w, r, a.Label(), "", err)
	}
	user, err := h.admit(w, r, id, hub.LoginOptions{LinkByName: h.linkByName[id.Provider]})
	if err != nil {
		return h.loginFailed(w, r, a.Label(), "", err)
	}
	to, err := h.landing(r, user, httpd.SafeNext(r, h.urls, j.Next), nil)
	if err != nil {
		return err
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

package api

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountAuthorizations adds what services asked before there were /user and OAuth. Nothing new should use it: it has credentials in addresses.
func (a *API) mountAuthorizations(r chi.Router) {
	r.Get("/authorizations/token/{secret}", a.do(a.ownerOfToken))
	r.Post("/authorizations/token/{secret}", a.do(func(http.ResponseWriter, *http.Request) error { return errGone }))
	r.Get("/authorizations/cookie/{cookie}", a.do(a.ownerOfCookie))
	r.Get("/authorizations/cookie/{cookie}/{value}", a.do(a.ownerOfCookie))
	r.With(a.need(onUser("servers"))).Post("/users/{name}/admin-access", a.do(a.adminAccess))
}

// errGone is for what JupyterHub has given up.
var errGone = hub.Errorf(hub.NotFound, "Tokens are not made here any more. Send the request to /users/NAME/tokens.")

// errNoToken is for endpoints that no browser needs.
var errNoToken = hub.Errorf(hub.Forbidden, "This needs a token in the header Authorization.")

// ownerOfToken tells whose a token is.
func (a *API) ownerOfToken(w http.ResponseWriter, r *http.Request) error {
	if httpd.Principal(r).Token == nil {
		return errNoToken
	}
	secret, err := httpd.Param(r, "secret")
	if err != nil {
		return err
	}
	p, err := a.hub.TokenPrincipal(r.Context(), secret)
	if hub.KindOf(err) == hub.Forbidden && err != nil {
		return errHidden
	}
	if err != nil {
		return err
	}
	return a.writeOwner(w, r, p)
}

// ownerOfCookie tells whose login a cookie of a browser is, if the cookie is the hub's own. Its value is in the address, or in the body.
func (a *API) ownerOfCookie(w http.ResponseWriter, r *http.Request) error {
	if httpd.Principal(r).Token == nil {
		return errNoToken
	}
	name, err := httpd.Param(r, "cookie")
	if err != nil {
		return err
	}
	value, err := httpd.Param(r, "value")
	if err != nil {
		return err
	}
	if value == "" {
		body, err := httpd.Body(r)
		if err != nil {
			return err
		}
		value = strings.TrimSpace(string(body))
	}
	if name != a.sessions.LoginName() {
		return errHidden
	}
	p, err := a.sessions.LoginOf(r.Context(), value)
	if hub.KindOf(err) == hub.Unauthenticated && err != nil {
		return errHidden
	}
	if err != nil {
		return err
	}
	return a.writeOwner(w, r, p)
}

// writeOwner shows whose credentials somebody has got hold of: as the caller may see them, and who has the credentials may always see who that is.
func (a *API) writeOwner(w http.ResponseWriter, r *http.Request, p hub.Principal) error {
	owner := scope.Owner{User: p.User.Name}
	if p.Service != nil {
		owner = scope.Owner{Service: p.Service.Name}
	}
	v := newViewer(scope.Union(httpd.Principal(r).Scopes, scope.Expand(scope.Identify(owner), owner)), a.hub.Roles(), a.urls)
	if p.Service != nil {
		return httpd.JSON(w, http.StatusOK, a.viewService(v, *p.Service))
	}
	return a.showUser(w, r, v, p.User)
}

// adminAccess was how administrators got into servers before OAuth. JupyterHub has it switched off.
func (a *API) adminAccess(http.ResponseWriter, *http.Request) error {
	return hub.Errorf(hub.Forbidden, "Access of administrators to servers is not given here. Use a server with the scope access:servers.")
}

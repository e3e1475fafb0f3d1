// Package web is the hub for people: the pages for logging in, starting and watching a server, tokens and administration, and what a browser sees when something
// goes wrong. A handler decodes, calls the hub once, and shows; rules live in package hub.
//
// Every page works without JavaScript. Where there is JavaScript, one small file makes pages live.
package web

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Redeemer turns the code of a one-time login link into who it was made for. It returns [auth.ErrDenied] for a code that is unknown, used or too old, and
// forgets the code in the same step in which it accepts it.
type Redeemer interface {
	Redeem(code string) (auth.Identity, error)
}

// Options are what the pages are made of. Hub, Sessions and Logger are required.
type Options struct {
	Hub      *hub.Hub
	Sessions *httpd.Sessions
	Logger   *slog.Logger
	// Authenticators are shown on the login page in this order. Each is an [auth.Password] or an [auth.Redirect].
	Authenticators []auth.Authenticator
	// Link redeems one-time login links, which only the operator can make; nil: there are none.
	Link Redeemer
	// LinkByName holds the IDs of authenticators whose people are those of the others, by name; see [hub.LoginOptions].
	LinkByName map[string]bool
	// HomeFirst leads people to their home page after login. Otherwise they go on to their server, which is started if it does not run, as in JupyterHub.
	HomeFirst bool
	// Version is shown at the foot of each page; "": nothing.
	Version string
}

// Web serves the pages.
type Web struct {
	hub        *hub.Hub
	sessions   *httpd.Sessions
	urls       hub.URLs
	log        *slog.Logger
	group      httpd.Group
	link       Redeemer
	linkByName map[string]bool
	homeFirst  bool
	version    string

	passwords []auth.Password
	redirects []auth.Redirect

	assets   *assets
	pages    pages
	stencils *stencils
	policy   string // what a page may do, see contentPolicy
}

// New checks the options.
func New(o Options) (*Web, error) {
	if o.Hub == nil || o.Sessions == nil || o.Logger == nil {
		return nil, errors.New("web: Hub, Sessions and Logger are required")
	}
	h := &Web{
		hub: o.Hub, sessions: o.Sessions, urls: o.Hub.URLs(), log: o.Logger,
		stencils: newStencils(), policy: contentPolicy(o.Hub.URLs()),
		link: o.Link, linkByName: o.LinkByName, homeFirst: o.HomeFirst, version: o.Version,
	}
	h.group = httpd.Group{Render: h.RenderError, Log: o.Logger}
	if err := h.sortAuthenticators(o.Authenticators); err != nil {
		return nil, err
	}
	var err error
	if h.assets, err = loadAssets(h.urls.Origin() + h.urls.Hub() + "static/"); err != nil {
		return nil, err
	}
	h.pages, err = newPages(h.assets)
	return h, err
}

// Mount adds every page to a router that is mounted at the hub's own path, "/hub".
func (h *Web) Mount(r chi.Router) {
	r.NotFound(h.do(h.notFound))
	r.MethodNotAllowed(h.do(h.methodNotAllowed))
	r.Use(h.secureHeaders)

	read(r, "/", h.do(h.index))
	read(r, "/static/{file}", h.do(h.static))
	read(r, "/logo", h.do(h.logo))
	read(r, "/error/{code}", h.do(h.errorPage))
	h.mountLogin(r)
	h.mountUser(r)

	r.Group(func(r chi.Router) {
		r.Use(h.sessions.NeedLogin(h.group), h.sessions.NeedPerson(h.group))
		read(r, "/home", h.do(h.home))
		read(r, "/user-redirect", h.do(h.userRedirect))
		read(r, "/user-redirect/*", h.do(h.userRedirect))
		h.mountServers(r)
		h.mountRunning(r)
		h.mountTokens(r)
		h.mountShares(r)
		read(r, "/usage", h.do(h.usage))
		read(r, "/audit", h.do(h.audit))
		h.mountAdmin(r)
	})
	r.Post("/security/csp-report", h.do(h.cspReport))
}

// do makes a handler whose errors become pages.
func (h *Web) do(f httpd.HandlerFunc) http.HandlerFunc { return h.group.Do(f) }

// read routes reading: a HEAD is answered as its GET, whose body the server then drops.
func read(r chi.Router, pattern string, f http.HandlerFunc) {
	r.Get(pattern, f)
	r.Head(pattern, f)
}

// index sends a browser on to where its person wants to be.
func (h *Web) index(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path+"/" == h.urls.Hub() {
		redirect(w, h.urls.Hub(), http.StatusMovedPermanently)
		return nil
	}
	p, err := h.sessions.Browser(r)
	if hub.KindOf(err) == hub.Unauthenticated {
		return h.sendToLogin(w, r)
	}
	if err != nil {
		return err
	}
	to, err := h.landing(r, p.User, "", travels(r))
	if err != nil {
		return err
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

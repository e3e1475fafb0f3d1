// Package oauth is the hub as an OAuth 2.0 provider (RFC 6749, authorization code flow only, with PKCE): it is how a notebook server finds out who its visitor
// is. The rules are in package hub; here they are put on the wire as stock jupyterhub-singleuser expects them.
//
//	browser ──► server: no cookie of mine ──302──► GET authorize ─┬─ not logged in ──302──► login, and back here
//	   ▲                                                          ├─ no such client ──────► page, 400: never sent on
//	   │                                                          ├─ a stranger's server ──► consent page ──POST──┐
//	   │                                                          └─ own server ───────────► code ◄───────────────┘
//	   └───────────302 redirect_uri?code&state◄─────────────────────────────────────────────┘
//	browser ──► server ──► POST token: code + the server's secret ──► access token ──► GET /hub/api/user: who is it?
//
// Two habits of stock servers go beyond the RFC: their redirect URIs are paths without a host, and the token request carries an Authorization header that has
// nothing to do with it.
package oauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Hub is what a provider needs of the hub.
type Hub interface {
	OAuthClient(ctx context.Context, r hub.AuthorizeRequest) (hub.OAuthClient, error)
	Grant(ctx context.Context, p hub.Principal, c hub.OAuthClient, r hub.AuthorizeRequest) (hub.Grant, error)
	IssueCode(ctx context.Context, p hub.Principal, c hub.OAuthClient, g hub.Grant, r hub.AuthorizeRequest) (string, error)
	Exchange(ctx context.Context, r hub.ExchangeRequest) (hub.ExchangeReply, error)
	// Roles are asked what scopes are called.
	Roles() *scope.Policy
}

var _ Hub = (*hub.Hub)(nil)

// Options are what a Provider is made of. Hub, Sessions and Logger are required.
type Options struct {
	Hub      Hub
	Sessions *httpd.Sessions
	Logger   *slog.Logger
	// RenderPage shows errors to people; default: a plain page.
	RenderPage httpd.Renderer
	// Consent shows the page that asks a visitor; default: a plain one. It writes the whole answer.
	Consent func(w http.ResponseWriter, r *http.Request, page ConsentPage) error
}

// Provider serves the two endpoints.
type Provider struct {
	hub      Hub
	sessions *httpd.Sessions
	consent  func(w http.ResponseWriter, r *http.Request, page ConsentPage) error
	pages    httpd.Group // for people
	wire     httpd.Group // for programs
}

// New checks the options.
func New(o Options) (*Provider, error) {
	if o.Hub == nil || o.Sessions == nil || o.Logger == nil {
		return nil, errors.New("oauth: Hub, Sessions and Logger are required")
	}
	p := &Provider{
		hub: o.Hub, sessions: o.Sessions, consent: o.Consent,
		pages: httpd.Group{Render: o.RenderPage, Log: o.Logger},
		wire:  httpd.Group{Render: renderProblem, Log: o.Logger},
	}
	if p.pages.Render == nil {
		p.pages.Render = renderPlain
	}
	if p.consent == nil {
		p.consent = consentPlain
	}
	return p, nil
}

// Mount adds the endpoints to a router that is mounted at "/hub/api/oauth2".
func (p *Provider) Mount(r chi.Router) {
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		httpd.RenderJSON(w, r, httpd.Problem{Status: http.StatusNotFound, Message: "There is nothing at this address of the API."})
	})
	r.MethodNotAllowed(httpd.WrongMethod(r))
	r.Post("/token", p.wire.Do(p.token))
	r.Options("/token", preflight)
	r.Group(func(r chi.Router) {
		r.Use(guarded, p.sessions.NeedLogin(p.pages))
		r.Get("/authorize", p.pages.Do(p.authorize))
		r.Post("/authorize", p.pages.Do(p.authorize))
	})
	r.Options("/authorize", preflight)
}

func preflight(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// guarded keeps answers that hold a code, or that are about one visitor, out of every cache, out of what the next site learns about the last one, and out of
// frames, in which a visitor could be made to consent unknowingly. Whoever shows a page may set a fuller policy.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		httpd.Alone(h)
		next.ServeHTTP(w, r)
	})
}

// renderProblem shows what is not the client's fault in the shape of RFC 6749, with JupyterHub's keys beside it.
func renderProblem(w http.ResponseWriter, _ *http.Request, p httpd.Problem) {
	code := map[int]string{http.StatusServiceUnavailable: "temporarily_unavailable", http.StatusBadRequest: "invalid_request"}[p.Status]
	_ = httpd.JSON(w, p.Status, map[string]any{
		"error": cmp.Or(code, "server_error"), "error_description": p.Message, "status": p.Status, "message": p.Message,
	})
}

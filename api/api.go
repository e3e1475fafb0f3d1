// Package api is JupyterHub's REST API. Stock single-user servers, the idle culler and scripts that people wrote for JupyterHub speak it, so paths, status
// codes and fields are JupyterHub's; what is ours stands beside them.
//
// There is one file per resource; its mount function lists the routes, each with the scopes of which a caller needs one. How a request travels:
//
//	NeedCredential ─► need(scopes on the target) ─► handler: decode, one call on the hub ─► view: only the fields that the caller may read
//	 403: who?         403: never; 404: not this one
//
// What a caller may not see and what does not exist are told in the same words, so that nobody learns who is at this hub.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// Options are what the API is made of. Hub, Sessions and Logger are required.
type Options struct {
	Hub      *hub.Hub
	Sessions *httpd.Sessions
	Logger   *slog.Logger

	// SlowSpawn and SlowStop are how long a request waits for a server to be up or gone before it answers 202; default 10 s.
	SlowSpawn, SlowStop time.Duration
	// KeepAlive is how often a progress stream shows that it is alive; default 8 s.
	KeepAlive time.Duration
	// UsageInterval is how often usage is told to who watches it; default 2 s.
	UsageInterval time.Duration
	// Shutdown begins to end this hub, and returns at once; nil: no request can end it.
	Shutdown func()
	// Metrics tells the metrics of this replica; nil: there are none.
	Metrics http.Handler
	// OpenMetrics lets everybody read the metrics, without a token.
	OpenMetrics bool
	// Authenticators are the ways to log in. Those that take passwords are asked about a name and a password in a request for a token.
	Authenticators []auth.Authenticator
	// LinkByName holds the IDs of authenticators whose people are those of the others, by name; see [hub.LoginOptions].
	LinkByName map[string]bool
	// Info is shown by /info.
	Info Info
}

// API serves the REST API.
type API struct {
	hub      *hub.Hub
	urls     hub.URLs
	sessions *httpd.Sessions
	group    httpd.Group
	opts     Options
	watchers watchers
	usage    usageFeeds
}

// New checks the options.
func New(o Options) (*API, error) {
	if o.Hub == nil || o.Sessions == nil || o.Logger == nil {
		return nil, errors.New("api: Hub, Sessions and Logger are required")
	}
	const patience, keepAlive = 10 * time.Second, 8 * time.Second // JupyterHub's
	o.SlowSpawn, o.SlowStop = cmp.Or(o.SlowSpawn, patience), cmp.Or(o.SlowStop, patience)
	o.KeepAlive = cmp.Or(o.KeepAlive, keepAlive)
	o.UsageInterval = cmp.Or(o.UsageInterval, usageInterval)
	return &API{
		hub: o.Hub, urls: o.Hub.URLs(), sessions: o.Sessions,
		group: httpd.Group{Render: httpd.RenderJSON, Log: o.Logger}, opts: o,
		usage: usageFeeds{interval: o.UsageInterval, ask: func(ctx context.Context, of usageOf) (scheduler.Usage, error) {
			return o.Hub.Usage(ctx, of.user, of.server)
		}},
	}, nil
}

// Mount adds every resource to a router that is mounted at the API's root, "/hub/api". It does not matter on which listener.
func (a *API) Mount(r chi.Router) {
	csp := http.Header{"Content-Security-Policy": {"frame-ancestors 'none'; default-src 'none'"}} // no answer is to be shown as a page, whatever it holds
	r.Use(httpd.WithHeaders(csp), preflight)
	r.NotFound(a.do(func(http.ResponseWriter, *http.Request) error { return errNoPath }))
	r.MethodNotAllowed(httpd.WrongMethod(r))

	r.Group(a.mountRoot)
	r.Group(a.mountDocs)
	r.Group(a.mountStarts)
	r.Group(a.mountOpenMetrics)
	r.Group(a.mountTokenRequests)
	r.Group(func(r chi.Router) {
		r.Use(a.sessions.NeedCredential(a.group))
		a.mountInfo(r)
		a.mountProxy(r)
		a.mountAuthorizations(r)
		a.mountSelf(r)
		a.mountUsers(r)
		a.mountGroups(r)
		a.mountShares(r)
		a.mountServices(r)
		a.mountActivity(r)
		a.mountServers(r)
		a.mountProgress(r)
		a.mountWatching(r)
		a.mountKeep(r)
		a.mountUsage(r)
		a.mountAudit(r)
		a.mountMetrics(r)
		a.mountTokens(r)
		a.mountExplain(r)
		a.mountVolumes(r)
	})
}

var errNoPath = hub.Errorf(hub.NotFound, "There is nothing at this address of the API.")

func (a *API) do(h httpd.HandlerFunc) http.HandlerFunc { return a.group.Do(h) }

// preflight answers OPTIONS on every path, as JupyterHub does. There is no Access-Control-Allow-Origin, so no other site's script gets any further.
func preflight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			empty(w, http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// textType is made once, and not for each answer.
var textType = []string{"text/plain"}

// empty is an answer without a body. JupyterHub marks it as text, and clients that parse JSON go by that.
func empty(w http.ResponseWriter, status int) {
	w.Header()["Content-Type"] = textType
	w.WriteHeader(status)
}

package httpd

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

// Parts are what the routers are made of.
type Parts struct {
	URLs  hub.URLs
	Pages func(chi.Router) // mounted below /hub/
	API   func(chi.Router) // mounted below /hub/api
	OAuth func(chi.Router) // mounted below /hub/api/oauth2
	// Proxy takes all that is not the hub's own.
	Proxy      http.Handler
	RenderPage Renderer
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Trusted are networks (CIDR) of proxies before us, whose X-Forwarded-For is believed.
	Trusted []string
	// Auditor is told what was changed, as Acts call it; nil: nobody is.
	Auditor Auditor
	Acts    Acts
	// Metrics answers at /hub/metrics, and looks for itself who may ask; nil: there is nothing.
	Metrics http.Handler
}

// Routers are the handlers of the two listeners that speak for the hub.
type Routers struct {
	Public  http.Handler // for browsers
	Servers http.Handler // for users' servers: the API only
}

// NewRouters puts the parts together.
func NewRouters(p Parts) Routers {
	around := p.around()
	return Routers{
		Public:  p.hosted(split(p.URLs, around(p.own(true)), p.Proxy)),
		Servers: around(p.own(false)),
	}
}

// split sends the hub's own paths to the hub, and everything else to the proxy, untouched by middleware: no time limit, no body limit, no buffer.
func split(urls hub.URLs, own, proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isOwn(urls, r.URL.Path) {
			own.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// around is the one list of what happens to every request to the hub itself, outermost first.
func (p Parts) around() func(http.Handler) http.Handler {
	m := newRequestMetrics(p.Registerer, strings.TrimSuffix(p.URLs.Hub(), "/"))
	return func(h http.Handler) http.Handler {
		return chi.Chain(
			p.begun,       // every line of the log and every error names the request
			p.observed(m), // a line each, when done, and a measure by route pattern, so that names never become labels
			p.audited,     // an entry in the audit log for each that changes something, also if it panics
			p.recovered,   // a panic is our error, not the end of the program
			Versioned,     // servers compare their version with ours
			bounded,       // no handler reads without end
		).Handler(h)
	}
}

// own routes the hub's own paths. Only browsers' listener has pages.
func (p Parts) own(pages bool) http.Handler {
	r := chi.NewRouter()
	api := strings.TrimSuffix(p.URLs.API(), "/")
	health := strings.TrimSuffix(p.URLs.Hub(), "/") + "/health"
	alive := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	r.Get(health, alive)
	r.Head(health, alive)
	if p.Metrics != nil {
		r.Method(http.MethodGet, strings.TrimSuffix(p.URLs.Hub(), "/")+"/metrics", p.Metrics)
	}
	r.Route(api+"/oauth2", func(r chi.Router) { p.OAuth(r) })
	r.Route(api, func(r chi.Router) { p.API(r) })
	group := Group{Render: p.RenderPage, Log: p.Log}
	if pages {
		r.Route(strings.TrimSuffix(p.URLs.Hub(), "/"), func(r chi.Router) { p.Pages(r) })
	} else {
		group.Render = RenderJSON
	}
	r.NotFound(group.Do(func(http.ResponseWriter, *http.Request) error {
		return hub.Errorf(hub.NotFound, "There is nothing at this address.")
	}))
	return r
}

// clientIP finds out who asks, from trusted proxies only and never from what the client claims.
func (p Parts) clientIP() addressFinder {
	if len(p.Trusted) == 0 {
		return peer
	}
	return behind(p.Trusted)
}

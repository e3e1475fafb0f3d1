package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
)

var readsMetrics = anywhere("read:metrics")

// mountMetrics adds the metrics of this replica for who has the scope.
func (a *API) mountMetrics(r chi.Router) {
	if !a.opts.OpenMetrics {
		r.With(a.need(readsMetrics)).Get("/metrics", a.do(a.getMetrics))
	}
}

// mountOpenMetrics adds them for everybody, where the configuration says so.
func (a *API) mountOpenMetrics(r chi.Router) {
	if a.opts.OpenMetrics {
		r.Get("/metrics", a.do(a.getMetrics))
	}
}

// Metrics serves the same to the same callers, for an address outside the API.
func (a *API) Metrics() http.Handler {
	if a.opts.OpenMetrics {
		return a.do(a.getMetrics)
	}
	return a.sessions.NeedCredential(a.group)(a.need(readsMetrics)(a.do(a.getMetrics)))
}

func (a *API) getMetrics(w http.ResponseWriter, r *http.Request) error {
	if a.opts.Metrics == nil {
		return hub.Errorf(hub.NotFound, "This hub keeps no metrics.")
	}
	a.opts.Metrics.ServeHTTP(w, r)
	return nil
}

package httpd

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewScrape tells all metrics in the text format that JupyterHub has, whatever the client would take.
func NewScrape(g prometheus.Gatherer) http.Handler {
	all := promhttp.HandlerFor(g, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Set("Accept", "text/plain;version=0.0.4;charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		all.ServeHTTP(w, r)
	})
}

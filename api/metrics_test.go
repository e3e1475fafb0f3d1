package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// TestWhoReadsTheMetrics: only tokens with the scope, and all scopes that imply it; or everybody, where the configuration says so. Nothing else opens with that.
func TestWhoReadsTheMetrics(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]bool{"closed": false, "open": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			hb := hubtest.New(t, func(o *hub.Options) { o.Registerer, o.Buckets = registry, hub.Buckets{Spawn: []float64{7, 70}} })
			a, err := api.New(api.Options{Hub: hb.Hub, Sessions: hb.Sessions, Logger: hb.Log, Metrics: httpd.NewScrape(registry), OpenMetrics: open})
			if err != nil {
				t.Fatal(err)
			}
			hb.Serve(func(r chi.Router) {
				a.Mount(r)
				r.Method(http.MethodGet, "/outside", a.Metrics())
			}, nil)
			root, alice := hb.User("root", true), hb.User("alice", false)
			b := &bench{Bench: hb, t: t, tokens: map[string]string{
				"admin": hb.Token(root), "alice": hb.Token(alice), "scoped": hb.Token(root, "read:metrics"), "other": hb.Token(root, "list:users"), "unknown": "none",
			}}
			for who, mayAnyway := range map[string]bool{"admin": true, "scoped": true, "alice": false, "other": false, "unknown": false, "": false} {
				want := http.StatusForbidden
				if open || mayAnyway {
					want = http.StatusOK
				}
				for _, path := range []string{"/metrics", "/outside"} {
					got := b.as(who, http.MethodGet, path, "").want(want)
					if shown := strings.Contains(got.body, `jupyterhub_server_spawn_duration_seconds_bucket{status="success",le="70"}`); shown != (want == http.StatusOK) {
						t.Errorf("%q reads %s: %s", who, path, got.body)
					}
				}
			}
			b.as("", http.MethodGet, "/users", "").want(http.StatusForbidden)
			b.as("", http.MethodPost, "/metrics", "").want(http.StatusMethodNotAllowed)
		})
	}
}

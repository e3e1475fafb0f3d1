package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// jupyterHubs are the routes that JupyterHub 5.5 has.
func jupyterHubs() *regexp.Regexp {
	const server = `(\{server\})?`
	return regexp.MustCompile(`^/(` + strings.Join([]string{
		`|info|shutdown|proxy|health|metrics|user|users|groups|services`, `users/\{name\}`, `users/\{name\}/(activity|tokens|tokens/\{token\}|admin-access|shared)`,
		`users/\{name\}/(server|servers/` + server + `)(/progress)?`, `groups/\{group\}`, `groups/\{group\}/(users|properties|shared)`, `services/\{service\}`,
		`(users/\{name\}|groups/\{group\})/shared/\{owner\}/` + server, `(shares|share-codes)/\{name\}(/` + server + `)?`,
		`authorizations/(token/\{secret\}|cookie/\{cookie\}(/\{value\})?)`,
	}, "|") + `)$`)
}

// TestRequestsAreMeasuredUnderJupyterHubsNames: every route that JupyterHub has, too, is measured under the name of its handler there, by which dashboards and alerts tell them apart.
func TestRequestsAreMeasuredUnderJupyterHubsNames(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	a, err := api.New(api.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := a.Routes()
	if err != nil {
		t.Fatal(err)
	}
	none := func(chi.Router) {}
	theirs, known := 0, jupyterHubs()
	for _, route := range routes {
		if !known.MatchString(route.Path) {
			continue
		}
		theirs++
		registry := prometheus.NewRegistry()
		h := httpd.NewRouters(httpd.Parts{
			URLs: b.Hub.URLs(), Pages: none, OAuth: none, Proxy: http.NotFoundHandler(), RenderPage: httpd.RenderJSON, Log: b.Log, Registerer: registry, API: a.Mount,
		})
		r := httptest.NewRequestWithContext(t.Context(), route.Method, "/hub/api"+api.Concrete(route.Path), nil)
		h.Servers.ServeHTTP(httptest.NewRecorder(), r)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		for _, f := range families {
			if f.GetName() != "jupyterhub_request_duration_seconds" {
				continue
			}
			for _, l := range f.GetMetric()[0].GetLabel() {
				if l.GetName() == "handler" {
					name = l.GetValue()
				}
			}
		}
		if !strings.HasPrefix(name, "jupyterhub.apihandlers.") && !strings.HasPrefix(name, "jupyterhub.handlers.") {
			t.Errorf("%s %s is measured as %q", route.Method, route.Path, name)
		}
	}
	if theirs < 50 {
		t.Errorf("only %d routes of JupyterHub were tried", theirs)
	}
}

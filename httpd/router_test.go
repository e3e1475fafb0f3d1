package httpd_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// testRouters has one handler in each part.
func testRouters(base string, r prometheus.Registerer) httpd.Routers {
	say := func(word string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(word)) }
	}
	return httpd.NewRouters(httpd.Parts{
		URLs: hub.NewURLs(base, nil, "http://127.0.0.1:1"), Log: slog.New(slog.DiscardHandler), Registerer: r, RenderPage: httpd.RenderJSON,
		Pages: func(r chi.Router) {
			r.Get("/home", say("home"))
			r.Get("/user/{name}", say("name"))
			r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("secret detail") })
		},
		API:   func(r chi.Router) { r.Get("/user", say("whoami")) },
		OAuth: func(r chi.Router) { r.Post("/token", say("token")) },
		Proxy: say("proxied"),
	})
}

func TestRoutersSendEachPathToItsPart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, path    string
		public, servers string // "": 404; a number: that status
	}{
		{"GET", "/hub/home", "home", ""},
		{"GET", "/hub/api/user", "whoami", "whoami"},
		{"POST", "/hub/api/oauth2/token", "token", "token"},
		{"GET", "/hub/health", "200", "200"},
		{"GET", "/hub/nothing", "", ""},
		{"GET", "/user/alice/lab", "proxied", ""},
		{"GET", "/hubert", "proxied", ""},
		{"GET", "/", "proxied", ""},
	}
	for _, base := range []string{"/", "/team/"} {
		routers := testRouters(base, nil)
		for _, tt := range tests {
			for name, want := range map[string]string{"public": tt.public, "servers": tt.servers} {
				h := map[string]http.Handler{"public": routers.Public, "servers": routers.Servers}[name]
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(tt.method, strings.TrimSuffix(base, "/")+tt.path, nil))
				got := rec.Body.String()
				switch {
				case rec.Code == http.StatusNotFound:
					got = ""
				case rec.Code != http.StatusOK || got == "":
					got = http.StatusText(rec.Code)
					want = map[string]string{"200": "OK"}[want]
				}
				if got != want {
					t.Errorf("%s %s of %q at %s gives %q, want %q", tt.method, tt.path, base, name, got, want)
				}
			}
		}
	}
}

func TestPanicIsAnErrorWithoutDetails(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	testRouters("/", nil).Public.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/hub/panic", nil))
	if rec.Code != http.StatusInternalServerError || strings.Contains(rec.Body.String(), "secret detail") {
		t.Errorf("a panic is answered with %d %s", rec.Code, rec.Body)
	}
	if id := rec.Header().Get("X-Request-Id"); id == "" || !strings.Contains(rec.Body.String(), id) {
		t.Errorf("the answer %s does not name the request %q", rec.Body, id)
	}
}

func TestRequestMetricsHavePatternsNotNames(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	public := testRouters("/", r).Public
	for _, name := range []string{"alice", "bob", "carol"} {
		public.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/hub/user/"+name, nil))
		public.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW"+strings.ToUpper(name), "/hub/user/"+name, nil))
	}
	if n := testutil.CollectAndCount(r, "jupyterhub_request_duration_seconds"); n != 2 {
		t.Errorf("three users make %d series, want one for the pattern and one for odd methods", n)
	}
}

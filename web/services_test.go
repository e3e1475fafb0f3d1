package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// TestHomeListsServices that people may use, that have pages, and that are meant to be shown.
func TestHomeListsServices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p, err := scope.NewPolicy([]scope.Role{{Name: "visitors", Scopes: []string{"access:services!service=news", "access:services!service=quiet"}, Users: []string{"ada"}}}, nil)
	check(t, err)
	b.hub.SetRoles(p)
	check(t, b.hub.SetServices(t.Context(), []hub.ConfiguredService{
		{Service: hub.Service{Name: "news", URL: "http://127.0.0.1:1", Display: true}},
		{Service: hub.Service{Name: "quiet", URL: "http://127.0.0.1:2"}},
		{Service: hub.Service{Name: "grader", URL: "http://127.0.0.1:3", Display: true}},
		{Service: hub.Service{Name: "culler", Display: true}},
	}))
	_, err = b.hub.RefreshServices(t.Context())
	check(t, err)
	for name, want := range map[string]string{"ada": "/services/news/", "bob": "", "admin": "/services/grader/ /services/news/"} {
		var links []string
		walk(b.loggedIn(name).get("/hub/home").want(http.StatusOK).page, func(n *html.Node) {
			if at := attribute(n, "href"); n.Data == "a" && strings.HasPrefix(at, "/services/") {
				links = append(links, at)
			}
		})
		if got := strings.Join(links, " "); got != want {
			t.Errorf("%s sees %q, want %q", name, got, want)
		}
	}
}

// TestConsentForAService asks in words about a service, and not about anybody's server.
func TestConsentForAService(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	check(t, b.hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: hub.Service{Name: "news", URL: "http://127.0.0.1:1"}}}))
	q := url.Values{"client_id": {"service-news"}, "response_type": {"code"}, "state": {"s"}}
	page := b.loggedIn("admin").get("/hub/api/oauth2/authorize?" + q.Encode()).want(http.StatusOK).says("Go on to the service news?")
	if text := page.text(); strings.Contains(text, "server") {
		t.Errorf("the page speaks of a server: %s", text)
	}
}

package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// TestConsentLeadsOn in a real browser, which holds redirects after a form to the places to which the form's page may send: to a server here, and to a service elsewhere.
func TestConsentLeadsOn(t *testing.T) {
	t.Parallel()
	page := browser.New(t).Page(t)
	page.SetPatience(hubtest.Patience)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("the service at " + r.URL.Path + " was sent a code: " + r.URL.Query().Get("state")))
	}))
	t.Cleanup(service.Close)
	b := newBench(t)
	uri := service.URL + "/back"
	s := hub.Service{Name: "whoami", RedirectURI: uri, ClientID: "service-app"}
	if err := b.Hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: s, Token: whoamiToken}}); err != nil {
		t.Fatal(err)
	}
	b.User("root", true)
	page.Open(b.Public.URL + "/hub/enter/root")
	for _, c := range []struct{ question, at, says string }{
		{question("client_id", "service-app", "redirect_uri", uri).Encode(), uri + "?code=", "the service at /back was sent a code: s"},
		{question().Encode(), b.Public.URL + callback + "?code=", callback + " of a notebook"},
	} {
		page.Open(b.Public.URL + "/hub/api/oauth2/authorize?" + c.question)
		page.Click("button[type=submit]")
		page.WaitText(c.says)
		if at := page.URL(); !strings.HasPrefix(at, c.at) || !strings.HasSuffix(at, "&state=s") {
			t.Errorf("the browser is at %s, want %s…", at, c.at)
		}
	}
}

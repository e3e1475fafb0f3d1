package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// TestEmbeddedManagedIdleCuller has the hub run the stock jupyterhub-idle-culler as a service, with nothing but the role that its documentation names.
func TestEmbeddedManagedIdleCuller(t *testing.T) {
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "culler", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	q := newQuietHub(t, plain.binary(t), fmt.Sprintf(`
role "cullers" {
  scopes   = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
  services = ["idle-culler"]
}
service "idle-culler" {
  command = [%q, "--timeout=10", "--cull-every=1"]
}
`, env.Program("jupyterhub-idle-culler")))
	q.up(t, "idle")
	q.awaitStopped(t, "idle")
	var s struct{ PID int }
	if err := json.Unmarshal([]byte(q.must(t, http.MethodGet, "/services/idle-culler", http.StatusOK).body), &s); err != nil || s.PID == 0 {
		t.Errorf("the service is %+v, %v", s, err)
	}
}

// TestEmbeddedHubOAuthService logs a person in to a service that uses HubOAuth of the stock jupyterhub package, which the hub runs and its proxy serves.
func TestEmbeddedHubOAuthService(t *testing.T) {
	ports, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	program, err := filepath.Abs("testdata/whoami.py")
	if err != nil {
		t.Fatal(err)
	}
	d := newDev(t, plain.binary(t), "hub5", fmt.Sprintf(`
service "whoami" {
  url     = %q
  command = [%q, %q]
  oauth_client_allowed_scopes = ["read:users!user"]
}
`, loopbackURL(ports[0]), python(t), program))
	d.start()
	b := browser.New(t)
	p := b.Page(t)
	p.SetPatience(slowly)
	at := d.URL + "/services/whoami/"
	awaitAnswer(t, at)

	// Who is not logged in is sent to the login, and who is logged in is asked.
	p.Open(at)
	p.WaitURL("the login page", func(u string) bool { return strings.HasPrefix(u, d.URL+"/hub/login") })
	loginByLink(p, d.Link)
	p.Open(at)
	p.WaitVisible("#consent")
	p.WaitText("Go on to the service whoami?")
	p.Screenshot("service-consent")
	p.Click("#consent button")
	p.WaitURL("the service", func(u string) bool { return strings.HasPrefix(u, at) })
	p.WaitText(`"name": "admin"`)
	var who struct {
		Kind, Name string
		Admin      bool
		Scopes     []string
	}
	if err := json.Unmarshal([]byte(p.Text("body")), &who); err != nil {
		t.Fatal(err)
	}
	scopes := strings.Join(who.Scopes, " ")
	if who.Kind != "user" || !who.Admin || !strings.Contains(scopes, "access:services!service=whoami") || !strings.Contains(scopes, "read:users:activity!user=admin") ||
		strings.Contains(scopes, "servers") {
		t.Errorf("the service was told %+v", who)
	}

	// A second visit asks nothing, and a logout ends it everywhere.
	p.Open(at)
	p.WaitText(`"name": "admin"`)
	p.Open(d.URL + "/hub/home")
	p.Click("#logout")
	p.WaitURL("the login page", func(u string) bool { return strings.Contains(u, "/hub/log") })
	p.Open(at)
	p.WaitURL("the login page again", func(u string) bool { return strings.HasPrefix(u, d.URL+"/hub/login") })
}

// awaitAnswer waits until something is served at the address, other than that nothing is there.
func awaitAnswer(t *testing.T, url string) {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	deadline := time.After(slowly)
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := c.Do(req); err == nil {
			_ = res.Body.Close()
			if strings.Contains(res.Header.Get("Location"), "oauth2/authorize") {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("%s is not served", url)
		case <-tick.C:
		}
	}
}

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// whoServes answers who it is and what it was told, and whose token it has.
const whoServes = `
import http.server, json, os, urllib.parse, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ask = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + "/user", headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
        try:
            name = json.load(urllib.request.urlopen(ask, timeout=10))["name"]
        except Exception as e:
            name = str(e)
        told = {"name": name, "path": self.path, "pid": os.getpid(), "colour": os.environ["COLOUR"], "token": os.environ["JUPYTERHUB_API_TOKEN"], "allocation": os.environ["NOMAD_ALLOC_ID"]}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
url = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((url.hostname, url.port), Handler).serve_forever()
`

// serviceAnswer is what that says.
type serviceAnswer struct {
	Name, Path, Colour, Token, Allocation string

	PID int
}

// serviceBlocks are the services of the test, with the stock culler if there is its program.
func serviceBlocks(t *testing.T, colour, culler string) string {
	t.Helper()
	text := `
notebook {
  answer_timeout = "5m"
}
role "cullers" {
  scopes   = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
  services = ["idle-culler"]
}
`
	if colour != "" {
		text += fmt.Sprintf(`
service "who" {
  command     = [%q, "-c", %q]
  environment = { COLOUR = %q }
  serves      = true
  cpu         = 50
  memory      = 64
}
`, python(t), whoServes, colour)
	}
	if culler != "" {
		text += fmt.Sprintf(`
service "idle-culler" {
  command = [%q, "--timeout=10", "--cull-every=1"]
  cpu     = 50
  memory  = 64
}
`, culler)
	}
	return text
}

// serviceAt visits the service through the hub's proxy until it is as wanted.
func (c *child) serviceAt(t *testing.T, what string, wanted func(serviceAnswer) bool) serviceAnswer {
	t.Helper()
	return serviceAt(t, c.URL, what, wanted)
}

// serviceAt is the same for any hub.
func serviceAt(t *testing.T, base, what string, wanted func(serviceAnswer) bool) (s serviceAnswer) {
	t.Helper()
	await(t, "the service "+what, slowly, func() error {
		s = serviceAnswer{}
		code, err := getJSON(t, base+"/services/who/x?y", "", &s)
		if err != nil || code != http.StatusOK || !wanted(s) {
			return fmt.Errorf("it is %d %+v, %w", code, s, err)
		}
		return nil
	})
	return s
}

// serviceJob returns the job of a service with its live allocations; nil: there is none.
func (c *child) serviceJob(t *testing.T, name string) (job *nomad.Job, live []string) {
	t.Helper()
	id := c.jobPrefix() + "service_" + name
	job, _, err := c.shared.Nomad.Client.Jobs().Info(id, notebooks())
	if unexpected, ok := errors.AsType[nomad.UnexpectedResponseError](err); ok && unexpected.StatusCode() == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	allocs, _, err := c.shared.Nomad.Client.Jobs().Allocations(id, true, notebooks())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusPending || a.ClientStatus == nomad.AllocClientStatusRunning {
			live = append(live, a.ID)
		}
	}
	return job, live
}

// reconfigure has the running hub read another configuration.
func (c *child) reconfigure(t *testing.T, how setup) {
	t.Helper()
	c.configure(t, how)
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// testServices has the hub run services as Nomad jobs: the stock idle culler, which culls, and one with pages, which is visited, killed, changed and removed, while the hub is
// killed in between.
func (l *notebookLife) testServices(t *testing.T) {
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "culler", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	culler := env.Program("jupyterhub-idle-culler")
	how := func(colour, culler string) setup {
		return setup{notebook: standIn, more: serviceBlocks(t, colour, culler)}
	}
	_, account := accounts(t)
	c := l.hub(t, "svc", how("blue", ""), fmt.Sprintf("nomad {\n  service_variables = { user = %q }\n}\n", account.Username))

	// It is visited, it can speak to the hub, and nobody who reads jobs finds its token.
	blue := c.serviceAt(t, "answers through the proxy", func(s serviceAnswer) bool { return s.Name == "who" })
	if blue.Path != "/services/who/x?y" || blue.Colour != "blue" {
		t.Errorf("the service was told %+v", blue)
	}
	job, live := c.serviceJob(t, "who")
	if job == nil || len(live) != 1 || live[0] != blue.Allocation {
		t.Fatalf("the job is %+v with %q", job, live)
	}
	if text, err := json.Marshal(job); err != nil || strings.Contains(string(text), blue.Token) {
		t.Errorf("the token is in the job, %v", err)
	}
	await(t, "the API tells of it", slowly, func() error {
		var s struct {
			URL     string
			Healthy *bool
			Command []string
		}
		got, err := c.ask(t.Context(), http.MethodGet, "/services/who", "")
		if err == nil {
			err = json.Unmarshal([]byte(got.body), &s)
		}
		if err != nil || s.URL == "" || s.Healthy == nil || !*s.Healthy || len(s.Command) == 0 {
			return fmt.Errorf("it says %s, %w", got.body, err)
		}
		return nil
	})

	// What ends is started again by Nomad, with the same token.
	if err := syscall.Kill(blue.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := c.serviceAt(t, "is started again", func(s serviceAnswer) bool { return s.Name == "who" && s.PID != blue.PID })
	if again.Token != blue.Token || again.Allocation != blue.Allocation {
		t.Errorf("it was %+v and is %+v", blue, again)
	}

	// It outlives the hub, which finds it again and starts nothing twice.
	c.signal(syscall.SIGKILL)
	if err := syscall.Kill(again.PID, 0); err != nil {
		t.Errorf("the service ended with the hub: %v", err)
	}
	c.start(childAllocation)
	after := c.serviceAt(t, "is still there", func(s serviceAnswer) bool { return s.Name == "who" })
	if after.PID != again.PID || after.Token != blue.Token {
		t.Errorf("it was %+v and is %+v", again, after)
	}
	if now, live := c.serviceJob(t, "who"); now == nil || *now.Version != *job.Version || len(live) != 1 {
		t.Errorf("the job is %+v with %q", now, live)
	}

	// The culler is added, and culls; the other one is changed in its place, in the hub's absence too.
	c.reconfigure(t, how("red", culler))
	red := c.serviceAt(t, "is told what is new", func(s serviceAnswer) bool { return s.Name == "who" && s.Colour == "red" })
	changed, live := c.serviceJob(t, "who")
	if changed == nil || *changed.Version <= *job.Version || len(live) != 1 || live[0] != red.Allocation {
		t.Errorf("the job is %+v with %q", changed, live)
	}
	if code, err := getJSON(t, c.Servers+"/hub/api/user", blue.Token, &struct{}{}); err != nil || code != http.StatusForbidden {
		t.Errorf("the token of before is answered with %d, %v", code, err)
	}
	c.person(t, "idle").start(t)
	c.awaitReady(t, "idle")
	c.awaitStopped(t, "idle")

	// What is removed ends: at a reload, and at a start.
	c.reconfigure(t, how("", culler))
	await(t, "the service is gone", slowly, func() error {
		job, live := c.serviceJob(t, "who")
		code, err := status(t, c.URL+"/services/who/")
		if job != nil || len(live) > 0 || err != nil || code != http.StatusNotFound {
			return fmt.Errorf("the job is %v with %q, and visitors get %d, %w", job != nil, live, code, err)
		}
		return nil
	})
	if code, err := getJSON(t, c.Servers+"/hub/api/user", red.Token, &struct{}{}); err != nil || code != http.StatusForbidden {
		t.Errorf("the token of a service that is gone is answered with %d, %v", code, err)
	}
	c.signal(syscall.SIGKILL)
	c.configure(t, how("", ""))
	c.start(childAllocation)
	c.nothingLeft(t)
	if text, err := os.ReadFile(filepath.Join(c.dir, "hub.hcl")); err != nil || strings.Contains(string(text), `service "`) {
		t.Errorf("the configuration still has services, %v", err)
	}
}

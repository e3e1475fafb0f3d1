package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

const profilesOfTest = `
profile "small" {
  display_name  = "Small"
  description   = "Enough for a first look, ${user.name}."
  mem_guarantee = "400M"
  default_url   = "/lab"

  option "greeting" {
    display_name = "Greeting"
    type         = "text"
    pattern      = "[a-z .${"$"}{}]*"
    hint         = "Small letters."
    default      = "hello"

    set { environment = { GREETING = option.value } }
  }
}

profile "huge" {
  display_name  = "Huge"
  mem_guarantee = "900G"
}

profile "secret" {
  display_name = "For administrators"
  allow { when = user.admin }
}
`

// TestClusterProfiles is a person who chooses on a real cluster: what fits and what never will, an option that arrives in the server, a restart with another
// choice, and what there is to see of the server.
func TestClusterProfiles(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	how := onThisMachine(t)
	how.config = profilesOfTest
	c := newClusterWith(t, how)
	p := b.Page(t)
	c.loginAtProvider(t, p, "ben")
	p.WaitVisible("#mine")
	p.SetPatience(slowly)

	p.Click("#choose")
	p.WaitTextIn("#outlook-small", "Fits now.")
	p.WaitTextIn("#outlook-huge", "900 GB of memory")
	p.Screenshot("choice")
	if class := p.Attribute("#outlook-huge", "class"); !strings.Contains(class, "outlook-never") {
		t.Errorf("what no machine can ever have is shown as %q", class)
	}
	if text := p.Text("main"); strings.Contains(text, "For administrators") || !strings.Contains(text, "first look, ben.") {
		t.Errorf("ben is offered:\n%s", text)
	}

	p.Fill("#option-small--greeting", "good morning")
	p.Click("#start")
	p.WaitURL("JupyterLab", func(u string) bool { return strings.HasPrefix(u, c.URL+userPath("ben")+"lab") })
	show := "import os; print(os.environ['GREETING'], os.environ['MEM_GUARANTEE'])"
	if got := strings.TrimSpace(p.LabRunCell(show)); got != "good morning 419430400" {
		t.Errorf("the server has %q", got)
	}

	p.Open(c.URL + "/hub/server/ben")
	p.WaitTextIn("#lines", "Jupyter Server")
	p.WaitTrue("the use of memory is told", `/[1-9][0-9]* MB/.test(document.querySelector("[data-memory]").textContent)`)
	p.Screenshot("details")

	p.Click("#restart")
	p.WaitVisible("#option-small--greeting")
	if value := browser.Eval[string](p, `document.querySelector("#option-small--greeting").value`); value != "good morning" {
		t.Errorf("the form has forgotten the last choice: %q", value)
	}
	// Nomad would replace this in a job; what a person types is data wherever it arrives.
	p.Fill("#option-small--greeting", "${attr.kernel.name}")
	p.Click("#start")
	p.WaitURL("JupyterLab again", func(u string) bool { return strings.HasPrefix(u, c.URL+userPath("ben")+"lab") })
	if got := c.environmentOf(t, "GREETING"); got != "${attr.kernel.name}" {
		t.Errorf("after the restart the server has %q", got)
	}

	ben := c.scriptOf(t, "ben")
	ben.must(t, http.MethodDelete, "/users/ben/server", http.StatusAccepted, http.StatusNoContent)
	ben.awaitServer(t, "stopped", "ben", func(s apiServer) bool { return s.Stopped })
	for options, word := range map[string]string{`{"profile":"none"}`: "none", `{"profile":"small","greeting":"LOUD"}`: "greeting", `{"colour":"red"}`: "colour"} {
		got, err := ben.ask(t.Context(), http.MethodPost, "/users/ben/server", options)
		if err != nil || got.status != http.StatusBadRequest || !strings.Contains(got.body, word) {
			t.Errorf("%s by API: %d %s, %v", options, got.status, got.body, err)
		}
	}
}

// environmentOf returns what the one notebook that runs finds in its environment, read from its process.
func (c *cluster) environmentOf(t *testing.T, name string) string {
	t.Helper()
	var found []string
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		env := map[string]string{}
		for pair := range strings.SplitSeq(string(text), "\x00") {
			key, value, _ := strings.Cut(pair, "=")
			env[key] = value
		}
		if strings.HasPrefix(env["JUPYTERHUB_API_URL"], c.serversURL) && !slices.Contains(found, env[name]) {
			found = append(found, env[name])
		}
	}
	if len(found) != 1 {
		t.Fatalf("notebooks of this hub have %s as %q", name, found)
	}
	return found[0]
}

package e2e

import (
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// failure is a server that cannot be had, and what a person is told of it.
type failure struct {
	name string
	setup
	says string
	log  string // a line of the server's own, if it had time to print one
}

func failures() []failure {
	return []failure{
		{
			"never answers",
			setup{notebook: `import time; print("waiting for nothing", flush=True); time.sleep(600)`, more: `notebook { answer_timeout = "4s" }`},
			"The server was started but did not answer within 4s.", "waiting for nothing",
		},
		{
			"crashes at start", setup{notebook: `import sys; print("no kernel here", file=sys.stderr); sys.exit(3)`},
			"The server ended with exit code 3.", "no kernel here",
		},
		{
			"more memory than there is", setup{notebook: standIn, more: "notebook {\n  memory = 4194304\n  queue_timeout = \"4s\"\n}"},
			"No machine had room for the server within 4s. Waiting for a machine: 4096 GB of memory asked, the only node does not have it free.", "",
		},
		{
			"out of memory",
			setup{
				notebook: "x = []\nwhile True: x.append(bytearray(1 << 20))",
				driver:   "exec", more: "notebook {\n  memory = 64\n  answer_timeout = \"2m\"\n}",
			},
			"The server was ended because it used more than its 64 MB of memory.", "",
		},
	}
}

// TestF13_ClusterFailures starts servers that cannot work: the person is told why in the stream of the start and on the page, and can go on from there.
func TestF13_ClusterFailures(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	c := newChild(t, plain.binary(t), "fail", setup{notebook: standIn, checked: &checker.Model{}})
	c.begin(t)
	p := b.Page(t)
	p.Open(c.URL + "/hub/login")
	p.Fill("#username_input", "ada")
	p.Click("#login_submit")
	p.WaitVisible("#mine")
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			if f.driver != "" {
				needDriver(t, c.shared, f.driver)
			}
			c.failsAndGoesOn(t, p, f)
		})
	}
}

func (c *child) failsAndGoesOn(t *testing.T, p *browser.Page, f failure) {
	t.Helper()
	before, err := c.server(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	c.configure(t, f.setup)
	c.again()
	p.Open(c.URL + "/hub/home")
	clicks(c.history, "ada", checker.Start)
	p.Click("#start")
	c.awaitServer(t, "asked for", "ada", func(s apiServer) bool { return s.State.Generation > before.State.Generation })
	events := c.progress(t, "ada")
	last := events[len(events)-1]
	if !last.Failed || !strings.Contains(last.Message, f.says) {
		t.Errorf("the stream ends with %+v, and not with: %s", last, f.says)
	}
	if !strings.Contains(strings.Join(last.Log, "\n"), f.log) {
		t.Errorf("the stream shows the log %q", last.Log)
	}
	p.WaitTextIn("main", f.says)
	p.WaitTextIn("main", f.log)
	p.Screenshot("failure-" + f.name)
	c.nothingLeft(t)

	c.configure(t, setup{notebook: standIn})
	c.again()
	clicks(c.history, "ada", checker.Start)
	p.ClickText("button", "Try again")
	p.WaitURL("the server", func(u string) bool { return strings.HasPrefix(u, c.URL+"/user/ada/") })
	p.WaitText(`"user": "ada"`)
	c.must(t, "DELETE", "/users/ada/server", 204, 202)
	c.awaitStopped(t, "ada")
}

// needDriver skips the test if Nomad cannot run jobs with the driver on this machine.
func needDriver(t *testing.T, s *stack.Stack, driver string) {
	t.Helper()
	nodes, _, err := s.Nomad.Client.Nodes().List(nil)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	d := nodes[0].Drivers[driver]
	if d == nil || !d.Healthy {
		t.Skipf("the driver %s does not work on this machine: %+v", driver, d)
	}
}

package e2e

import (
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

// believing lets everybody in under any name, on the loopback interface.
const believing = `
login {
  allow_all = true
}
limits {
  named_servers = true
}
authenticator "dummy" "test" {}
`

func loginByName(p *browser.Page, base, name string) {
	p.Open(base + "/hub/login")
	p.Fill(`input[name="username"]`, name)
	p.Fill(`input[name="password"]`, "any")
	p.Press("\r")
}

// TestF37_HostileNames takes names that break other hubs through login, start, JupyterLab, a kernel and stop, in a browser; or has them refused with a sentence.
func TestF37_HostileNames(t *testing.T) {
	d := newDev(t, plain.binary(t), "hub5", believing)
	d.start()
	b := browser.New(t)

	t.Run("refused", func(t *testing.T) {
		for name, want := range map[string]string{
			".": "may not be", "..": "may not be", "a/b": "slash", `a\b`: "slash", "a\u202eb": "invisible", "a\u200bb": "invisible",
			strings.Repeat("x", 201): "longer",
		} {
			p := b.Page(t)
			loginByName(p, d.URL, name)
			p.WaitText(want)
			if p.Has("#mine") {
				t.Errorf("the name %q got in", name)
			}
		}
	})

	names := []string{
		"joe b@ex.org",
		`o'b"r<i>&n;=,+$(id)`,
		`100%2f%252e~`,
		"ünï日本😀",
		"${env.home}{{ .x }}__proto__",
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p := b.Page(t)
			loginByName(p, d.URL, name)
			p.WaitVisible("#mine")
			p.SetPatience(slowly)
			startServer(p, d.URL, name)
			p.Open(d.URL + userPath(name) + "lab")
			got := p.LabRunCell("import os; print(os.environ['JUPYTERHUB_USER'])")
			if got != name {
				t.Errorf("the notebook of %q is %q's", name, got)
			}
			p.Open(d.URL + "/hub/home")
			p.Click("#stop")
			p.WaitVisible("#start")
			if errs := p.ConsoleErrors(); len(errs) > 0 {
				t.Logf("console: %q", errs)
			}
		})
	}

	t.Run("a named server", func(t *testing.T) {
		const user, server = "ann-b", `big one+é"<`
		p := b.Page(t)
		loginByName(p, d.URL, user)
		p.WaitVisible("#mine")
		p.SetPatience(slowly)
		p.Fill("#new-server", server)
		p.ClickText("button", "Add and start")
		path := userPath(user) + escape(server) + "/"
		p.WaitURL("the named server", func(u string) bool { return strings.Contains(u, path) })
		p.Open(d.URL + path + "lab")
		if got := p.LabRunCell("import os; print(os.environ['JUPYTERHUB_SERVER_NAME'])"); got != server {
			t.Errorf("the notebook of %q is %q", server, got)
		}
		p.Open(d.URL + "/hub/home")
		p.Click("td button.danger")        // stop
		p.WaitVisible("td button.primary") // start
	})

	t.Run("another's server stays closed", func(t *testing.T) {
		p := b.Page(t)
		loginByName(p, d.URL, "joe b")
		p.WaitVisible("#mine")
		p.Open(d.URL + userPath("joe b@ex.org") + "lab")
		if p.Has("#stop, .jp-LabShell") || p.Status() < 400 {
			t.Errorf("the server of a longer name answers %d to a shorter one", p.Status())
		}
	})

	t.Run("twins are one user", func(t *testing.T) {
		p := b.Page(t)
		loginByName(p, d.URL, "  E\u0301va ")
		p.WaitVisible("#mine")
		p.WaitText("\u00e9va")
	})
}

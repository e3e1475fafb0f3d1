package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

// walk is the main job as one person does it: from the home page to a result in a notebook, and out again. The page is logged in.
func walk(t *testing.T, p *browser.Page, base, user string) {
	t.Helper()
	p.SetPatience(slowly)
	startServer(p, base, user)
	p.Screenshot("lab-" + user)

	p.Open(base + userPath(user) + "lab")
	if got := p.LabRunCell("1+1"); strings.TrimSpace(got) != "2" {
		t.Errorf("1+1 in a notebook is %q", got)
	}
	if got := p.LabRunCell("import os; print(os.environ['JUPYTERHUB_USER'])"); strings.TrimSpace(got) != user {
		t.Errorf("the notebook is %q's", got)
	}
	p.Screenshot("notebook-" + user)
	notebook := p.URL()

	p.Open(base + "/hub/home")
	p.Screenshot("home-running-" + user)
	p.Click("#stop")
	p.WaitVisible("#start")

	startServer(p, base, user)
	p.Open(base + "/hub/home")
	p.Click("#logout")
	p.WaitURL("the login page", func(u string) bool { return strings.Contains(u, "/hub/log") })
	p.Open(notebook)
	if u := p.URL(); strings.Contains(u, "/lab") && !strings.Contains(u, "/hub/") {
		t.Errorf("after logging out the notebook still opens at %s", u)
	}
}

// startServer starts the user's own server from the home page and waits until JupyterLab is there.
func startServer(p *browser.Page, base, user string) {
	p.Open(base + "/hub/home")
	p.Click("#start")
	p.WaitURL("the server of "+user, func(u string) bool {
		parsed, err := url.Parse(u)
		return err == nil && strings.HasPrefix(parsed.EscapedPath(), userPath(user))
	})
	// Jupyter's main part, of the lab or of Notebook 7, is a div; that of the hub's own pages, which come between, is not.
	p.WaitTrue("JupyterLab is there", `!!document.querySelector("#jupyterlab-splash, div#main")`)
}

// userPath is the path of a user's default server as browsers show it.
func userPath(user string) string { return "/user/" + escape(user) + "/" }

func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~@", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

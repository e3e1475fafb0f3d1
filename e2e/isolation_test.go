package e2e

import (
	"net/url"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

// TestEmbeddedWithHostsOfTheirOwn is the main job where users have hosts of their own: the browser takes every name below localhost for this machine.
func TestEmbeddedWithHostsOfTheirOwn(t *testing.T) {
	d := newDev(t, plain.binary(t), "hub5", "")
	d.choosePorts()
	at, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	host := "hub.localhost:" + at.Port()
	d.start("NOMADHUB_SUBDOMAIN_HOST=http://" + host)
	p := browser.New(t).Page(t)
	loginByLink(p, d.Link)
	p.SetPatience(slowly)
	startServer(p, "http://"+host, "admin")
	p.Open("http://" + host + "/user/admin/lab")
	if u, err := url.Parse(p.URL()); err != nil || u.Host != "admin."+host {
		t.Errorf("JupyterLab is at %s", p.URL())
	}
	if got := p.LabRunCell("6*7"); got != "42" {
		t.Errorf("6*7 in a notebook is %q", got)
	}
	p.Open("http://" + host + "/hub/home")
	p.Click("#stop")
	p.WaitVisible("#start")
}

package e2e

import (
	"net/url"
	"strings"
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
	walkOnHosts(t, p, host, "admin")
}

// TestClusterWithHostsOfTheirOwn is the same on real Nomad, Consul, Vault and Postgres, with a login at a provider.
func TestClusterWithHostsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	how := onThisMachine(t)
	how.hosts = true
	c := newClusterWith(t, how)
	p := b.Page(t)
	c.loginAtProvider(t, p, "ada")
	p.WaitVisible("#mine")
	walkOnHosts(t, p, strings.TrimPrefix(c.URL, "http://"), "ada")
}

// walkOnHosts starts a server, works in it, on its user's own host, and stops it.
func walkOnHosts(t *testing.T, p *browser.Page, host, user string) {
	t.Helper()
	p.SetPatience(slowly)
	startServer(p, "http://"+host, user)
	p.Open("http://" + host + userPath(user) + "lab")
	if u, err := url.Parse(p.URL()); err != nil || u.Host != user+"."+host {
		t.Errorf("JupyterLab is at %s", p.URL())
	}
	if got := p.LabRunCell("6*7"); got != "42" {
		t.Errorf("6*7 in a notebook is %q", got)
	}
	p.Open("http://" + host + "/hub/home")
	p.Click("#stop")
	p.WaitVisible("#start")
}

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

// newDev prepares `nomadhub dev` in a folder of its own, with servers of one Python environment. What it leaves running ends with the test.
func newDev(t testing.TB, binary, env, config string) *hubProcess {
	t.Helper()
	dir := t.TempDir()
	d := &hubProcess{t: t, binary: binary, args: []string{"dev", "-dir", dir, "-notebook", jupyter(t, env)}}
	if config != "" {
		file := filepath.Join(dir, "hub.hcl")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		d.args = append(d.args, "-config", file)
	}
	t.Cleanup(func() {
		if d.cmd == nil {
			return
		}
		if d.running() {
			d.signal(syscall.SIGTERM)
		}
		d.start("NOMADHUB_LOCAL_STOP_SERVERS=true")
		d.signal(syscall.SIGTERM)
	})
	return d
}

// loginByLink logs the page in with the one-time link.
func loginByLink(p *browser.Page, link string) {
	p.Open(link)
	p.Click("#confirm")
	p.WaitVisible("#mine")
}

func TestEmbeddedFromLoginToLogout(t *testing.T) {
	d := newDev(t, plain.binary(t), "hub5", "")
	d.start()
	b := browser.New(t)
	p := b.Page(t)
	loginByLink(p, d.Link)
	walk(t, p, d.URL, "admin")

	again := b.Page(t)
	again.Open(d.Link)
	again.Click("#confirm")
	again.WaitText("used already")
	if again.Has("#mine") {
		t.Error("the one-time link worked twice")
	}
}

// TestEmbeddedOldServers is the main job with servers of other JupyterHub versions: 3.1 and 4.1 in their modes, and the beta of 6.0.
func TestEmbeddedOldServers(t *testing.T) {
	b := browser.New(t)
	for _, env := range []string{"hub3", "hub4", "hub6"} {
		t.Run(env, func(t *testing.T) {
			d := newDev(t, plain.binary(t), env, "")
			d.start()
			p := b.Page(t)
			loginByLink(p, d.Link)
			p.SetPatience(slowly)
			startServer(p, d.URL, "admin")
			p.Open(d.URL + "/user/admin/lab")
			if got := p.LabRunCell("6*7"); got != "42" {
				t.Errorf("6*7 in a notebook is %q", got)
			}
		})
	}
}

// TestEmbeddedHubRestart restarts the hub under a running notebook: the server stays up, and the same browser goes on working in the same kernel.
func TestEmbeddedHubRestart(t *testing.T) {
	d := newDev(t, plain.binary(t), "hub5", "")
	d.start()
	p := browser.New(t).Page(t)
	loginByLink(p, d.Link)
	p.SetPatience(slowly)
	startServer(p, d.URL, "admin")
	p.Open(d.URL + "/user/admin/lab")
	if got := p.LabRunCell("x = 41; print(x)"); got != "41" {
		t.Fatalf("before the restart a cell prints %q", got)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d.signal(s)
		d.start()
		if got := p.LabRunCell("print(x + 1)"); got != "42" {
			t.Errorf("after %v and a restart the kernel says %q", s, got)
		}
		p2 := p.Tab()
		p2.Open(d.URL + "/hub/home")
		p2.WaitVisible("#stop")
	}
}

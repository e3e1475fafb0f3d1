package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/e2e/browser"
)

// devHub is `nomadhub dev` as a process.
type devHub struct {
	t      testing.TB
	dir    string
	args   []string
	env    []string
	binary string
	cmd    *exec.Cmd
	ended  chan struct{}

	URL     string // of the public listener, without a trailing slash
	Link    string // the one-time login link
	Servers string // of the listener for servers
	Metrics string
}

// newDev prepares a hub for a trial in a folder of its own. start starts it.
func newDev(t testing.TB, binary, env string, config string) *devHub {
	t.Helper()
	dir := t.TempDir()
	d := &devHub{t: t, dir: dir, binary: binary, args: []string{"dev", "-dir", dir, "-notebook", jupyter(t, env)}}
	if config != "" {
		file := filepath.Join(dir, "hub.hcl")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		d.args = append(d.args, "-config", file)
	}
	t.Cleanup(func() {
		// What the test leaves running ends here, in the hub's own way.
		if !d.running() {
			d.start("NOMADHUB_LOCAL_STOP_SERVERS=true")
			d.signal(syscall.SIGTERM)
			return
		}
		d.signal(syscall.SIGTERM)
		d.start("NOMADHUB_LOCAL_STOP_SERVERS=true")
		d.signal(syscall.SIGTERM)
	})
	return d
}

func (d *devHub) running() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

var (
	linkPattern    = regexp.MustCompile(`http://\S+/hub/login/link\?code=\S+`)
	servingPattern = regexp.MustCompile(`msg=serving public=(\S+) servers=(\S+) metrics=(\S+)`)
)

// start runs the hub and returns when it has printed its link. After the first start it takes the same ports again, as a restarted hub does.
func (d *devHub) start(extra ...string) {
	d.t.Helper()
	addr := func(url string) string {
		if url == "" {
			return "127.0.0.1:0"
		}
		return strings.TrimPrefix(url, "http://")
	}
	cmd := exec.Command(d.binary, d.args...) //nolint:noctx // it outlives calls, and ends by signal
	cmd.Env = append(os.Environ(),
		"NOMADHUB_LISTEN_PUBLIC="+addr(d.URL), "NOMADHUB_LISTEN_SERVERS="+addr(d.Servers), "NOMADHUB_LISTEN_METRICS="+addr(d.Metrics))
	cmd.Env = append(append(cmd.Env, d.env...), extra...)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd, d.ended = cmd, make(chan struct{})
	ready := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = in.Close()
		close(d.ended)
	}()
	go d.read(out, sync.OnceFunc(func() { close(ready) }))
	select {
	case <-ready:
	case <-d.ended:
		d.t.Fatal("the hub ended while it started")
	case <-time.After(patience):
		d.t.Fatal("the hub did not start in time")
	}
}

func (d *devHub) read(out io.Reader, ready func()) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		_, _ = io.WriteString(d.t.Output(), line+"\n")
		if m := servingPattern.FindStringSubmatch(line); m != nil {
			d.URL, d.Servers, d.Metrics = m[1], m[2], m[3]
		}
		if link := linkPattern.FindString(line); link != "" {
			d.Link = link
		}
		if strings.Contains(line, "the next start prints a new link") {
			ready()
		}
	}
	_, _ = io.Copy(io.Discard, out)
}

// signal sends a signal and waits until the hub has ended.
func (d *devHub) signal(s syscall.Signal) {
	d.t.Helper()
	_ = d.cmd.Process.Signal(s)
	select {
	case <-d.ended:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-d.ended
		d.t.Errorf("the hub did not end by %v", s)
	}
}

// loginByLink logs the page in with the one-time link.
func (d *devHub) loginByLink(p *browser.Page) {
	d.t.Helper()
	p.Open(d.Link)
	p.Click("#confirm")
	p.WaitVisible("#mine")
}

func TestEmbeddedFromLoginToLogout(t *testing.T) {
	d := newDev(t, plain.binary(t), "hub5", "")
	d.start()
	p := browser.New(t).Page(t)
	d.loginByLink(p)
	walk(t, p, d.URL, "admin")

	res, err := http.Get(d.Link) //nolint:noctx // a plain read in a test
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	again := browser.New(t).Page(t)
	again.Open(d.Link)
	again.Click("#confirm")
	again.WaitText("once")
}

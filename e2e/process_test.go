package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/stack"
)

// hubProcess is the hub as a process of the test, which may be killed and started again.
type hubProcess struct {
	t      testing.TB
	binary string
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{}

	URL     string // of the public listener, without a trailing slash
	Servers string // of the listener for servers
	Metrics string
	Link    string // the one-time login link, if the hub prints one
}

var (
	linkPattern    = regexp.MustCompile(`http://\S+/hub/login/link\?code=\S+`)
	servingPattern = regexp.MustCompile(`msg=serving public=(\S+) servers=(\S+) metrics=(\S+)`)
)

// welcome is the last thing that a hub prints when it is ready.
var welcome = map[string]string{"dev": "the next start prints a new link", "serve": "msg=serving"}

// start runs the hub and returns when it is ready. After the first start it takes the same ports again, as a restarted hub does.
func (d *hubProcess) start(extra ...string) {
	d.t.Helper()
	if !d.tryStart(extra...) {
		d.t.Fatal("the hub ended while it started")
	}
}

// tryStart is start for a hub that may end early: false then.
func (d *hubProcess) tryStart(extra ...string) bool {
	d.t.Helper()
	d.choosePorts()
	addr := func(url string) string { return strings.TrimPrefix(url, "http://") }
	cmd := exec.Command(d.binary, d.args...) // it outlives calls, and ends by signal
	cmd.Env = append(os.Environ(),
		"NOMADHUB_LISTEN_PUBLIC="+addr(d.URL), "NOMADHUB_LISTEN_SERVERS="+addr(d.Servers), "NOMADHUB_LISTEN_METRICS="+addr(d.Metrics))
	cmd.Env = append(cmd.Env, extra...)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended, ready := make(chan struct{}), make(chan struct{})
	d.cmd, d.ended = cmd, ended
	read := make(chan struct{})
	go func() {
		defer close(read)
		d.read(out, sync.OnceFunc(func() { close(ready) }))
	}()
	go func() {
		_ = cmd.Wait()
		_ = in.Close()
		<-read
		close(ended)
	}()
	select {
	case <-ready:
		return true
	case <-ended:
		return false
	case <-time.After(patience):
		d.t.Fatal("the hub did not start in time")
	}
	return false
}

// choosePorts gives the hub its ports before the first start, out of those that nobody else takes while it is down.
func (d *hubProcess) choosePorts() {
	d.t.Helper()
	if d.URL != "" {
		return
	}
	ports, err := stack.FreePorts(3)
	if err != nil {
		d.t.Fatal(err)
	}
	d.URL, d.Servers, d.Metrics = loopbackURL(ports[0]), loopbackURL(ports[1]), loopbackURL(ports[2])
}

func (d *hubProcess) read(out io.Reader, ready func()) {
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
		if strings.Contains(line, welcome[d.args[0]]) {
			ready()
		}
	}
	_, _ = io.Copy(io.Discard, out)
}

func (d *hubProcess) running() bool {
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

// awaitEnd waits until the hub has ended by itself.
func (d *hubProcess) awaitEnd() {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatal("the hub did not end")
	}
}

// signal sends a signal and waits until the hub has ended.
func (d *hubProcess) signal(s syscall.Signal) {
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

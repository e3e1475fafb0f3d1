// Package dockerd runs a private Docker engine for tests: Debian's docker.io with data, socket, containerd and bridge of its own, so that it meets
// neither an engine that this machine runs nor another test's. It changes nothing of the machine's firewall: ports are published by Docker's own
// proxy. [Engine.Stop] leaves no container, process, mount or network behind; if the process that started the engine dies without stopping
// it, a watchdog does the same.
package dockerd

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nomadhub/nomadhub/internal/deps"
	"github.com/nomadhub/nomadhub/internal/leftover"
)

const (
	startTimeout = 90 * time.Second // a busy two-core machine needs some of it
	stopTimeout  = 30 * time.Second
	// dataBase is on a disk and not in memory, as /tmp may be, has room for the addresses of sockets, which may have about a hundred bytes, and is
	// outside of what tests give to containers: an engine does not like to mount what its own data lies in.
	dataBase = "/var/tmp"
)

// ErrUnavailable means that no engine can run here: programs are missing, this is not root, or the kernel refuses.
var ErrUnavailable = errors.New("no Docker engine can be started here")

// Packages are Debian's packages that bring what an engine needs.
func Packages() []string { return []string{"docker.io", "iproute2"} }

// Installed is nil if the programs that an engine needs are on this machine.
func Installed() error {
	for _, name := range []string{"dockerd", "containerd", "runc", "ip"} {
		if _, err := lookPath(name); err != nil {
			return &deps.MissingError{Program: "Docker's engine (" + name + ")", Packages: Packages()}
		}
	}
	return nil
}

// lookPath also looks where Debian has an administrator's programs, which not every PATH names.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// Engine is a running Docker engine.
type Engine struct {
	Dir     string // holds everything of it
	Socket  string // path of the socket of its API
	Gateway string // address of this machine on the engine's bridge, by which containers reach it

	bridge  bridge
	client  *http.Client
	daemon  *exec.Cmd
	ended   chan struct{}
	unwatch func() error
}

// Start starts an engine in a temporary folder and returns when it answers. On error nothing is left.
func Start(ctx context.Context) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can", ErrUnavailable)
	}
	if err := Installed(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	dir, err := os.MkdirTemp(dataBase, "nomadhub-docker-")
	if err != nil {
		return nil, err
	}
	e := &Engine{Dir: dir, Socket: filepath.Join(dir, "docker.sock"), ended: make(chan struct{})}
	e.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.Socket)
	}}}
	if err := e.start(ctx); err != nil {
		tail := e.LogTail(20)
		return nil, errors.Join(fmt.Errorf("%w: %w\nits log ends:\n%s", ErrUnavailable, err, tail), e.Stop())
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context) (err error) {
	if e.bridge, err = makeBridge(ctx); err != nil {
		return err
	}
	e.Gateway = e.bridge.gateway()
	if e.unwatch, err = e.leftovers().Watch(); err != nil {
		return err
	}
	if err := e.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it does not answer after %s", startTimeout))
	defer cancel()
	return poll(ctx, func() error {
		select {
		case <-e.ended:
			cancel()
			return fmt.Errorf("it ended: %v", e.daemon.ProcessState)
		default:
			return e.get(ctx, "/version", nil)
		}
	})
}

// configuration is the daemon's: everything private, and nothing of the machine's network touched but its own bridge.
func (e *Engine) configuration() map[string]any {
	return map[string]any{
		"data-root": filepath.Join(e.Dir, "data"), "exec-root": filepath.Join(e.Dir, "exec"), "pidfile": filepath.Join(e.Dir, "dockerd.pid"),
		"hosts": []string{"unix://" + e.Socket}, "group": "root",
		// Several engines and other tests share the firewall; published ports go through the proxy process instead.
		"bridge": e.bridge.name, "iptables": false, "ip6tables": false, "ip-forward": false, "ip-masq": false, "userland-proxy": true,
		"log-level": "warn", "shutdown-timeout": 5,
	}
}

func (e *Engine) launch() error {
	text, err := json.MarshalIndent(e.configuration(), "", "  ")
	if err != nil {
		return err
	}
	config := filepath.Join(e.Dir, "daemon.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	program, err := lookPath("dockerd")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(e.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	//nolint:noctx // the engine outlives the context that it was started with
	e.daemon = exec.Command(program, "--config-file", config)
	e.daemon.Dir, e.daemon.Stdout, e.daemon.Stderr = e.Dir, out, out
	e.daemon.Env = []string{e.leftovers().Mark(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + e.Dir, "TMPDIR=" + e.Dir}
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := e.daemon.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		_ = e.daemon.Wait() // its state is read from the process
		close(e.ended)
	}()
	return nil
}

// PID returns the process ID of the engine.
func (e *Engine) PID() int { return e.daemon.Process.Pid }

// Stop ends all containers and then the engine, and removes everything of it. It may be called twice.
func (e *Engine) Stop() error {
	var errs []error
	if e.daemon != nil && e.daemon.Process != nil {
		errs = append(errs, e.removeContainers(), e.endDaemon())
		e.daemon = nil
	}
	errs = append(errs, e.sweep())
	if e.unwatch != nil {
		errs = append(errs, e.unwatch())
		e.unwatch = nil
	}
	return errors.Join(errs...)
}

// sweep ends what outlived the daemon. After an orderly end there is nothing but the bridge and the folder.
func (e *Engine) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopTimeout)
	defer cancel()
	return e.leftovers().Sweep(ctx)
}

// remove.sh removes what only engines have.
//
//go:embed remove.sh
var removeScript string

// leftovers are the engine's. What the daemon starts itself inherits its mark: containerd, the shims of containers, proxies of ports. What runs in containers
// does not, and hangs below a shim.
func (e *Engine) leftovers() leftover.Run {
	return leftover.Run{Dir: e.Dir, Made: []string{"data/containers/*"}, Last: "bridge=" + e.bridge.name + "\n" + removeScript}
}

// removeContainers is quicker than to let the daemon do it when it ends, which asks each politely first.
func (e *Engine) removeContainers() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	all, err := e.Containers(ctx)
	if err != nil {
		return nil // an engine that does not answer is ended below, and its containers with it
	}
	for _, c := range all {
		err = errors.Join(err, e.Remove(ctx, c.ID))
	}
	return err
}

func (e *Engine) endDaemon() error {
	if err := e.daemon.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-e.ended:
		return nil
	case <-time.After(stopTimeout):
		err := e.daemon.Process.Kill()
		<-e.ended
		return err
	}
}

func (e *Engine) logFile() string { return filepath.Join(e.Dir, "dockerd.log") }

// LogTail returns the last n lines of the engine's log.
func (e *Engine) LogTail(n int) string {
	text, err := os.ReadFile(e.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// poll repeats try until it succeeds or ctx ends; then it returns the last error as well.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

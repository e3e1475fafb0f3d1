package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second // of one server until it answers; a busy two-core machine needs most of it at worst
	stopTimeout  = 20 * time.Second // until SIGKILL follows SIGTERM
	sweepTimeout = time.Minute
)

// Process is one server of the stack. It can be killed and started again at will; its data and its address stay.
type Process struct {
	name   string
	path   string
	args   []string
	env    []string
	dir    string
	log    string
	logger *slog.Logger
	ready  func(ctx context.Context) error // asked until it returns nil

	mu      sync.Mutex
	running *running // nil while stopped
}

// running is one operating system process. err is valid once done is closed.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// LogFile is where the server's output goes, over all its restarts.
func (p *Process) LogFile() string { return p.log }

// PID returns the operating system's process ID, or 0 while stopped.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return 0
	}
	return p.running.cmd.Process.Pid
}

// Start runs the server and returns when it answers. Starting one that runs is an error.
func (p *Process) Start(ctx context.Context) error {
	run, err := p.launch()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := p.await(ctx, run); err != nil {
		return errors.Join(err, p.Kill())
	}
	p.logger.Info("server answers", "server", p.name, "pid", run.cmd.Process.Pid)
	return nil
}

func (p *Process) launch() (*running, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return nil, errors.New("it runs already")
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	//nolint:noctx // the server outlives the context that it was started with
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, out, out
	// A session of its own: a Ctrl-C in the terminal reaches the stack, which then stops its servers in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	run := &running{cmd: cmd, done: make(chan struct{})}
	go func() {
		run.err = cmd.Wait()
		close(run.done)
	}()
	p.running = run
	return run, nil
}

// await returns when the server answers, or with the reason and the end of its log when it ended or took too long.
func (p *Process) await(ctx context.Context, run *running) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		select {
		case <-run.done:
			ended(fmt.Errorf("it ended: %w", run.err))
		case <-ctx.Done():
		}
	}()
	err := poll(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return p.ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("start %s: %w\nlog %s ends:\n%s", p.name, err, p.log, p.LogTail(15))
	}
	return nil
}

// Kill ends the server at once, as a crash does (SIGKILL), and returns when it is gone. Killing a stopped one does nothing.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL, stopTimeout) }

// Stop ends the server in its own orderly way (SIGTERM), and by SIGKILL if that takes too long.
func (p *Process) Stop() error {
	if err := p.end(syscall.SIGTERM, stopTimeout); err == nil {
		return nil
	}
	return p.Kill()
}

// Restart stops the server and starts it again on its data.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Freeze makes the server hang without ending it, as an overloaded or swapped-out machine does, until Thaw.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	return p.running.cmd.Process.Signal(sig)
}

func (p *Process) end(sig syscall.Signal, within time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	if err := p.running.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.running.done:
		p.running = nil
		return nil
	case <-time.After(within):
		return fmt.Errorf("stop %s: still there %s after %s", p.name, within, sig)
	}
}

// LogTail returns the last n lines of the server's log.
func (p *Process) LogTail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), n)
}

// environment is what the servers get: enough to run, and none of the caller's Nomad, Consul, Vault or cloud settings, which
// would change what the servers do.
func environment(dir string) []string {
	env := []string{leftovers(dir).Mark()}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR":
			env = append(env, kv)
		}
	}
	return env
}

func logPath(dir, name string) string { return filepath.Join(dir, "log", name+".log") }

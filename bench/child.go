package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// The cores of the machine; see the package's comment.
const (
	coreUnderTest = 0
	coreForRest   = 1
)

// program is a process to start.
type program struct {
	name string
	core int
	path string
	args []string
	env  []string // beside a minimal environment
	// ownMounts has what it mounts be seen by itself and what it starts, as on a machine of its own.
	ownMounts bool
}

// child is a process that this program started. It ends with this program, whatever happens.
type child struct {
	program
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	held  bool // it does not go on until it is resumed
}

// spawn starts a program on its core; what it prints goes to a file in dir.
func spawn(dir string, p program) (*child, error) {
	c := &child{program: p, log: filepath.Join(dir, p.name+".log"), ended: make(chan struct{})}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd = exec.Command(p.path, p.args...) //nolint:gosec,noctx // it outlives calls, and ends by signal
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Dir = out, out, dir
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}, p.env...)
	if p.core == coreUnderTest {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS=1")
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.ownMounts {
		c.cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	if err := startOn(c.cmd, p.core); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// startOn starts a process that has the core from its first instruction on: it inherits it from the thread that makes it.
func startOn(cmd *exec.Cmd, core int) error {
	done := make(chan error)
	go func() {
		// The thread is never given back, because its core is not ours; it lives until this process ends, since the kernel would take its end for the parent's.
		runtime.LockOSThread()
		err := setCore(0, core)
		if err == nil {
			err = cmd.Start()
		}
		done <- err
		select {}
	}()
	return <-done
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// process is this child, for what has one.
func (c *child) process() *child { return c }

// kill ends the process at once, as a crash does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// stop asks the process to end, and ends it when it takes too long.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Process.Signal(syscall.SIGCONT) // who is held would not hear it
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		c.kill()
	}
}

// await repeats check until it is nil, the process ends, or patience is over.
func (c *child) await(ctx context.Context, patience time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("%s ended; its log is %s", c.name, c.log)
		default:
		}
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%s: waited in vain (its log is %s): %w", c.name, c.log, err)
		}
	}
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// serviceGrace is how long a service has to end by itself when it is asked to.
const serviceGrace = 10 * time.Second

const (
	maxServiceLine   = 16 << 10 // bytes of one entry of the log
	serviceLastWords = time.Second
)

// kept are the variables of the hub's own environment that commands of services get. The others may hold secrets.
var kept = [...]string{"PATH", "PYTHONPATH", "CONDA_ROOT", "CONDA_DEFAULT_ENV", "VIRTUAL_ENV", "LANG", "LC_ALL", "HOME", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// processes runs commands of services as children of the hub, each in a process group of its own. What they print goes to the hub's log.
type processes struct{ log *slog.Logger }

var _ hub.ServiceRunner = processes{}

// RunService implements [hub.ServiceRunner].
func (p processes) RunService(ctx context.Context, s hub.ServiceProcess, started func(pid int)) error {
	ended := make(chan error, 1)
	go func() {
		// The child dies with the thread that made it, so that it never outlives a hub that was killed. The thread is given up with this goroutine.
		runtime.LockOSThread()
		ended <- p.run(ctx, s, started)
	}()
	return <-ended
}

func (p processes) run(ctx context.Context, s hub.ServiceProcess, started func(pid int)) error {
	cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...) //nolint:gosec // what the operator wrote down
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = s.Directory, in, in, serviceGrace
	cmd.Env = []string{}
	for _, name := range kept {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = childOfHub()
	if s.User != "" {
		account, home, err := accountOf(s.User)
		if err != nil {
			return err
		}
		cmd.SysProcAttr.Credential = account
		cmd.Env = append(cmd.Env, "HOME="+home, "USER="+s.User, "LOGNAME="+s.User)
	}
	for name, value := range s.Environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	group := func(sig syscall.Signal) error {
		if err := syscall.Kill(-cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	}
	cmd.Cancel = func() error { return group(syscall.SIGTERM) }
	err = errors.Join(cmd.Start(), in.Close())
	if cmd.Process == nil {
		return fmt.Errorf("start the command of the service %s: %w", s.Name, err)
	}
	started(cmd.Process.Pid)
	var reading sync.WaitGroup
	reading.Go(func() { follow(out, p.log.With("service", s.Name)) })
	defer reading.Wait()
	err = errors.Join(cmd.Wait(), group(syscall.SIGKILL)) // also what it started and left behind
	// What has left the group may hold the pipe for ever.
	return errors.Join(err, out.SetReadDeadline(time.Now().Add(serviceLastWords)))
}

// accountOf finds a local account.
func accountOf(name string) (*syscall.Credential, string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, "", fmt.Errorf("the account %s, as which the service shall run, was not found: %w", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, "", err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, u.HomeDir, nil
}

// follow writes what a command prints into the log, line by line, until nobody prints any more.
func follow(out io.Reader, log *slog.Logger) {
	lines := bufio.NewReaderSize(out, maxServiceLine)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimSpace(strings.ToValidUTF8(string(line), "\ufffd")); text != "" {
			log.Info("service says", "line", text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // a line that is too long goes on in the next entry
			return
		}
	}
}

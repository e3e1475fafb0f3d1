package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The points of a start at which a test lets the hub die.
const (
	crashRecorded = "recorded" // the record is written, there is no process
	crashForked   = "forked"   // there is a process that no record knows by its ID
	crashStarted  = "started"  // the record knows the process
)

// Start implements [scheduler.Scheduler]. Ending an older generation can take as long as the graces of [Options].
func (s *Scheduler) Start(ctx context.Context, spec scheduler.Spec) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := spec.Validate(); err != nil {
		return err
	}
	if err := checkWorkload(spec); err != nil {
		return err
	}
	unlock, err := s.starting.lock(ctx, spec.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.check(ctx); err != nil {
		return err
	}
	if srv := s.lookup(spec.ID); srv != nil {
		switch {
		case srv.rec.Generation > spec.Generation:
			return scheduler.ErrStale
		case srv.rec.Generation == spec.Generation:
			return nil
		}
		if err := s.end(ctx, srv); err != nil {
			return fmt.Errorf("end generation %d of server %s: %w", srv.rec.Generation, spec.ID, err)
		}
	}
	return s.launch(spec)
}

// launch starts a server of which nothing is there yet.
func (s *Scheduler) launch(spec scheduler.Spec) error {
	cmd, err := s.command(spec)
	if err != nil {
		return err
	}
	srv, err := s.enter(spec)
	if err != nil {
		return undecided(spec.ID, err)
	}
	if err := s.run(srv, spec, cmd); err != nil {
		err = errors.Join(err, s.forget(srv))
		s.news.publish(scheduler.Event{Resync: true}) // a watcher may have heard of it
		return err
	}
	return nil
}

// undecided marks an error of this machine, such as a full disk, after which the start may be tried again.
func undecided(id string, err error) error {
	return fmt.Errorf("start server %s: %w: %w", id, scheduler.ErrUnavailable, err)
}

// enter gives the server a place: a port, a folder and a record. From here on a restarted hub knows of it.
func (s *Scheduler) enter(spec scheduler.Spec) (*server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	port, err := s.freePort()
	if err != nil {
		return nil, err
	}
	entered := false
	defer func() {
		if !entered {
			port.release()
		}
	}()
	s.lastPlacement = max(s.lastPlacement+1, uint64(time.Now().UnixMicro())) //nolint:gosec // G115: after 1970
	srv := &server{ended: make(chan struct{}), port: port, rec: record{
		ID: spec.ID, Generation: spec.Generation, Labels: maps.Clone(spec.Labels),
		Phase: phaseStarting, Marker: fmt.Sprintf("%s.%d.%s", spec.ID, spec.Generation, rand.Text()), BootID: s.bootID,
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port.port)), Placement: s.lastPlacement, StartedAt: time.Now().UTC(),
		StopSignal: spec.Workload.StopSignal, StopTimeout: spec.Workload.StopTimeout,
	}}
	folder := s.folder(spec.ID)
	if err := removeFolder(folder); err != nil { // what a crash or a full disk may have left
		return nil, err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	if err := srv.rec.save(folder); err != nil {
		return nil, errors.Join(err, removeFolder(folder))
	}
	s.servers[spec.ID], entered = srv, true
	return srv, nil
}

// command is the process to make, apart from what is known only when the server has a place. Its errors say what can never run.
func (s *Scheduler) command(spec scheduler.Spec) (*exec.Cmd, error) {
	acct, err := resolveAccount(spec.Owner)
	if err != nil {
		return nil, err
	}
	home, err := s.home(spec, acct)
	if err != nil {
		return nil, err
	}
	args := s.program(spec.Workload)
	program, err := lookPath(args[0], s.opts.Env["PATH"])
	if err != nil {
		return nil, &scheduler.RejectedError{
			Reason: fmt.Sprintf("The server's program %q was not found on the hub's machine. The operator can install it or correct the command.",
				args[0]),
			Err: err,
		}
	}
	env := maps.Clone(s.opts.Env)
	if env == nil {
		env = make(map[string]string)
	}
	env["HOME"] = home
	maps.Copy(env, acct.env)
	maps.Copy(env, spec.Env)
	maps.Copy(env, spec.Secrets)
	cmd := &exec.Cmd{
		Path: program, Args: args, Dir: cmp.Or(spec.Workload.WorkDir, home),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: acct.credential},
	}
	for name, value := range env {
		if name != spec.URLVariable && name != markerVariable {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd, nil
}

// run makes the process and begins to follow it.
func (s *Scheduler) run(srv *server, spec scheduler.Spec, cmd *exec.Cmd) error {
	s.crashPoint(crashRecorded)
	folder := s.folder(spec.ID)
	cmd.Env = append(cmd.Env, markerVariable+"="+srv.rec.Marker)
	if spec.URLVariable != "" {
		cmd.Env = append(cmd.Env, spec.URLVariable+"=http://"+srv.rec.Address+spec.URLPath)
	}
	alive, err := lockAlive(folder)
	if err != nil {
		return undecided(spec.ID, err)
	}
	defer alive.Close()
	output, err := openLog(folder)
	if err != nil {
		return undecided(spec.ID, err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output, output, []*os.File{alive}
	if err := cmd.Start(); err != nil {
		return startError(spec.ID, err)
	}
	s.crashPoint(crashForked)
	if err := s.hold(srv, cmd); err != nil {
		// Without a record of it the process would be lost at the next restart: better none.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, kill := killMarked(srv.rec.Marker)
		return undecided(spec.ID, errors.Join(err, kill))
	}
	s.crashPoint(crashStarted)
	s.log.Info("server started", "server_id", spec.ID, "generation", spec.Generation, "pid", cmd.Process.Pid, "address", srv.rec.Address)
	return nil
}

func (s *Scheduler) hold(srv *server, cmd *exec.Cmd) error {
	proc, err := holdChild(cmd.Process.Pid, srv.rec.Marker, s.aliveness(srv.rec.ID))
	if err != nil {
		return err
	}
	err = s.update(srv, "The server's process was started.", func(srv *server) {
		srv.proc, srv.rec.PID, srv.rec.StartTicks = proc, proc.pid, proc.ticks
		s.tell(srv, "The server has a place on this machine.")
		srv.rec.Phase = phaseRunning
	})
	if err != nil {
		proc.release()
		return err
	}
	s.follow(srv, cmd)
	return nil
}

// startError tells what can never run from what may run later.
func startError(id string, err error) error {
	reasons := map[syscall.Errno]string{
		syscall.EACCES:  "The server's program or its folder may not be used by the account that it runs as. The operator can correct the permissions.",
		syscall.EPERM:   "The hub may not start programs as another account on this machine. The operator can run it as root.",
		syscall.ENOENT:  "The server's program needs another program that is missing on the hub's machine. The operator can install it.",
		syscall.ENOEXEC: "The server's program cannot be run on the hub's machine. The operator can correct the command.",
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && reasons[errno] != "" {
		return &scheduler.RejectedError{Reason: reasons[errno], Err: err}
	}
	return undecided(id, err)
}

// lookPath finds a program in the servers' own PATH, which need not be this process's.
func lookPath(name, path string) (string, error) {
	if filepath.Base(name) != name {
		return filepath.Abs(name)
	}
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, name)
		if info, err := os.Stat(candidate); filepath.IsAbs(candidate) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

package local

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ script, want string }{
		"code":    {"exit 3", "The server ended with exit code 3."},
		"zero":    {"exit 0", "The server ended by itself, without an error."},
		"killed":  {"kill -KILL $$", "Killed, probably out of memory."},
		"segment": {"kill -SEGV $$", "The server was ended by the signal SIGSEGV."},
		"port": {
			"echo 'OSError: [Errno 98] Address already in use' >&2; exit 1",
			"The server could not start, because its port was already in use by another program on this machine. Start it again.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, shellOptions(t, c.script))
			start(t, s, spec("lab1"))
			if st := awaitDead(t, s, "lab1"); st.Reason != c.want {
				t.Errorf("got %q, want %q", st.Reason, c.want)
			}
		})
	}
}

// TestPortTakenMeanwhile takes the port between its choice and the server's start, as another program could.
func TestPortTakenMeanwhile(t *testing.T) {
	t.Parallel()
	s := open(t, testOptions(t))
	s.crashPoint = func(name string) {
		if name != crashRecorded {
			return
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", mustLoad(t, s.folder("lab1")).Address)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	start(t, s, servingSpec("lab1"))
	if st := awaitDead(t, s, "lab1"); !strings.Contains(st.Reason, "its port was already in use") {
		t.Errorf("got %q", st.Reason)
	}
}

func TestWhatAServerLeavesEndsWithIt(t *testing.T) {
	t.Parallel()
	s := open(t, shellOptions(t, "setsid sleep 300 & setsid sh -c 'trap \"\" TERM INT HUP; sleep 300; sleep 300' & exit 4"))
	start(t, s, spec("lab1"))
	marker := mustLoad(t, s.folder("lab1")).Marker
	awaitDead(t, s, "lab1")
	if pids, err := marked(marker); err != nil || len(pids) != 0 {
		t.Errorf("left over: %v, %v", pids, err)
	}
}

func TestStopAsksBeforeItKills(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ trap, said, reason string }{
		"interrupt": {"trap 'echo said int; exit 0' INT", "int", "The server was stopped."},
		"terminate": {"trap '' INT; trap 'echo said term; exit 0' TERM", "term", "The server was stopped."},
		"kill":      {"trap '' INT TERM", "", "The server was stopped by force, because it did not end when asked."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, shellOptions(t, c.trap+"; echo ready; while :; do sleep 0.05; done"))
			start(t, s, spec("lab1"))
			awaitLine(t, s, "lab1", "ready")
			srv := s.lookup("lab1")
			if err := s.bringDown(t.Context(), srv); err != nil { // Stop, without forgetting
				t.Fatal(err)
			}
			if st := status(t, s, "lab1"); st.Reason != c.reason {
				t.Errorf("reason %q, want %q", st.Reason, c.reason)
			}
			if c.said != "" {
				if said := awaitLine(t, s, "lab1", "said "); said != c.said {
					t.Errorf("the server saw %q", said)
				}
			}
		})
	}
}

func TestEscalation(t *testing.T) {
	t.Parallel()
	var e escalation
	now := time.Unix(0, 0)
	steps := []struct {
		after time.Duration
		want  unix.Signal
	}{
		{0, unix.SIGINT},
		{9 * time.Second, 0},
		{time.Second, unix.SIGTERM},
		{4 * time.Second, 0},
		{time.Second, unix.SIGKILL},
		{killEvery, unix.SIGKILL},
	}
	for i, step := range steps {
		now = now.Add(step.after)
		if got, again := e.next(now, manners{unix.SIGINT, 10 * time.Second, 5 * time.Second}); got != step.want || !again.After(now) {
			t.Errorf("step %d: got signal %d, look again at %v", i, got, again)
		}
	}
}

func TestStopIsContinuedNotBegunAgain(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "trap 'echo int' INT; echo ready; while :; do sleep 0.05; done")
	opts.InterruptGrace = time.Hour
	s := open(t, opts)
	start(t, s, spec("lab1"))
	awaitLine(t, s, "lab1", "ready")
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Stop(ctx, "lab1", math.MaxInt64) }()
		awaitLine(t, s, "lab1", "int")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("stop: %v", err)
		}
	}
	if sent := s.lookup("lab1").stop.sent; sent != 1 {
		t.Errorf("%d signals were sent", sent)
	}
	s.opts.TerminateGrace = time.Millisecond
	s.lookup("lab1").stop = escalation{sent: 2} // let the test's end kill it at once
}

func TestRejections(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "not-executable")
	if err := os.WriteFile(script, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*Options, *scheduler.Spec)
		want   string
	}{
		"no such command": {
			func(o *Options, _ *scheduler.Spec) { o.Command = []string{"no-such-program"} },
			`The server's program "no-such-program" was not found on the hub's machine. The operator can install it or correct the command.`,
		},
		"not executable": {
			func(o *Options, _ *scheduler.Spec) { o.Command = []string{script} },
			"The server's program or its folder may not be used by the account that it runs as. The operator can correct the permissions.",
		},
		"no such account": {
			func(_ *Options, s *scheduler.Spec) { s.Owner = "no-such-account" },
			`There is no account "no-such-account" on the hub's machine.`,
		},
		"root": {
			func(_ *Options, s *scheduler.Spec) { s.Owner = "root" },
			"Servers do not run as root.",
		},
		"home is a file": {
			func(o *Options, _ *scheduler.Spec) {
				o.Home = func(scheduler.Spec) (string, error) { return script, nil }
			},
			"The folder that the server runs in cannot be made. The operator can correct its place or its permissions.",
		},
		"no home": {
			func(o *Options, _ *scheduler.Spec) {
				o.Home = func(scheduler.Spec) (string, error) { return "", errors.New("the disk is not mounted") }
			},
			"The server has no folder to run in: the disk is not mounted.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, sp := shellOptions(t, "exit 0"), spec("lab1")
			c.change(&opts, &sp)
			s := open(t, opts)
			err := s.Start(t.Context(), sp)
			rejected, ok := errors.AsType[*scheduler.RejectedError](err)
			if !ok || rejected.Reason != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("left over: %+v, %v", all, err)
			}
			if _, err := os.Stat(s.folder("lab1")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left over: %v", err)
			}
		})
	}
}

// TestRunsAsOwner runs a server as another account, in a home that is made for it.
func TestRunsAsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may start a process as another account")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("needs the account nobody: ", err)
	}
	opts := shellOptions(t, "echo uid $(id -u); touch mine && echo wrote it; cat "+filepath.Join("$STATE", "state.json")+" || echo closed; exec sleep 300")
	top, err := os.MkdirTemp("", "local-owner-") // t.TempDir lies in a folder that only this account can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	opts.Dir = filepath.Join(top, "servers")
	opts.Home = func(s scheduler.Spec) (string, error) { return filepath.Join(top, "homes", s.Owner), nil }
	opts.Env["STATE"] = filepath.Join(opts.Dir, "lab1")
	s := open(t, opts)
	sp := spec("lab1")
	sp.Owner = "nobody"
	start(t, s, sp)
	if uid := awaitLine(t, s, "lab1", "uid "); uid != nobody.Uid {
		t.Errorf("the server runs as %s", uid)
	}
	awaitLine(t, s, "lab1", "wrote it")
	awaitLine(t, s, "lab1", "closed")
	if err := s.Stop(t.Context(), "lab1", math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(top, "homes", "nobody", "mine")); err != nil {
		t.Errorf("the user's work is gone after a stop: %v", err)
	}
}

func TestPollingWithoutProcessDescriptors(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "300")
	cmd.Env = []string{markerVariable + "=polled"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stat, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{pid: cmd.Process.Pid, ticks: stat.ticks, marker: "polled", released: make(chan struct{})}
	ended := make(chan error, 1)
	ticks := make(chan struct{}, 100)
	go func() {
		ended <- p.wait(time.Millisecond, func() {
			select {
			case ticks <- struct{}{}:
			default:
			}
		})
	}()
	<-ticks
	if err := p.signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if err := p.signal(unix.SIGTERM); err != nil {
		t.Errorf("signal to a process that is gone: %v", err)
	}
	p.release()
	if err := (&process{pid: os.Getpid(), released: p.released}).wait(time.Hour, nil); err == nil {
		t.Error("a wait for a released process ended well")
	}
}

package leftover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// childVariable makes this test binary the process of a run, in the folder that it names, that waits to be killed.
const childVariable = "NOMADHUB_LEFTOVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(Run{Dir: dir, Made: []string{"alloc/*"}, Last: `rm -f "$dir/last"`}); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child is a run: a marked process, one below it that lost the mark, and a mount within a mount.
func child(r Run) error {
	if _, err := r.Watch(); err != nil {
		return err
	}
	for _, where := range []string{"a", "a/b"} {
		path := filepath.Join(r.Dir, where)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "last"), nil, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", "env -i /bin/sleep 600; true")
	cmd.Env = []string{r.Mark()}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("started")
	return cmd.Wait()
}

// stranger is a process with the mark of another run, whose folder's name begins as this one's does.
func stranger(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	cmd.Env = []string{Run{Dir: dir + "2"}.Mark()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// newRun makes a run with the folder of an allocation that has control groups, where this kernel lets us make some.
func newRun(t *testing.T) (r Run, id string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root can mount")
	}
	id = uuid.NewString()
	r = Run{Dir: t.TempDir(), Made: []string{"alloc/*"}, Last: `rm -f "$dir/last"`}
	for _, name := range []string{id, "shared"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, "alloc", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, base := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		if os.MkdirAll(filepath.Join(base, "nomadhub-test", id+".task.scope", "inner"), 0o755) == nil {
			t.Cleanup(func() { _ = os.Remove(filepath.Join(base, "nomadhub-test")) }) // fails while another test has one below it
			break
		}
	}
	return r, id
}

func TestKilledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	r, id := newRun(t)
	if len(Named(id)) == 0 {
		t.Log("control groups cannot be made here")
	}
	other := stranger(t, r.Dir)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+r.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	requireStarted(t, out)
	await(t, func() error {
		mounts, err := r.Mounts()
		if n := len(r.Processes()); n != 2 || len(mounts) != 2 {
			return fmt.Errorf("%d processes, mounts %v, %w", n, mounts, err)
		}
		return nil
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	await(t, func() error { return nothingLeft(r, id) })
	if err := other.Process.Signal(syscall.Signal(0)); err != nil || !slices.Contains(Run{Dir: r.Dir + "2"}.Processes(), other.Process.Pid) {
		t.Errorf("another run's process is gone: %v", err)
	}
}

func requireStarted(t *testing.T, out io.Reader) {
	t.Helper()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "started\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
}

func nothingLeft(r Run, id string) error {
	mounts, err := r.Mounts()
	_, last := os.Stat(filepath.Join(r.Dir, "last"))
	if pids := r.Processes(); err != nil || len(pids)+len(mounts) > 0 || !errors.Is(last, os.ErrNotExist) {
		return fmt.Errorf("left are processes %v, mounts %v and what was to be done last (%w), %w", pids, mounts, last, err)
	}
	if named := Named(id); len(named) > 0 {
		return fmt.Errorf("%v are left", named)
	}
	return nil
}

// TestOrderlyRun ends by its own sweep, and the watchdog then does nothing more.
func TestOrderlyRun(t *testing.T) {
	t.Parallel()
	r, id := newRun(t)
	for range 5000 { // more names than a command takes as one argument
		if err := os.Mkdir(filepath.Join(r.Dir, "alloc", uuid.NewString()), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	closing, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	cmd.Env = []string{r.Mark()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	await(t, func() error {
		if !slices.Contains(r.Processes(), cmd.Process.Pid) {
			return errors.New("the marked process is not found")
		}
		return nil
	})
	if err := r.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	<-ended
	if err := nothingLeft(r, id); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "last"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := closing(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "last")); err != nil {
		t.Errorf("the watchdog of a run that swept for itself swept again: %v", err)
	}
}

// TestUnsafeFolder: a folder that is not a run's own is refused before anything is looked for in it.
func TestUnsafeFolder(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", "/", "/tmp", "/tmp/", "x/y/z", "/tmp/a b", "/tmp/*"} {
		if err := (Run{Dir: dir}).Sweep(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be a run's own") {
			t.Errorf("%q: %v", dir, err)
		}
		if _, err := (Run{Dir: dir}).Watch(); err == nil {
			t.Errorf("%q is watched", dir)
		}
	}
}

func await(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %v", err)
		}
	}
}

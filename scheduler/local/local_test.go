package local

import (
	"context"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(dyingHubVariable) != "" {
		os.Exit(dyingHub())
	}
	schedulertest.Main(m)
}

func TestScheduler(t *testing.T) {
	t.Parallel()
	schedulertest.Run(t, func(t *testing.T) schedulertest.Harness {
		opts := testOptions(t)
		current := &restartable{Scheduler: open(t, opts)}
		return schedulertest.Harness{
			Scheduler: current,
			Reopen: func(t *testing.T) scheduler.Scheduler {
				current.restart(t, opts)
				return current
			},
			Visible: func(t *testing.T, id string) string { return visible(t, opts.Dir, id) },
			Labels: func(t *testing.T, id string) map[string]string {
				return mustLoad(t, filepath.Join(opts.Dir, id)).Labels
			},
		}
	})
}

// restartable is a Scheduler in whose place another one comes, as when a hub is restarted: only one at a time may use a folder.
type restartable struct {
	mu sync.RWMutex
	*Scheduler
}

func (r *restartable) restart(t *testing.T, opts Options) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Scheduler = open(t, opts)
}

func (r *restartable) now() *Scheduler {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.Scheduler
}

func (r *restartable) Start(ctx context.Context, spec scheduler.Spec) error {
	return r.now().Start(ctx, spec)
}
func (r *restartable) Stop(ctx context.Context, id string, generation int64) error {
	return r.now().Stop(ctx, id, generation)
}
func (r *restartable) List(ctx context.Context) ([]scheduler.Status, error) { return r.now().List(ctx) }
func (r *restartable) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return r.now().Watch(ctx)
}

func (r *restartable) Status(ctx context.Context, id string) (scheduler.Status, error) {
	return r.now().Status(ctx, id)
}

func (r *restartable) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	return r.now().LogTail(ctx, id, n)
}

// testOptions let the test binary itself be the server program, and give up soon on a server that does not listen.
func testOptions(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	return Options{
		Dir: filepath.Join(t.TempDir(), "servers"), Command: []string{self},
		Home:           func(scheduler.Spec) (string, error) { return home, nil },
		InterruptGrace: 1500 * time.Millisecond, TerminateGrace: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// shellOptions let a shell script be the server program.
func shellOptions(t *testing.T, script string) Options {
	t.Helper()
	opts := testOptions(t)
	opts.Command = []string{"/bin/sh", "-c", script}
	opts.Env = map[string]string{"PATH": "/usr/bin:/bin"}
	return opts
}

// open makes a Scheduler and, when the test ends, stops what is left in its folder.
func open(t *testing.T, opts Options) *Scheduler {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopAll(t, s) })
	return s
}

func stopAll(t *testing.T, s *Scheduler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if s.isClosed() {
		return
	}
	all, err := s.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, status := range all {
		if err := s.Stop(ctx, status.ID, status.Generation); err != nil {
			t.Errorf("stop %s: %v", status.ID, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func spec(id string) scheduler.Spec { return scheduler.Spec{ID: id, Generation: 1} }

func start(t *testing.T, s *Scheduler, spec scheduler.Spec) scheduler.Status {
	t.Helper()
	if err := s.Start(t.Context(), spec); err != nil {
		t.Fatalf("start %s: %v", spec.ID, err)
	}
	return status(t, s, spec.ID)
}

func status(t *testing.T, s *Scheduler, id string) scheduler.Status {
	t.Helper()
	status, err := s.Status(t.Context(), id)
	if err != nil {
		t.Fatalf("status of %s: %v", id, err)
	}
	return status
}

// await repeats check until it is true.
func await(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !check() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func awaitDead(t *testing.T, s *Scheduler, id string) scheduler.Status {
	t.Helper()
	var last scheduler.Status
	await(t, id+" is dead", func() bool {
		last = status(t, s, id)
		return last.State == scheduler.Dead
	})
	return last
}

// awaitLine waits until the server has printed a line that begins with prefix and returns the rest of it.
func awaitLine(t *testing.T, s *Scheduler, id, prefix string) string {
	t.Helper()
	var rest string
	await(t, id+" prints "+prefix, func() bool {
		lines, err := s.LogTail(t.Context(), id, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if after, ok := strings.CutPrefix(line, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	})
	return rest
}

func mustLoad(t *testing.T, folder string) record {
	t.Helper()
	rec, err := loadRecord(folder)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// visible is what other accounts may see: command lines of all processes of the server, and files that everybody may read.
func visible(t *testing.T, dir, id string) string {
	t.Helper()
	rec := mustLoad(t, filepath.Join(dir, id))
	pids, err := marked(rec.Marker)
	if err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(text)
	}
	// The folder itself is closed to others, but what an operator copies of it must not hold secrets either.
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		seen.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen.String()
}

func TestNothingOfTheHubsEnvironmentReachesServers(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "env; exec sleep 300")
	opts.Env["JUPYTER_PREFER_ENV_PATH"] = "1"
	s := open(t, opts)
	sp := spec("lab1")
	sp.Env = map[string]string{"FROM_SPEC": "yes", "JUPYTER_PREFER_ENV_PATH": "spec wins"}
	sp.Secrets = map[string]string{"TOKEN": "t"}
	sp.URLVariable, sp.URLPath = "SERVICE_URL", "/user/ada/"
	st := start(t, s, sp)
	home := awaitLine(t, s, "lab1", "HOME=")
	awaitLine(t, s, "lab1", "TOKEN=t")
	lines, err := s.LogTail(t.Context(), "lab1", 1000)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	delete(got, "PWD") // the shell's own
	delete(got, "SHLVL")
	delete(got, "_")
	delete(got, "OLDPWD")
	want := map[string]string{
		"PATH": "/usr/bin:/bin", "JUPYTER_PREFER_ENV_PATH": "spec wins", "FROM_SPEC": "yes", "TOKEN": "t", "HOME": home,
		"SERVICE_URL": "http://" + st.Address + "/user/ada/", markerVariable: mustLoad(t, s.folder("lab1")).Marker,
	}
	if !maps.Equal(got, want) {
		t.Errorf("the server's environment is %q, want %q", got, want)
	}
}

func TestFilesAreForTheHubAlone(t *testing.T) {
	t.Parallel()
	s := open(t, shellOptions(t, "exec sleep 300"))
	start(t, s, spec("lab1"))
	err := filepath.WalkDir(s.opts.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

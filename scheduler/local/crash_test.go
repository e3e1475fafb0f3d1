package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// The environment by which this test binary becomes a hub that is killed in the middle of a start.
const (
	dyingHubVariable = "LOCALTEST_DYING_HUB" // the point at which it dies
	dyingDirVariable = "LOCALTEST_DIR"
)

// dyingHub starts one server and is gone, as by kill -9, before Start can return.
func dyingHub() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := New(Options{Dir: os.Getenv(dyingDirVariable), Command: []string{self}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.crashPoint = func(name string) {
		if name == os.Getenv(dyingHubVariable) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal has come through
		}
	}
	fmt.Fprintln(os.Stderr, s.Start(context.Background(), servingSpec("lab1")))
	return 1
}

// servingSpec is a server of the suite's program that answers over HTTP.
func servingSpec(id string) scheduler.Spec {
	sp := spec(id)
	sp.Env = map[string]string{"SCHEDULERTEST_BEHAVIOUR": "serve"}
	sp.URLVariable, sp.URLPath = schedulertest.URLVariable, "/"
	return sp
}

func awaitAnswer(t *testing.T, address string) {
	t.Helper()
	await(t, address+" answers", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func TestKilledHubLeavesNothingUntracked(t *testing.T) {
	t.Parallel()
	for _, point := range []string{crashRecorded, crashForked, crashStarted} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t)
			hub := exec.CommandContext(t.Context(), opts.Command[0])
			hub.Env = []string{dyingHubVariable + "=" + point, dyingDirVariable + "=" + opts.Dir, "HOME=" + t.TempDir()}
			out, err := hub.CombinedOutput()
			if ee, ok := errors.AsType[*exec.ExitError](err); !ok || ee.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the hub was not killed: %v: %s", err, out)
			}
			marker := mustLoad(t, filepath.Join(opts.Dir, "lab1")).Marker

			s := open(t, opts)
			all, err := s.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if point == crashRecorded {
				if len(all) != 0 {
					t.Errorf("a server that was never made is listed: %+v", all)
				}
			} else {
				if len(all) != 1 || all[0].State != scheduler.Running {
					t.Fatalf("want the running server listed, got %+v", all)
				}
				if pids, err := marked(marker); err != nil || len(pids) != 1 || all[0].Instance[:len(strconv.Itoa(pids[0]))] != strconv.Itoa(pids[0]) {
					t.Errorf("instance %s, processes %v, %v", all[0].Instance, pids, err)
				}
			}
			// The hub's controller asks again for what it wants; that must end with one server in each case.
			st := start(t, s, servingSpec("lab1"))
			awaitAnswer(t, st.Address)
			if point != crashRecorded && st != all[0] {
				t.Errorf("the adopted server %+v was replaced by %+v", all[0], st)
			}
			if err := s.Stop(t.Context(), "lab1", math.MaxInt64); err != nil {
				t.Fatal(err)
			}
			if pids, err := marked(marker); err != nil || len(pids) != 0 {
				t.Errorf("left over: %v, %v", pids, err)
			}
			if entries, err := os.ReadDir(s.folder("lab1")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left over: %v, %v", entries, err)
			}
		})
	}
}

func TestAdoptedServersEndIsNoticed(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "exec sleep 300")
	first := open(t, opts)
	start(t, first, spec("lab1"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, opts)
	if st := status(t, s, "lab1"); st.State != scheduler.Running {
		t.Fatalf("adopted: %+v", st)
	}
	events := make(chan scheduler.Event, 10)
	go func() {
		for event := range s.Watch(t.Context()) {
			events <- event
		}
	}()
	if event := receive(t, events); !event.Resync {
		t.Errorf("first event: %+v", event)
	}
	if err := unix.Kill(mustLoad(t, s.folder("lab1")).PID, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	event := receive(t, events)
	want := "The server ended. It was started before the hub was, so its exit code is not known."
	if event.Status == nil || event.Status.State != scheduler.Dead || event.Status.Reason != want {
		t.Errorf("event: %+v, status %+v", event, event.Status)
	}
}

func receive(t *testing.T, events <-chan scheduler.Event) scheduler.Event {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
		panic("unreachable")
	}
}

func TestServerEndedWhileTheHubWasAway(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "setsid sleep 300 & echo child $!; exec sleep 300")
	first := open(t, opts)
	start(t, first, spec("lab1"))
	awaitLine(t, first, "lab1", "child ")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	rec := mustLoad(t, filepath.Join(opts.Dir, "lab1"))
	if err := unix.Kill(rec.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "it has ended", func() bool {
		stat, err := readStat(rec.PID)
		return err != nil || stat.ended()
	})
	s := open(t, opts)
	st := status(t, s, "lab1")
	if st.State != scheduler.Dead || st.Reason != "The server ended while the hub was not running, so its exit code is not known." {
		t.Errorf("got %+v", st)
	}
	if pids, err := marked(rec.Marker); err != nil || len(pids) != 0 {
		t.Errorf("its child in another session is left: %v, %v", pids, err)
	}
}

// TestReusedProcessIDIsSpared writes records that name an innocent process, as after a reuse of its ID.
func TestReusedProcessIDIsSpared(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "exec sleep 300")
	innocent := exec.CommandContext(t.Context(), "/bin/sleep", "300")
	innocent.Env = []string{markerVariable + "=another"}
	innocent.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = innocent.Process.Kill(); _ = innocent.Wait() })
	stat, err := readStat(innocent.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := readBootID()
	if err != nil {
		t.Fatal(err)
	}
	base := record{Generation: 1, Phase: phaseRunning, PID: innocent.Process.Pid, StartTicks: stat.ticks, BootID: boot, Marker: "another", Address: "127.0.0.1:1"}
	records := map[string]func(*record){
		"other-start":  func(r *record) { r.StartTicks-- },
		"other-marker": func(r *record) { r.Marker = "mine" },
		"other-boot":   func(r *record) { r.BootID = "earlier" },
	}
	for id, change := range records {
		rec := base
		rec.ID = id
		change(&rec)
		if id == "other-start" {
			rec.Marker = "not-" + rec.Marker // the marker alone would mean a child of the server, which shall end
		}
		folder := filepath.Join(opts.Dir, id)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := rec.save(folder); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, opts)
	for id := range records {
		if st := status(t, s, id); st.State != scheduler.Dead || st.Reason == "" {
			t.Errorf("%s: got %+v", id, st)
		}
		if err := s.Stop(t.Context(), id, math.MaxInt64); err != nil {
			t.Error(err)
		}
	}
	if stat, err := readStat(innocent.Process.Pid); err != nil || stat.ended() {
		t.Errorf("the innocent process was killed: %+v, %v", stat, err)
	}
}

// TestAdoptsAServerWithoutReadableMarker adopts a server that has no marker in its environment, as one that is just turning into
// another program, or that wrote its title over it.
func TestAdoptsAServerWithoutReadableMarker(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "exec env -i /bin/sh -c 'echo ready; exec sleep 300'")
	first := open(t, opts)
	before := start(t, first, spec("lab1"))
	awaitLine(t, first, "lab1", "ready")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, opts)
	if after := status(t, s, "lab1"); after != before {
		t.Fatalf("adopted as %+v, was %+v", after, before)
	}
	if err := s.Stop(t.Context(), "lab1", math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(before.Instance, "-")
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := readStat(n); err == nil && !stat.ended() {
		t.Error("it runs after its stop")
	}
}

func TestTwoHubsOnOneFolder(t *testing.T) {
	t.Parallel()
	opts := testOptions(t)
	open(t, opts)
	if second, err := New(opts); err == nil {
		_ = second.Close()
		t.Error("two schedulers use one folder")
	}
}

func TestDamagedRecordIsNotOverlooked(t *testing.T) {
	t.Parallel()
	opts := testOptions(t)
	folder := filepath.Join(opts.Dir, "lab1")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, recordName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := New(opts); err == nil {
		_ = s.Close()
		t.Error("a record that cannot be read was passed over")
	}
}

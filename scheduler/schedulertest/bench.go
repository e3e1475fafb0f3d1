package schedulertest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// bench is a harness with the suite's own tools.
type bench struct {
	Harness
	marks   string // directory in which each start of the program leaves a file
	signals string // directory in which the suite leaves files for the program
}

func newBench(t *testing.T, h Harness) *bench {
	t.Helper()
	h.Patience = cmp.Or(h.Patience, 30*time.Second)
	return &bench{Harness: h, marks: openDir(t), signals: openDir(t)}
}

// openDir makes a directory for every account. Not t.TempDir: its parent is closed to others, and the scheduler may run servers as one of those.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "schedulertest-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// context bounds one call by the bench's patience: a call that hangs fails its case and not the whole test binary.
func (b *bench) context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), b.Patience)
	t.Cleanup(cancel)
	return ctx
}

// spec returns a Spec for a server of that behaviour.
func (b *bench) spec(id, behaviour string) scheduler.Spec {
	return scheduler.Spec{
		ID: id, Generation: 1,
		Labels:      map[string]string{"user": "ada", "server": "lab"},
		Env:         map[string]string{behaviourVariable: behaviour, marksVariable: b.marks},
		URLVariable: URLVariable,
		URLPath:     "/user/ada%40example/lab/",
		HealthPath:  "/user/ada%40example/lab/api/health",
		Service:     "schedulertest-" + id,
	}
}

func (b *bench) start(t *testing.T, spec scheduler.Spec) {
	t.Helper()
	if err := b.Scheduler.Start(b.context(t), spec); err != nil {
		t.Fatalf("start %s generation %d: %v", spec.ID, spec.Generation, err)
	}
}

// startHeard starts a server that crashes, all of whose words will be in its log.
func (b *bench) startHeard(t *testing.T, spec scheduler.Spec) {
	t.Helper()
	tailer, ok := b.Scheduler.(scheduler.LogTailer)
	if !ok || !b.LateLogs {
		b.start(t, spec)
		return
	}
	heard := b.waitsToBeHeard(spec)
	b.start(t, spec)
	b.await(t, "the log has the last words of server "+spec.ID, func() bool {
		lines, err := tailer.LogTail(b.context(t), spec.ID, 1)
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		return slices.Contains(lines, lastCrashLine)
	})
	heard()
}

// waitsToBeHeard makes a server with late logs live after its last words until the function is called.
func (b *bench) waitsToBeHeard(spec scheduler.Spec) (heard func()) {
	if !b.LateLogs {
		return func() {}
	}
	file := filepath.Join(b.signals, spec.ID)
	spec.Env[heardVariable] = file
	return func() { _ = os.WriteFile(file, nil, 0o644) } //nolint:gosec // another account looks for it
}

// anyGeneration stops whatever there is.
const anyGeneration = math.MaxInt64

func (b *bench) stop(t *testing.T, id string) {
	t.Helper()
	if err := b.Scheduler.Stop(b.context(t), id, anyGeneration); err != nil {
		t.Fatalf("stop %s: %v", id, err)
	}
}

// starts returns how often the program was started.
func (b *bench) starts(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(b.marks)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// await repeats check until it is true.
func (b *bench) await(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(b.Patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !check() {
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatalf("test ended while waiting until %s", what)
		case <-deadline.C:
			t.Fatalf("waited %s in vain until %s", b.Patience, what)
		}
	}
}

// awaitState waits until the server is in that state and returns its status.
func (b *bench) awaitState(t *testing.T, id string, generation int64, state scheduler.State) scheduler.Status {
	t.Helper()
	var last scheduler.Status
	b.await(t, "server "+id+" is "+string(state), func() bool {
		status, err := b.Scheduler.Status(b.context(t), id)
		if err != nil {
			t.Fatalf("status of %s: %v", id, err)
		}
		if status.State == scheduler.Dead && state != scheduler.Dead && status.Generation == generation {
			t.Fatalf("server %s died: %s", id, status.Reason)
		}
		last = status
		return status.State == state && status.Generation == generation
	})
	return last
}

// awaitServing waits until the server runs and answers, and returns its status and its environment as it sees it.
func (b *bench) awaitServing(t *testing.T, spec scheduler.Spec) (scheduler.Status, map[string]string) {
	t.Helper()
	status := b.awaitState(t, spec.ID, spec.Generation, scheduler.Running)
	if status.Address == "" || status.Instance == "" {
		t.Fatalf("a running server has an address and an instance, got %+v", status)
	}
	var env map[string]string
	b.await(t, "server "+spec.ID+" answers at "+status.Address, func() bool {
		env = environmentAt(t, "http://"+status.Address+spec.URLPath)
		return env != nil
	})
	return status, env
}

// environmentAt asks a server for its environment; nil if it does not answer.
func environmentAt(t *testing.T, url string) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // no kept connection shall hide that a server has gone
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var env map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&env); err != nil {
		t.Fatalf("answer of the server at %s: status %d: %v", url, resp.StatusCode, err)
	}
	return env
}

// requireGone fails unless the scheduler has forgotten the server and nobody listens at its address.
func (b *bench) requireGone(t *testing.T, id, address string) {
	t.Helper()
	if status, err := b.Scheduler.Status(b.context(t), id); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("status after stop: %+v, %v; want ErrNotFound", status, err)
	}
	all, err := b.Scheduler.List(b.context(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range all {
		if status.ID == id {
			t.Errorf("still listed after stop: %+v", status)
		}
	}
	if address == "" {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		_ = conn.Close()
		t.Errorf("somebody still listens at %s after stop", address)
	}
}

// requireOne returns the one status that List must hold.
func (b *bench) requireOne(t *testing.T) scheduler.Status {
	t.Helper()
	all, err := b.Scheduler.List(b.context(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("want one server listed, got %+v", all)
	}
	return all[0]
}

var sentence = regexp.MustCompile(`^\p{Lu}.*\.$`)

func requireSentence(t *testing.T, text string) {
	t.Helper()
	if !sentence.MatchString(text) {
		t.Errorf("%q is not a sentence", text)
	}
}

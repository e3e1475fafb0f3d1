package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nomadhub/nomadhub/config"
)

// reloading is a reloader at work on one file, with a part that remembers what it was handed.
type reloading struct {
	*reloader
	file string

	mu     sync.Mutex
	handed []loaded
	fail   error
	log    bytes.Buffer
	first  []string // the profiles of all that a part before it was handed
}

func (r *reloading) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func (r *reloading) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *reloading) take(_ context.Context, l loaded) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		r.handed = append(r.handed, l)
	}
	return r.fail
}

// takeFirst is a part that comes before the other and takes everything.
func (r *reloading) takeFirst(_ context.Context, l loaded) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = append(r.first, strings.Join(l.profiles.Names(), " "))
	return nil
}

// names are the profiles that the part was handed last.
func (r *reloading) names() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.handed) == 0 {
		return ""
	}
	return strings.Join(r.handed[len(r.handed)-1].profiles.Names(), " ")
}

func (r *reloading) count(result string) int {
	return int(testutil.ToFloat64(r.reloads.WithLabelValues(result)))
}

// write replaces the file as an editor does that is careful: at once.
func (r *reloading) write(t *testing.T, text string) {
	t.Helper()
	next := r.file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		t.Fatal(err)
	}
}

func newReloading(t *testing.T, text string) *reloading {
	t.Helper()
	r := &reloading{file: filepath.Join(t.TempDir(), "hub.hcl")}
	r.write(t, text)
	load := func() (loaded, error) {
		cfg, err := loadConfig(config.Default("/data"), []string{r.file}, nil)
		if err != nil {
			return loaded{}, err
		}
		return withProfiles(cfg, nil)
	}
	r.reloader = newReloader([]string{r.file}, load).onHangup()
	r.every = 10 * time.Millisecond
	now, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r.prepare(now, slog.New(slog.NewTextHandler(r, nil)), prometheus.NewRegistry(),
		livePart{"limits", covering("limits"), r.takeFirst}, livePart{"profiles", covering("profile", "profile_defaults"), r.take})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestAChangedFileIsLive(t *testing.T) {
	t.Parallel()
	r := newReloading(t, entrance+`profile "a" {}`)
	r.write(t, entrance+`profile "a" {}`+"\n"+`profile "b" {}`)
	eventually(t, "the new profile is handed over", func() bool { return r.names() == "a b" })
	eventually(t, "it is counted", func() bool { return r.count("applied") == 1 })
	if testutil.ToFloat64(r.valid) != 1 || testutil.ToFloat64(r.pending) != 0 {
		t.Error("the metrics say that something is wrong")
	}
	if !strings.Contains(r.said(), "changed=[profile.b]") && !strings.Contains(r.said(), `changed="[profile profile.b]"`) {
		t.Errorf("the log does not say what changed: %s", r.said())
	}
}

func TestABadFileIsRefusedWithItsLineAndTheOldOneKept(t *testing.T) {
	t.Parallel()
	r := newReloading(t, entrance+`profile "a" {}`)
	r.write(t, entrance+"profile \"b\" {\n  memry = 1\n}")
	eventually(t, "the file is refused", func() bool { return r.count("refused") == 1 })
	if testutil.ToFloat64(r.valid) != 0 {
		t.Error("nomadhub_config_valid is not 0")
	}
	if said := r.said(); !strings.Contains(said, "hub.hcl, line 9") || !strings.Contains(said, "memry") {
		t.Errorf("the log has no line: %s", said)
	}
	if r.names() != "" {
		t.Errorf("a bad configuration was handed over: %s", r.names())
	}
	r.write(t, entrance+"profile \"b\" {\n")
	eventually(t, "a torn file is refused", func() bool { return r.count("refused") == 2 })
	r.write(t, entrance+`profile "b" {}`)
	eventually(t, "the mended one is in force", func() bool { return r.names() == "b" && testutil.ToFloat64(r.valid) == 1 })
}

func TestWhatNeedsARestartIsNamed(t *testing.T) {
	t.Parallel()
	r := newReloading(t, entrance)
	r.write(t, entrance+"base_url = \"/jupyter/\"\nlisten {\n  metrics = \"127.0.0.1:9\"\n}\nprofile \"a\" {}")
	eventually(t, "the profile is live", func() bool { return r.names() == "a" })
	eventually(t, "the rest is named", func() bool { return strings.Contains(r.said(), `options="[base_url listen.metrics]"`) })
	if testutil.ToFloat64(r.pending) != 2 {
		t.Errorf("%v options wait", testutil.ToFloat64(r.pending))
	}
	r.write(t, entrance+`profile "a" {}`)
	eventually(t, "what was taken back no longer waits", func() bool { return testutil.ToFloat64(r.pending) == 0 })
}

func TestWhatAPartRefusesIsRefused(t *testing.T) {
	t.Parallel()
	r := newReloading(t, entrance)
	r.mu.Lock()
	r.fail = errors.New("no jobspec declares it")
	r.mu.Unlock()
	r.write(t, entrance+`profile "a" {}`)
	eventually(t, "it is refused", func() bool {
		return r.count("refused") == 1 && strings.Contains(r.said(), "profiles: no jobspec declares it")
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := []string{"a", ""}; !slices.Equal(r.first, want) {
		t.Errorf("the part before it was handed configurations with the profiles %q, want %q: the refused one is taken back", r.first, want)
	}
}

func TestAFileThatIsOnlyTouchedIsNotRead(t *testing.T) {
	t.Parallel()
	r := newReloading(t, entrance)
	for range 3 {
		if err := os.Chtimes(r.file, time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, entrance+`profile "a" {}`)
	eventually(t, "a real change is seen", func() bool { return r.names() == "a" })
	if r.count("unchanged") != 0 {
		t.Error("a file that was touched was read")
	}
}

func TestJobspecsOfProfilesAreWatched(t *testing.T) {
	t.Parallel()
	spec := write(t, "own.nomad.hcl", "job \"a\" {}")
	r := newReloading(t, entrance+`profile "a" { jobspec = "`+spec+`" }`)
	if err := os.WriteFile(spec, []byte("job \"b\" {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the jobspec's new text is handed over", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.handed) > 0 && r.handed[len(r.handed)-1].jobspecs["own.nomad.hcl"] == "job \"b\" {}"
	})
}

// TestHangup is not parallel: a signal is for the whole process.
func TestHangup(t *testing.T) { //nolint:paralleltest // see above
	r := newReloading(t, entrance)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the configuration is read again", func() bool { return r.count("unchanged") == 1 })
}

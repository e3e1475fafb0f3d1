package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
)

func TestTakenPortsAreReplacedAndNamed(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	got := choosePorts(wellKnown(), func(port int) bool { return port != 8000 }, &out)
	if got.public == 8000 || got.public == 0 {
		t.Errorf("the hub's taken port became %d", got.public)
	}
	if got.nomad != 4646 {
		t.Errorf("Nomad's free port became %d", got.nomad)
	}
	if !strings.Contains(out.String(), "port 8000 is taken; the hub gets") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("said: %q", out.String())
	}
}

// TestClusterStartsAndStops is "make cluster" and Ctrl-C: the hub answers and offers the provider's login, and afterwards nothing
// is left of it.
func TestClusterStartsAndStops(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	binary := filepath.Join(t.TempDir(), "nomadhub")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../../cmd/nomadhub")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the hub: %v\n%s", err, out)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &said{}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-v", "-binary", binary}, out, t.Output()) }()

	url, env := out.await(t, ended)
	body := page(t, url+"/hub/login")
	if !strings.Contains(body, "Example organisation") {
		t.Errorf("the login page does not offer the provider:\n%s", body)
	}
	if info, err := os.Stat(env); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the tokens: %v, %v", info, err)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(env)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cluster's folder is left: %v", err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("the hub still answers")
	}
}

func needPrograms(t *testing.T) {
	t.Helper()
	var errs []error
	for _, name := range stack.ToolNames() {
		if _, err := stack.Binary(t.Context(), name); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := pyenv.Find(t.Context(), pyenv.Options{Name: "hub5"}); err != nil {
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	switch {
	case err == nil:
	case os.Getenv("NOMADHUB_TEST_REQUIRE") == "1":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

func page(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s, %v", url, res.Status, err)
	}
	return string(body)
}

// said is what the command printed so far.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// await waits for the welcome, and returns the hub's URL and the file with the tokens.
func (s *said) await(t *testing.T, ended chan error) (url, env string) {
	t.Helper()
	welcome := regexp.MustCompile(`(?s)Open (http://[0-9.:]+)/ and log in.* three:  \. (\S+)\n`)
	deadline := time.After(5 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		found := welcome.FindStringSubmatch(s.text.String())
		s.mu.Unlock()
		if found != nil {
			return found[1], found[2]
		}
		select {
		case err := <-ended:
			t.Fatalf("the cluster ended: %v", err)
		case <-deadline:
			t.Fatal("the cluster did not come up")
		case <-tick.C:
		}
	}
}

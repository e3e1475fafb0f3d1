package pyenv

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/python"
)

var pin = regexp.MustCompile(`^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$`)

func TestRequirementsArePinned(t *testing.T) {
	t.Parallel()
	for _, name := range python.Names() {
		text, err := python.Requirements(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, "#") && !pin.MatchString(line) {
				t.Errorf("%s: %q is no pinned version", name, line)
			}
		}
		needed := []string{"jupyterhub==", "jupyterlab==", "ipykernel=="}
		switch name {
		case "culler":
			needed = []string{"jupyterhub-idle-culler=="}
		case "examples":
			needed = []string{"jupyterhub==", "Flask==", "fastapi=="}
		case "schemathesis":
			needed = []string{"schemathesis=="}
		}
		for _, needed := range needed {
			if !strings.Contains(text, "\n"+needed) {
				t.Errorf("%s lacks %s", name, needed)
			}
		}
	}
	if _, err := python.Requirements("../python"); err == nil {
		t.Error("a name that is none has requirements")
	}
}

// testPlan is an environment with nothing in it but what Python brings.
func testPlan(t *testing.T) *plan {
	t.Helper()
	py, err := findInterpreter(t.Context(), "")
	if err != nil || !py.canVenv {
		t.Skipf("needs a Python that can make virtual environments: %+v, %v", py, err)
	}
	return &plan{env: Env{Dir: filepath.Join(t.TempDir(), "python", "empty")}, interpreter: py, log: t.Output()}
}

func TestEnsureOnceForMany(t *testing.T) {
	t.Parallel()
	p := testPlan(t)
	// What an earlier try left, which was killed.
	left := filepath.Join(p.env.Dir, "lib", "half-a-package")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := p.ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what an earlier try left is still there: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), p.env.Program("python"), "-c", "import sys; print(sys.prefix)").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != p.env.Dir {
		t.Errorf("its Python says %q, %v", got, err)
	}
	err = filepath.WalkDir(p.env.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o004 == 0 {
			t.Errorf("other accounts cannot read %s (%v)", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCancelledIsNotFinished(t *testing.T) {
	t.Parallel()
	p := testPlan(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.ensure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if p.finished() {
		t.Error("an environment that was not made counts as finished")
	}
}

func TestUsableByAll(t *testing.T) {
	t.Parallel()
	if !usableByAll("/bin/sh") {
		t.Error("/bin/sh counts as private")
	}
	private := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(private, nil, 0o700); err != nil { //nolint:gosec // G306: must be a program
		t.Fatal(err)
	}
	if usableByAll(private) {
		t.Error("a private program counts as usable by all")
	}
}

func TestUnknownPythonAndName(t *testing.T) {
	t.Parallel()
	_, err := Find(t.Context(), Options{Name: "hub5", Cache: t.TempDir(), Python: "/no/such/python"})
	if err == nil || !strings.Contains(err.Error(), "/no/such/python") {
		t.Errorf("got %v", err)
	}
	if _, err := Ensure(t.Context(), Options{Name: "hub99", Log: io.Discard}); err == nil || !strings.Contains(err.Error(), "hub5") {
		t.Errorf("the error does not tell which names there are: %v", err)
	}
}

func TestFindMakesNothing(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	if _, err := Find(t.Context(), Options{Name: "hub5", Cache: cache}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(cache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it made the cache: %v", err)
	}
}

// TestNoPython runs alone: it hides every program of this machine but those with a full path.
func TestNoPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("NOMADHUB_PYTHON", "")
	_, err := findInterpreter(t.Context(), "")
	if _, statErr := os.Stat("/usr/bin/python3"); statErr == nil {
		if err != nil {
			t.Errorf("the system's Python was not found: %v", err)
		}
		return
	}
	if !errors.Is(err, errNoPython) {
		t.Errorf("got %v", err)
	}
}

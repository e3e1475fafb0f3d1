package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/internal/gotool"
)

// fakeProgram writes a program that says the version when asked.
func fakeProgram(t *testing.T, dir, name, version string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := "#!/bin/sh\necho '" + strings.ToUpper(name[:1]) + name[1:] + " v" + version + "'\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

type built struct {
	mu    sync.Mutex
	count int
}

func (b *built) build(_ context.Context, _ gotool.Tool, target string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	return os.WriteFile(target, nil, 0o755)
}

func notOnPath(string) (string, error) { return "", errors.New("not found") }

func TestFindTakesTheFirstThatIsNewEnough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recent := fakeProgram(t, dir, "nomad", "1.10.4")
	old := fakeProgram(t, t.TempDir(), "nomad", "1.9.7")
	onPath := func(path string) func(string) (string, error) {
		return func(string) (string, error) { return path, nil }
	}
	for _, test := range []struct {
		name     string
		lookPath func(string) (string, error)
		binDir   string
		want     string // "": built
		wantErr  string
	}{
		{"on PATH", onPath(recent), "", recent, ""},
		{"too old on PATH", onPath(old), "", "", ""},
		{"too old on PATH, one in the folder", onPath(old), dir, recent, ""},
		{"only in the folder", notOnPath, dir, recent, ""},
		{"too old in the folder", notOnPath, filepath.Dir(old), "", "at least 1.10.0 is needed"},
		{"empty folder", notOnPath, t.TempDir(), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, cache := &built{}, t.TempDir()
			f := finder{
				Builder: gotool.Builder{Cache: cache, Out: t.Output(), Build: b.build}, BinDir: test.binDir, LookPath: test.lookPath,
			}
			got, err := f.find(t.Context(), "nomad")
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, builds := test.want, 0
			if want == "" {
				want, builds = filepath.Join(cache, "bin", "nomad-1.11.0"), 1
			}
			if got != want || b.count != builds {
				t.Errorf("got %s after %d builds, want %s after %d", got, b.count, want, builds)
			}
		})
	}
}

func TestUnknownToolIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := (finder{}).find(t.Context(), "emacs"); err == nil || !strings.Contains(err.Error(), "nomad, consul, vault, dex") {
		t.Errorf("error %v", err)
	}
}

// TestVersionsAreTheModules keeps the table in tool.go and the modules together.
func TestVersionsAreTheModules(t *testing.T) {
	t.Parallel()
	for _, tool := range tools() {
		text, err := os.ReadFile(filepath.Join("tools", filepath.Base(tool.Dir), "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		mod := string(text)
		if tool.Name == "csi" { // is the module itself
			continue
		}
		if !strings.Contains(mod, "tool "+tool.Package+"\n") && !strings.Contains(mod, "\t"+tool.Package+"\n") {
			t.Errorf("%s/go.mod has no tool line for %s", tool.Dir, tool.Package)
		}
		if tool.Name != "dex" && !requires(mod, tool.Package, tool.Version) {
			t.Errorf("%s/go.mod does not require version %s for %s", tool.Dir, tool.Version, tool.Package)
		}
	}
}

// requires reports whether a go.mod requires this version of the module that a package belongs to.
func requires(mod, pkg, version string) bool {
	for ; pkg != "."; pkg = path.Dir(pkg) {
		if strings.Contains(mod, pkg+" v"+version+"\n") || strings.Contains(mod, pkg+" v"+version+" // indirect\n") {
			return true
		}
	}
	return false
}

// TestChangedPluginIsBuiltAnew: a program that was built before is taken for the same as long as its version is.
func TestChangedPluginIsBuiltAnew(t *testing.T) {
	t.Parallel()
	const sumOf100 = "4093d7ce9a3d079d0a970ce5113edaacaff9dca6377d288e38f52724bda5caff"
	sum := sha256.New()
	for _, name := range []string{"controller.go", "go.mod", "go.sum", "main.go", "node.go", "store.go"} {
		text, err := os.ReadFile(filepath.Join("tools", "csi", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != sumOf100 {
		t.Errorf("the sources' sum is %s: raise the version of csi in tool.go, and note the sum here", got)
	}
}

package pyenv

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUnpackStaysInItsFolder: only the wanted files are written, and none elsewhere.
func TestUnpackStaysInItsFolder(t *testing.T) {
	t.Parallel()
	archive := func(names ...string) *tar.Reader {
		var text bytes.Buffer
		w := tar.NewWriter(&text)
		for _, name := range names {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1, Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return tar.NewReader(&text)
	}
	outer := t.TempDir()
	dir := filepath.Join(outer, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	into, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	if n, err := unpack(archive("p/setup.py", "p/examples/a/b.py", "p/examples/c.py"), "p/examples/", into); err != nil || n != 2 {
		t.Fatalf("%d files, %v", n, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "a", "b.py")); err != nil || string(text) != "x" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if _, err := unpack(archive("p/examples/../../escaped"), "p/examples/", into); err == nil {
		t.Error("a name that leads out was followed")
	}
	if left, err := filepath.Glob(filepath.Join(outer, "*")); err != nil || len(left) != 1 {
		t.Errorf("outside there is %q, %v", left, err)
	}
}

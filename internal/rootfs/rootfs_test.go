package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes a folder with a file, a link inside, a link out, and a folder that nobody wants.
func tree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "inside")
	err = errors.Join(
		os.MkdirAll(filepath.Join(inside, "deep"), 0o700), os.MkdirAll(filepath.Join(inside, "unwanted"), 0o700),
		os.WriteFile(filepath.Join(inside, "deep", "file"), []byte("text"), 0o640),
		os.WriteFile(filepath.Join(inside, "unwanted", "file"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "outside"), []byte("far"), 0o600),
		os.Symlink("deep/file", filepath.Join(inside, "near")), os.Symlink(filepath.Join(dir, "outside"), filepath.Join(inside, "far")),
		os.Symlink("/no/such/file", filepath.Join(inside, "nowhere")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTarHasWhatWasAdded(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	var s Set
	s.Mkdir("/tmp", fs.ModeSticky|0o777, 0, 0)
	s.Mkdir("/home/ada", 0o750, 1000, 100)
	s.WriteFile("/etc/greeting", 0o644, "hello")
	s.Link("/greeting", "etc/greeting")
	if err := s.AddTree(filepath.Join(dir, "inside"), "unwanted"); err != nil {
		t.Fatal(err)
	}
	got := unpack(t, &s)
	at := strings.TrimPrefix(dir, "/")
	for name, want := range map[string]string{
		"etc/greeting": "hello", at + "/inside/deep/file": "text", at + "/outside": "far",
		at + "/inside/near": "-> deep/file", at + "/inside/far": "-> " + dir + "/outside", "greeting": "-> etc/greeting",
		at + "/inside/nowhere": "-> /no/such/file", "tmp/": "1777 0:0", "home/ada/": "750 1000:100", at + "/inside/deep/": "755 0:0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if _, there := got[at+"/inside/unwanted/file"]; there {
		t.Error("what nobody wants is there")
	}
}

// unpack returns the content of files, the targets of links, and mode and owner of folders.
func unpack(t *testing.T, s *Set) map[string]string {
	t.Helper()
	var archive bytes.Buffer
	if err := s.WriteTar(&archive); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			got[h.Name] = "-> " + h.Linkname
		case tar.TypeDir:
			got[h.Name] = fmt.Sprintf("%o %d:%d", h.Mode, h.Uid, h.Gid)
		default:
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			got[h.Name] = string(text)
		}
	}
}

func TestKeyTellsContent(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	key := func(change func(*Set)) string {
		var s Set
		if err := s.AddTree(dir); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(&s)
		}
		return s.Key()
	}
	first := key(nil)
	if again := key(nil); again != first {
		t.Errorf("the same gave %s and %s", first, again)
	}
	if other := key(func(s *Set) { s.WriteFile("/x", 0o644, "") }); other == first {
		t.Error("another file did not change the key")
	}
	file := filepath.Join(dir, "outside")
	if err := os.Chtimes(file, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if other := key(nil); other == first {
		t.Error("a file of another time did not change the key")
	}
}

// TestProgramsRunInTheirSet unpacks programs with their libraries and runs them with nothing else around them.
func TestProgramsRunInTheirSet(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root may change the root of a process")
	}
	var s Set
	if err := s.AddPrograms("/bin/sh", "cat", "ls"); err != nil {
		t.Fatal(err)
	}
	s.WriteFile("/etc/greeting", 0o644, "hello")
	unpacked, written := t.TempDir(), t.TempDir()
	unpackTo := exec.CommandContext(t.Context(), "tar", "-x", "-C", unpacked)
	in, err := unpackTo.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := unpackTo.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.WriteTar(in), in.Close(), unpackTo.Wait(), s.WriteDir(written)); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{unpacked, written} {
		out, err := exec.CommandContext(t.Context(), "chroot", root, "/bin/sh", "-c", "ls /etc && cat /etc/greeting").CombinedOutput()
		if string(out) != "greeting\nhello" || err != nil {
			t.Errorf("inside, the programs say %q, %v", out, err)
		}
	}
	if err := s.AddPrograms("no-such-program"); err == nil {
		t.Error("a program that is not there was added")
	}
}

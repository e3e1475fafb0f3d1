package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

const (
	downloadSize = 1<<30 + 12345
	chunksSize   = 32<<20 + 321
	chunkSize    = 1 << 20 // that of JupyterLab
	bodySize     = 72<<20 + 7
	// mostGrowth is by how much the hub's memory may grow over any of these, in bytes: less than any of the bodies.
	mostGrowth = 64 << 20
)

// islands is content that is cheap to make and to keep: zeros, with some random bytes at the beginning of each MiB.
type islands struct {
	random  *rand.ChaCha8
	at, end int64
}

const (
	islandEvery = 1 << 20
	islandSize  = 1 << 10
)

func newIslands(size int64) *islands {
	return &islands{random: rand.NewChaCha8([32]byte{1}), end: size}
}

// Read fills p up to where an island begins or ends.
func (i *islands) Read(p []byte) (int, error) {
	if i.at == i.end {
		return 0, io.EOF
	}
	offset, dry := i.at%islandEvery, false
	limit := islandSize - offset
	if limit <= 0 {
		limit, dry = islandEvery-offset, true
	}
	p = p[:min(int64(len(p)), limit, i.end-i.at)]
	if dry {
		clear(p)
	} else {
		_, _ = i.random.Read(p) // never fails
	}
	i.at += int64(len(p))
	return len(p), nil
}

// writeSparse writes a file of that content, whose zeros take no room on the disk, and returns its hash.
func writeSparse(t *testing.T, name string, size int64) []byte {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	content, sum, buf := newIslands(size), sha256.New(), make([]byte, islandEvery)
	for {
		at := content.at
		n, err := content.Read(buf)
		if errors.Is(err, io.EOF) {
			return sum.Sum(nil)
		}
		sum.Write(buf[:n])
		if at%islandEvery < islandSize {
			if _, err := file.WriteAt(buf[:n], at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func hash(t *testing.T, r io.Reader) []byte {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		t.Fatal(err)
	}
	return sum.Sum(nil)
}

// largeFiles gets and puts contents that are larger than what the hub may take of memory for them.
func (h *programs) largeFiles(t *testing.T) {
	h.must(t, http.MethodPut, "api/contents/here.txt", `{"type": "file", "format": "text", "content": "here"}`)
	found, err := filepath.Glob(filepath.Join(h.args[2], "home", "*", "here.txt"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the user's files are in %q, %v", found, err)
	}
	home := filepath.Dir(found[0])
	t.Run("download", func(t *testing.T) { h.bounded(t, func() { h.download(t, home) }) })
	t.Run("upload in chunks", func(t *testing.T) { h.bounded(t, func() { h.uploadChunks(t, home) }) })
	t.Run("upload in one body", func(t *testing.T) { h.bounded(t, func() { h.uploadBody(t, home) }) })
}

func (h *programs) download(t *testing.T, home string) {
	name := filepath.Join(home, "large.bin")
	want := writeSparse(t, name, downloadSize)
	defer os.Remove(name)
	res := h.do(t, http.MethodGet, "files/large.bin", http.NoBody)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ContentLength != downloadSize {
		t.Fatalf("the download is announced with %s and %d bytes", res.Status, res.ContentLength)
	}
	if got := hash(t, res.Body); !bytes.Equal(got, want) {
		t.Error("what was downloaded is not what is there")
	}
}

// uploadChunks does what JupyterLab does with a large file.
func (h *programs) uploadChunks(t *testing.T, home string) {
	content, sum, buf := newIslands(chunksSize), sha256.New(), make([]byte, chunkSize)
	for chunk, left := 1, int64(chunksSize); left > 0; chunk++ {
		n, err := io.ReadFull(content, buf[:min(left, chunkSize)])
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(buf[:n])
		if left -= int64(n); left == 0 {
			chunk = -1 // the last one
		}
		h.must(t, http.MethodPut, "api/contents/chunks.bin", fmt.Sprintf(`{"type": "file", "format": "base64", "chunk": %d, "content": %q}`,
			chunk, base64.StdEncoding.EncodeToString(buf[:n])))
	}
	h.arrived(t, filepath.Join(home, "chunks.bin"), sum.Sum(nil))
}

// uploadBody sends a large file as one request, which is made while it is sent.
func (h *programs) uploadBody(t *testing.T, home string) {
	out, in := io.Pipe()
	go func() {
		_, _ = io.WriteString(in, `{"type": "file", "format": "base64", "content": "`)
		encoder := base64.NewEncoder(base64.StdEncoding, in)
		_, _ = io.Copy(encoder, newIslands(bodySize))
		_ = encoder.Close()
		_, err := io.WriteString(in, `"}`)
		_ = in.CloseWithError(err)
	}()
	res := h.do(t, http.MethodPut, "api/contents/body.bin", out)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	var file struct{ Size int64 }
	if err != nil || res.StatusCode != http.StatusCreated || json.Unmarshal(text, &file) != nil || file.Size != bodySize {
		t.Fatalf("the upload ends with %s: %.1000s, %v", res.Status, text, err)
	}
	h.arrived(t, filepath.Join(home, "body.bin"), hash(t, newIslands(bodySize)))
}

// arrived compares a file with what was sent, and removes it.
func (h *programs) arrived(t *testing.T, name string, want []byte) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	defer file.Close()
	if !bytes.Equal(hash(t, file), want) {
		t.Errorf("%s is not what was sent", filepath.Base(name))
	}
}

// bounded has the hub's memory not grow much while something goes through it.
func (h *programs) bounded(t *testing.T, do func()) {
	t.Helper()
	pid := strconv.Itoa(h.cmd.Process.Pid)
	const fromNow = "5" // the peak is that since now
	if err := os.WriteFile(filepath.Join("/proc", pid, "clear_refs"), []byte(fromNow), 0o200); err != nil {
		t.Logf("growth is counted from the hub's peak so far: %v", err)
	}
	before := peak(t, pid)
	do()
	grown := peak(t, pid) - before
	t.Logf("the hub's memory grew from %d KiB by %d KiB", before>>10, grown>>10)
	if grown > mostGrowth {
		t.Errorf("the hub took %d MiB of memory", grown>>20)
	}
}

var peakPattern = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that a process has had, in bytes.
func peak(t *testing.T, pid string) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	m := peakPattern.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no peak in:\n%s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

package gotool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func vault() Tool { return Tool{Name: "vault", Version: "1.0.0", Minutes: 3} }

type built struct {
	mu    sync.Mutex
	count int
}

func (b *built) build(_ context.Context, _ Tool, target string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	return os.WriteFile(target, nil, 0o755)
}

func TestParallelCallersBuildOnce(t *testing.T) {
	t.Parallel()
	b := &built{}
	builder := Builder{Cache: t.TempDir(), Out: t.Output(), Build: b.build}
	want := filepath.Join(builder.Cache, "bin", "vault-1.0.0")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := builder.Path(t.Context(), vault()); err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	all.Wait()
	if b.count != 1 {
		t.Errorf("built %d times", b.count)
	}
}

func TestFailedBuildIsSaidAndNotKept(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	fail := errors.New("no C compiler")
	builder := Builder{Cache: t.TempDir(), Out: &out, Build: func(context.Context, Tool, string) error { return fail }}
	_, err := builder.Path(t.Context(), vault())
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, fail) {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "building vault 1.0.0 as a Go tool, once, about 3 minutes") {
		t.Errorf("said %q", out.String())
	}
	builder.Build = (&built{}).build
	if _, err := builder.Path(t.Context(), vault()); err != nil {
		t.Errorf("after a failed build: %v", err)
	}
}

// TestRealBuild builds a small program of this checkout with the Go toolchain.
func TestRealBuild(t *testing.T) {
	t.Parallel()
	builder := Builder{Cache: t.TempDir(), Out: t.Output()}
	path, err := builder.Path(t.Context(), Tool{Name: "testsum", Version: "0", Package: "./internal/cmd/testsum"})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%v, %v", info, err)
	}
	_, err = builder.Path(t.Context(), Tool{Name: "nothing", Version: "0", Package: "./internal/cmd/nothing"})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "internal/cmd/nothing") {
		t.Errorf("error %v", err)
	}
}

func TestRootIsTheCheckout(t *testing.T) {
	t.Parallel()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "gotool", "gotool_test.go")); err != nil {
		t.Error(err)
	}
}

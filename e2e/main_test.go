// Package e2e proves the whole product from outside: the binary, a real browser, stock Jupyter, and in the cluster's form real Nomad, Consul, Vault and Postgres.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
)

const (
	patience  = 60 * time.Second // for what should take seconds
	slowly    = 3 * time.Minute  // for what starts Jupyter on a busy machine
	buildTime = 15 * time.Minute
)

func TestMain(m *testing.M) {
	code := stack.Run(m)
	plain.remove()
	failpoints.remove()
	os.Exit(code)
}

// built is a binary that is made once for all tests of this process.
type built struct {
	once sync.Once
	tags string
	path string
	err  error
}

var (
	plain      = built{}
	failpoints = built{tags: "failpoints"} // can be killed at a point of its own; see hub/failpoint_on.go
)

func (b *built) binary(t testing.TB) string {
	t.Helper()
	b.once.Do(func() {
		dir, err := os.MkdirTemp("", "nomadhub-e2e-")
		if err != nil {
			b.err = err
			return
		}
		_ = os.Chmod(dir, 0o755) //nolint:gosec // servers of other accounts run it
		b.path = filepath.Join(dir, "nomadhub")
		ctx, cancel := context.WithTimeout(context.Background(), buildTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", b.tags, "-o", b.path, "github.com/nomadhub/nomadhub/cmd/nomadhub")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func (b *built) remove() {
	if b.path != "" {
		_ = os.RemoveAll(filepath.Dir(b.path))
	}
}

// jupyter returns the program that servers run, of one Python environment.
func jupyter(t testing.TB, env string) string {
	t.Helper()
	e, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: env, Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	return filepath.Join(e.Bin(), "jupyterhub-singleuser")
}

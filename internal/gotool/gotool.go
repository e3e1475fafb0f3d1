// Package gotool builds programs from their published modules, once per machine: what the tests and checks need, and what cannot be had
// ready-made everywhere. Each program has a small module of its own in this checkout, whose go.mod and go.sum pin all of it, so nothing
// of it gets into the hub's own module.
package gotool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/internal/cache"
)

// module is the module in whose checkout the tools' modules lie.
const module = "github.com/nomadhub/nomadhub"

// ErrUnavailable means that a program is not on this machine and cannot be built on it.
var ErrUnavailable = errors.New("a program that is needed is not to be had")

// Tool is one program, and how to build it.
type Tool struct {
	Name    string // of the program
	Version string // which one the module pins; a part of the file's name in the cache
	Package string // its main package
	Dir     string // folder of its module in the checkout
	CGO     bool   // whether it needs a C compiler
	Minutes int    // to build on two cores, with nothing cached; said to who waits
}

// Builder finds tools in a cache, and builds what is missing.
type Builder struct {
	Cache string    // the folder; see [cache.Dir]
	Out   io.Writer // gets a line when a build begins and ends
	// Build makes the program at target; nil: the Go toolchain does, in this checkout.
	Build func(ctx context.Context, t Tool, target string) error
}

// Path returns the program from the cache, building it first if needed. Parallel callers, also those in other processes, wait for
// one build instead of starting their own.
func (b Builder) Path(ctx context.Context, t Tool) (string, error) {
	target := filepath.Join(b.Cache, "bin", t.Name+"-"+t.Version)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", fmt.Errorf("make the cache of built programs: %w", err)
	}
	unlock, err := cache.Lock(ctx, target+".lock", func() {
		fmt.Fprintf(b.Out, "waiting for another process that builds %s %s\n", t.Name, t.Version)
	})
	if err != nil {
		return "", fmt.Errorf("wait for the build of %s: %w", t.Name, err)
	}
	defer unlock()
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	return target, b.build(ctx, t, target)
}

func (b Builder) build(ctx context.Context, t Tool, target string) error {
	fmt.Fprintf(b.Out, "building %s %s as a Go tool, once, about %d minutes on two cores, into %s\n", t.Name, t.Version, t.Minutes, target)
	began := time.Now()
	build := b.Build
	if build == nil {
		build = goBuild
	}
	if err := build(ctx, t, target); err != nil {
		return fmt.Errorf("%w: build %s %s: %w", ErrUnavailable, t.Name, t.Version, err)
	}
	fmt.Fprintf(b.Out, "built %s %s in %s\n", t.Name, t.Version, time.Since(began).Round(time.Second))
	return nil
}

func goBuild(ctx context.Context, t Tool, target string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	partial := target + ".partial"
	defer func() { _ = os.Remove(partial) }() // it is there after a failure only
	cgo := "0"
	if t.CGO {
		cgo = "1"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", partial, t.Package)
	cmd.Dir = filepath.Join(root, filepath.FromSlash(t.Dir))
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED="+cgo)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(string(out), 20))
	}
	return os.Rename(partial, target)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Root returns the folder of the checkout that the working directory lies in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		text, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a checkout of %s", dir, module)
		}
	}
}

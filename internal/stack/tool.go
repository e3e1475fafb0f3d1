package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// module is the module in whose checkout the tool modules lie.
const module = "github.com/nomadhub/nomadhub"

// ErrUnavailable means that a server program is not on this machine and cannot be built on it.
var ErrUnavailable = errors.New("a program of the real stack is not to be had")

// tool is one server program that the stack runs, and how to build it from its own module below internal/stack/tools.
type tool struct {
	name    string
	version string // of the module in tools/NAME/go.mod
	pkg     string
	oldest  string // the oldest version that is taken from PATH; "" takes any
	cgo     bool
	minutes int // to build on two cores, nothing cached
}

func tools() []tool {
	return []tool{
		{name: "nomad", version: "1.11.0", pkg: "github.com/hashicorp/nomad", oldest: "1.10.0", cgo: true, minutes: 5},
		{name: "consul", version: "1.21.0", pkg: "github.com/hashicorp/consul", oldest: "1.18.0", cgo: true, minutes: 5},
		{name: "vault", version: "1.21.0", pkg: "github.com/hashicorp/vault", oldest: "1.17.0", cgo: true, minutes: 12},
		{name: "dex", version: "2.45.1", pkg: "github.com/dexidp/dex/cmd/dex", minutes: 2},
	}
}

// ToolNames lists the programs that [Binary] knows.
func ToolNames() []string {
	var names []string
	for _, t := range tools() {
		names = append(names, t.name)
	}
	return names
}

// Binary returns the path of a server program: nomad, consul, vault or dex. It takes the first of: one on PATH that is new
// enough, one in $NOMADHUB_BIN_DIR, one built before. Otherwise it builds it as a Go tool from its module in this
// checkout, which takes minutes and says so on standard error; parallel callers wait for one build.
//
// Built programs are kept in $NOMADHUB_CACHE/bin; without that variable in /var/cache/nomadhub/bin for root, and
// nomadhub/bin in the user's cache folder for everybody else.
func Binary(ctx context.Context, name string) (string, error) {
	cache, err := pyenv.CacheDir()
	if err != nil {
		return "", err
	}
	f := finder{Cache: cache, BinDir: os.Getenv("NOMADHUB_BIN_DIR"), LookPath: exec.LookPath, Out: os.Stderr, Build: goBuild}
	return f.find(ctx, name)
}

// finder is Binary without the process's environment.
type finder struct {
	Cache    string
	BinDir   string
	LookPath func(name string) (string, error)
	Out      io.Writer
	Build    func(ctx context.Context, t tool, target string) error
}

func (f finder) find(ctx context.Context, name string) (string, error) {
	i := slices.IndexFunc(tools(), func(t tool) bool { return t.name == name })
	if i < 0 {
		return "", fmt.Errorf("no tool is called %q; there are %s", name, strings.Join(ToolNames(), ", "))
	}
	t := tools()[i]
	if path, err := f.LookPath(t.name); err == nil && t.accepts(ctx, path) == nil {
		return path, nil
	}
	if f.BinDir != "" {
		path := filepath.Join(f.BinDir, t.name)
		if _, err := os.Stat(path); err == nil {
			// The operator named this one: refuse rather than build another behind their back.
			return path, t.accepts(ctx, path)
		}
	}
	return f.cached(ctx, t)
}

// cached returns the program from the cache, building it first if needed. The lock file makes parallel callers, also those in
// other processes, wait for one build instead of starting their own.
func (f finder) cached(ctx context.Context, t tool) (string, error) {
	target := filepath.Join(f.Cache, "bin", t.name+"-"+t.version)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", fmt.Errorf("make the cache of built programs: %w", err)
	}
	unlock, err := lockFile(ctx, target+".lock", func() {
		fmt.Fprintf(f.Out, "stack: waiting for another process that builds %s %s\n", t.name, t.version)
	})
	if err != nil {
		return "", fmt.Errorf("wait for the build of %s: %w", t.name, err)
	}
	defer unlock()
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	fmt.Fprintf(f.Out, "stack: building %s %s as a Go tool, once, about %d minutes on two cores, into %s\n", t.name, t.version, t.minutes, target)
	began := time.Now()
	if err := f.Build(ctx, t, target); err != nil {
		return "", fmt.Errorf("%w: build %s %s: %w", ErrUnavailable, t.name, t.version, err)
	}
	fmt.Fprintf(f.Out, "stack: built %s %s in %s\n", t.name, t.version, time.Since(began).Round(time.Second))
	return target, nil
}

// lockFile takes an exclusive lock that ends with the process at the latest. waiting is called once if it is not free at once.
func lockFile(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	told := false
	err = poll(ctx, 200*time.Millisecond, func(context.Context) error {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !told {
			told = true
			waiting()
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func goBuild(ctx context.Context, t tool, target string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	partial := target + ".partial"
	defer os.Remove(partial)
	cgo := "0"
	if t.cgo {
		cgo = "1"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", partial, t.pkg)
	cmd.Dir = filepath.Join(root, "internal", "stack", "tools", t.name)
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED="+cgo)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(string(out), 20))
	}
	return os.Rename(partial, target)
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

// accepts says why the program at path cannot be used, or nil.
func (t tool) accepts(ctx context.Context, path string) error {
	if t.oldest == "" {
		return nil
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", path, err)
	}
	found := versionPattern().FindStringSubmatch(string(out))
	if found == nil {
		return fmt.Errorf("%s does not tell its version", path)
	}
	if olderThan(found[1], t.oldest) {
		return fmt.Errorf("%s is %s %s; at least %s is needed", path, t.name, found[1], t.oldest)
	}
	return nil
}

func versionPattern() *regexp.Regexp { return regexp.MustCompile(`v(\d+\.\d+\.\d+)`) }

// olderThan compares two versions of three numbers each.
func olderThan(a, b string) bool {
	parse := func(s string) (v [3]int) {
		_, _ = fmt.Sscanf(s, "%d.%d.%d", &v[0], &v[1], &v[2])
		return v
	}
	va, vb := parse(a), parse(b)
	return slices.Compare(va[:], vb[:]) < 0
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// poll calls f at once and then every interval until it returns nil or ctx ends; then it returns f's last error as well.
func poll(ctx context.Context, every time.Duration, f func(context.Context) error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/internal/cache"
	"github.com/nomadhub/nomadhub/internal/gotool"
)

// ErrUnavailable means that a server program is not on this machine and cannot be built on it.
var ErrUnavailable = gotool.ErrUnavailable

// tool is one program that the stack or a test runs, built from a module of its own below internal/stack/tools.
type tool struct {
	gotool.Tool
	oldest string // the oldest version that is taken from PATH; "" takes any
}

func tools() []tool {
	servers := []tool{
		{server("nomad", "1.11.0", "github.com/hashicorp/nomad", 5), "1.10.0"},
		{server("consul", "1.21.0", "github.com/hashicorp/consul", 5), "1.18.0"},
		{server("vault", "1.21.0", "github.com/hashicorp/vault", 12), "1.17.0"},
		{gotool.Tool{Name: "dex", Version: "2.45.1", Package: "github.com/dexidp/dex/cmd/dex", Dir: "internal/stack/tools/dex", Minutes: 2}, ""},
	}
	return slices.Concat(servers, csiTools(), cniTools())
}

// csiTools are the tests' CSI plugin, which is this project's, and the program that checks it against the specification.
func csiTools() []tool {
	const dir = "internal/stack/tools/csi"
	return []tool{
		{gotool.Tool{Name: "csi", Version: "1.0.0", Package: "github.com/nomadhub/nomadhub/" + dir, Dir: dir, Minutes: 1}, ""},
		{gotool.Tool{Name: "csi-sanity", Version: "5.4.0", Package: "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity", Dir: dir, Minutes: 1}, ""},
	}
}

// cniTools are the plugins that Nomad's bridge network is made of, each named after its program with "cni-" before it.
func cniTools() []tool {
	var all []tool
	for _, pkg := range []string{"main/bridge", "main/loopback", "ipam/host-local", "meta/portmap", "meta/firewall"} {
		all = append(all, tool{gotool.Tool{
			Name: cniPrefix + path.Base(pkg), Version: "1.9.1", Package: "github.com/containernetworking/plugins/plugins/" + pkg,
			Dir: "internal/stack/tools/cni", Minutes: 1,
		}, ""})
	}
	return all
}

const cniPrefix = "cni-"

// CNIPlugins puts the plugins of Nomad's bridge network into a folder, under the names by which Nomad looks for them.
func CNIPlugins(ctx context.Context, dir string) error {
	for _, t := range cniTools() {
		program, err := Binary(ctx, t.Name)
		if err != nil {
			return err
		}
		if err := os.Symlink(program, filepath.Join(dir, strings.TrimPrefix(t.Name, cniPrefix))); err != nil {
			return err
		}
	}
	return nil
}

func server(name, version, pkg string, minutes int) gotool.Tool {
	return gotool.Tool{Name: name, Version: version, Package: pkg, Dir: "internal/stack/tools/" + name, CGO: true, Minutes: minutes}
}

// ToolNames lists the programs that [Binary] knows.
func ToolNames() []string {
	var names []string
	for _, t := range tools() {
		names = append(names, t.Name)
	}
	return names
}

// Binary returns the path of a program, one of [ToolNames]. It takes the first of: one on PATH that is new
// enough, one in $NOMADHUB_BIN_DIR, one built before. Otherwise it builds it as a Go tool from its module in this
// checkout, which takes minutes and says so on standard error; parallel callers wait for one build.
//
// Built programs are kept in $NOMADHUB_CACHE/bin; without that variable in /var/cache/nomadhub/bin for root, and
// nomadhub/bin in the user's cache folder for everybody else.
func Binary(ctx context.Context, name string) (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	f := finder{
		Builder: gotool.Builder{Cache: dir, Out: os.Stderr}, BinDir: os.Getenv("NOMADHUB_BIN_DIR"), LookPath: exec.LookPath,
	}
	return f.find(ctx, name)
}

// finder is Binary without the process's environment.
type finder struct {
	gotool.Builder
	BinDir   string
	LookPath func(name string) (string, error)
}

func (f finder) find(ctx context.Context, name string) (string, error) {
	i := slices.IndexFunc(tools(), func(t tool) bool { return t.Name == name })
	if i < 0 {
		return "", fmt.Errorf("no tool is called %q; there are %s", name, strings.Join(ToolNames(), ", "))
	}
	t := tools()[i]
	if path, err := f.LookPath(t.Name); err == nil && t.accepts(ctx, path) == nil {
		return path, nil
	}
	if f.BinDir != "" {
		path := filepath.Join(f.BinDir, t.Name)
		if _, err := os.Stat(path); err == nil {
			// The operator named this one: refuse rather than build another behind their back.
			return path, t.accepts(ctx, path)
		}
	}
	return f.Path(ctx, t.Tool)
}

// Root returns the folder of the checkout that the working directory lies in.
func Root() (string, error) { return gotool.Root() }

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
		return fmt.Errorf("%s is %s %s; at least %s is needed", path, t.Name, found[1], t.oldest)
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

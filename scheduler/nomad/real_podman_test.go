package nomad_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// podmanPlugin is Nomad's driver plugin for Podman. Nomad does not bring it, and it cannot be had as a Go module, so it is looked for only where
// somebody put it.
const podmanPlugin = "nomad-driver-podman"

// TestRealPodman runs the suite in containers of Podman, where its driver plugin is.
func TestRealPodman(t *testing.T) {
	t.Parallel()
	p := startPodman(t)
	t.Run("suite", func(t *testing.T) { schedulertest.Run(t, p.newHarness) })
	t.Run("out of memory", p.testOutOfMemory)
}

// podmanCluster is a cluster whose node has Podman's service beside it, with containers and images of its own.
type podmanCluster struct {
	*cluster
	image string
}

func startPodman(t *testing.T) *podmanCluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root can start Podman's service for Nomad")
	}
	plugin := findPodmanPlugin(t)
	podman, err := exec.LookPath("podman")
	if err != nil {
		t.Skip("skipped because podman is not installed; on Debian: apt-get install podman slirp4netns")
	}
	dir := openDir(t)
	global := []string{
		"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay",
	}
	// Podman wants to raise the limit of open files, which only the most privileged root may do.
	socket := filepath.Join(dir, "podman.sock")
	conf := filepath.Join(dir, "containers.conf")
	if err := os.WriteFile(conf, []byte("[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servePodman(t, podman, append(global, "system", "service", "--time=0", "unix://"+socket), conf, socket)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "tail", self); err != nil {
		t.Fatal(err)
	}
	set.WriteFile("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	c := &podmanCluster{image: "localhost/nomadhub-test/suite:" + set.Key()}
	importing := exec.CommandContext(t.Context(), podman, append(global, "import", "--change", "USER=65534", "-", c.image)...)
	in, err := importing.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := importing.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(set.WriteTar(in), in.Close(), importing.Wait()); err != nil {
		t.Fatalf("podman import: %v", err)
	}
	c.cluster = startClusterWith(t, stack.Options{Drivers: stack.Drivers{
		Podman: socket, PluginDir: filepath.Dir(plugin), HostVolumes: map[string]string{tempVolume: os.TempDir()},
	}})
	return c
}

// findPodmanPlugin returns a copy of the plugin in a folder of its own: Nomad starts every program that it finds beside a plugin.
func findPodmanPlugin(t *testing.T) string {
	t.Helper()
	path := filepath.Join(os.Getenv("NOMADHUB_BIN_DIR"), podmanPlugin)
	if _, err := os.Stat(path); err != nil || os.Getenv("NOMADHUB_BIN_DIR") == "" {
		if path, err = exec.LookPath(podmanPlugin); err != nil {
			t.Skipf("skipped because Nomad's driver for Podman is not here: build %s from its repository and put it on PATH or into $NOMADHUB_BIN_DIR", podmanPlugin)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), podmanPlugin)
	if err := os.WriteFile(own, text, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return own
}

// servePodman runs Podman's service for the length of the test.
func servePodman(t *testing.T, program string, args []string, conf, socket string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+conf)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to end
		root := filepath.Join(filepath.Dir(socket), "root", "overlay")
		_ = syscall.Unmount(root, syscall.MNT_DETACH) // Podman keeps its store mounted on itself
	})
	await(t, "Podman's service answers", func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (c *podmanCluster) podmanOptions(t *testing.T) nomad.Options {
	t.Helper()
	options := c.options(t)
	options.Jobspec = driverJobspec(t, "podman")
	options.Variables["image"] = c.image
	// The network that changes nothing of the machine's own.
	options.Variables["podman_network"] = "slirp4netns"
	return options
}

func (c *podmanCluster) newHarness(t *testing.T) schedulertest.Harness {
	t.Helper()
	options := c.podmanOptions(t)
	options.Jobspec = withTemp(options.Jobspec)
	t.Cleanup(func() { c.purge(t, options.JobPrefix) })
	harness := c.harnessOf(t, options)
	harness.OwnNetwork = true
	// Podman's driver loses what a container printed just before its end, so what the suite asks of logs does not hold.
	harness.Scheduler = struct{ scheduler.Scheduler }{harness.Scheduler}
	return harness
}

func (c *podmanCluster) testOutOfMemory(t *testing.T) {
	options := runs(t, c.podmanOptions(t), "/usr/bin/tail", "/dev/zero")
	options.Variables["memory"] = "64"
	s := open(t, options)
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	// Whether Podman notes that the kernel killed for memory depends on its version and on that of control groups.
	if !strings.Contains(status.Reason, "64 MB of memory") && !strings.Contains(status.Reason, "ran out of memory") {
		t.Errorf("reason %q", status.Reason)
	}
	c.stop(t, s, "a")
}

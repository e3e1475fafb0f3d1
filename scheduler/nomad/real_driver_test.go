package nomad_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/jobspecs"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// driverCluster is a cluster whose node isolates notebooks: in containers of a real Docker engine, and by Nomad's exec driver.
type driverCluster struct {
	*cluster
	engine   *dockerd.Engine
	image    string // has a shell, a few tools, and the libraries of the suite's program
	registry string // host and port of a registry with that image
	self     string // path of the suite's program in the image and in chroots
	homes    string // folder of this machine that is the volume homesVolume
}

// TestRealDrivers runs what depends on the driver on a real engine and in real chroots.
func TestRealDrivers(t *testing.T) {
	t.Parallel()
	c := startDriverCluster(t)
	for _, driver := range []string{"docker", "exec"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			t.Run("suite", func(t *testing.T) {
				schedulertest.Run(t, func(t *testing.T) schedulertest.Harness { return c.newDriverHarness(t, driver) })
			})
			t.Run("out of memory", func(t *testing.T) { c.testOutOfMemory(t, driver) })
			t.Run("the jobspec is valid", func(t *testing.T) { c.testIsValid(t, driver) })
		})
	}
	t.Run("images", c.testImages)
	t.Run("isolation", c.testIsolation)
	t.Run("homes", c.testHomes)
	t.Run("podman's jobspec is valid", func(t *testing.T) { c.testIsValid(t, "podman") })
}

func startDriverCluster(t *testing.T) *driverCluster {
	t.Helper()
	c := &driverCluster{engine: dockerd.New(t)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.self, c.homes = self, openDir(t)
	if err := os.Chown(c.homes, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "/usr/bin/env", "cat", "cp", "id", "ls", "mkdir", "sleep", "tail", self); err != nil {
		t.Fatal(err)
	}
	set.WriteFile("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/home/nobody:/bin/sh\n")
	set.WriteFile("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
	set.Mkdir("/home/nobody", 0o755, 65534, 65534)
	c.cluster = startClusterWith(t, stack.Options{Drivers: stack.Drivers{
		Docker: c.engine.Socket, Chroot: chroot(t, &set), HostVolumes: map[string]string{tempVolume: os.TempDir(), homesVolume: c.homes},
	}})
	image := dockerd.Image{Name: "nomadhub-test/suite", Layer: &set, Config: dockerd.Config{
		Env: []string{"PATH=/usr/bin:/bin", "HOME=/home/nobody"}, User: "65534", WorkingDir: "/home/nobody",
	}}
	if c.image, err = c.engine.ImportImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	c.registry = dockerd.Serve(t, image)
	return c
}

// chroot is a root file system for tasks of the exec driver. A folder of its own keeps symbolic links as they are, which Nomad follows in what it takes
// of the machine file by file.
func chroot(t *testing.T, set *rootfs.Set) map[string]string {
	t.Helper()
	root := openDir(t)
	if err := set.WriteDir(root); err != nil {
		t.Fatal(err)
	}
	return map[string]string{root: "/"}
}

func driverJobspec(t *testing.T, driver string) string {
	t.Helper()
	text, err := fs.ReadFile(jobspecs.FS, "notebook-"+driver+".nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// driverOptions returns those of a scheduler with the product's jobspec for that driver.
func (c *driverCluster) driverOptions(t *testing.T, driver string) nomad.Options {
	t.Helper()
	options := c.options(t)
	options.Jobspec = driverJobspec(t, driver)
	if driver == "docker" {
		options.Variables["image"] = c.image
	}
	return options
}

// runs makes the options run a program of the image or chroot.
func runs(t *testing.T, options nomad.Options, command ...string) nomad.Options {
	t.Helper()
	args, err := json.Marshal(command[1:])
	if err != nil {
		t.Fatal(err)
	}
	options.Variables["command"], options.Variables["args"] = command[0], string(args)
	return options
}

// tempVolume is this machine's folder for temporary files. The hub's policy knows volumes of such names.
const tempVolume = "notebook-tmp"

// homesVolume is a folder in which the account of notebooks may make homes.
const homesVolume = "notebook-homes"

// withTemp lets servers see this machine's folder for temporary files, in which the suite's program lies and leaves its marks.
func withTemp(jobspec string) string { return withVolume(jobspec, tempVolume, os.TempDir(), false) }

// withVolume is the jobspec with another host volume of the client.
func withVolume(jobspec, source, path string, readOnly bool) string {
	volume := fmt.Sprintf("    volume \"test\" {\n      type      = \"host\"\n      source    = %q\n      read_only = %t\n    }\n\n    ephemeral_disk {", source, readOnly)
	jobspec = strings.Replace(jobspec, "    ephemeral_disk {", volume, 1)
	return inTask(fmt.Sprintf("volume_mount {\n        volume      = \"test\"\n        destination = %q\n        read_only   = %t\n      }", path, readOnly))(jobspec)
}

func (c *driverCluster) newDriverHarness(t *testing.T, driver string) schedulertest.Harness {
	t.Helper()
	options := c.driverOptions(t, driver)
	options.Jobspec = withTemp(options.Jobspec)
	t.Cleanup(func() {
		c.purge(t, options.JobPrefix)
		await(t, "no process of the servers is left", func() error { return noProcessOf(options.JobPrefix) })
	})
	harness := c.harnessOf(t, options)
	harness.OwnNetwork = driver == "docker"
	harness.LateLogs = driver == "docker" // Nomad's collector of logs is a program that is started after the container: its issue 6931
	return harness
}

// noProcessOf looks for processes, on the machine and in containers, that Nomad started for jobs whose ID begins so.
func noProcessOf(prefix string) error {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		return errors.Join(errors.New("no process is seen at all"), err)
	}
	for _, file := range files {
		if env, err := os.ReadFile(file); err == nil && strings.Contains("\x00"+string(env), "\x00NOMAD_JOB_ID="+prefix) {
			return fmt.Errorf("%s is there", filepath.Dir(file))
		}
	}
	return nil
}

// testOutOfMemory lets a server take more memory than it may have, after it has lived for long enough to be measured.
func (c *driverCluster) testOutOfMemory(t *testing.T, driver string) {
	options := runs(t, c.driverOptions(t, driver), "/bin/sh", "-c", "sleep 4; exec tail /dev/zero") // one endless line, which it keeps
	options.Variables["memory"] = "64"
	s := open(t, options)
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
	awaitRunning(t, s)
	await(t, "its memory is measured", func() error {
		_, err := s.Usage(t.Context(), "a")
		return err
	})
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	if want := "The server was ended because it used more than its 64 MB of memory."; !strings.HasPrefix(status.Reason, want) {
		t.Errorf("reason %q, want %q", status.Reason, want)
	}
	peak, err := s.PeakMemory(t.Context(), "a")
	if err != nil || peak <= 0 && driver == "exec" || peak > 64<<20 {
		t.Errorf("the peak is %d bytes, %v", peak, err)
	}
	t.Logf("%s: peak of %d bytes", driver, peak)
	c.stop(t, s, "a")
	if _, err := s.PeakMemory(t.Context(), "a"); err != nil && !errors.Is(err, scheduler.ErrNotFound) && !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("the peak of a server that is gone: %v", err)
	}
}

// testIsValid holds a jobspec against Nomad's own tools, as an operator would.
func (c *driverCluster) testIsValid(t *testing.T, driver string) {
	path := filepath.Join(t.TempDir(), "notebook.nomad.hcl")
	if err := os.WriteFile(path, []byte(driverJobspec(t, driver)), 0o600); err != nil {
		t.Fatal(err)
	}
	validate := []string{"job", "validate"}
	if driver != "exec" {
		validate = append(validate, "-var=image=registry.example.org/notebook:1", "-var=home_volume=home")
	}
	for _, args := range [][]string{{"fmt", "-check", path}, append(validate, path)} {
		cmd := exec.CommandContext(t.Context(), c.nomad, args...)
		cmd.Env = append(os.Environ(), "NOMAD_ADDR="+c.admin.Address(), "NOMAD_TOKEN="+c.token, "NOMAD_NAMESPACE="+namespace)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Warning") {
			t.Errorf("nomad %s: %v\n%s", args, err, out)
		}
	}
}

// testImages pulls from a registry, and asks for images that cannot be had.
func (c *driverCluster) testImages(t *testing.T) {
	pulled := c.registry + "/nomadhub-test/suite:" + dockerd.Tag
	cases := map[string]struct{ image, reason string }{
		"pulled":      {pulled, "The server ended by itself (exit code 0)."},
		"unknown":     {c.registry + "/nomadhub-test/none:1", "none:1"},
		"no registry": {"127.0.0.1:1/nomadhub-test/suite:1", "127.0.0.1:1"},
		"no name":     {"Not A Name", "Not A Name"},
	}
	for name, image := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := runs(t, c.driverOptions(t, "docker"), "/usr/bin/id")
			options.Variables["image"] = image.image
			s := open(t, options)
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
			status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
			if !strings.Contains(status.Reason, image.reason) {
				t.Errorf("reason %q, want %q", status.Reason, image.reason)
			}
			c.stop(t, s, "a")
		})
	}
	if has, err := c.engine.HasImage(t.Context(), pulled); err != nil {
		t.Error(err, has)
	}
}

// awaitRunning waits until the server runs. What it prints is looked for while it does: Nomad may miss what a container prints that ends at once.
func awaitRunning(t *testing.T, s *nomad.Scheduler) {
	t.Helper()
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State != scheduler.Pending })
	if status.State != scheduler.Running {
		t.Fatalf("the server does not run: %s", status.Reason)
	}
}

// testIsolation asks a server what it is and may do.
func (c *driverCluster) testIsolation(t *testing.T) {
	const ask = "id -u; cat /proc/self/status | while read -r name value; do case $name in CapEff:|NoNewPrivs:) echo $name $value;; esac; done; ls /proc/2 2>&1; exec sleep 600"
	want := map[string][]string{
		"docker": {"65534", "CapEff: 0000000000000000", "NoNewPrivs: 1"},
		"exec":   {"65534", "CapEff: 0000000000000000"},
	}
	for driver, lines := range want {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := open(t, runs(t, c.driverOptions(t, driver), "/bin/sh", "-c", ask))
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
			awaitRunning(t, s)
			for _, line := range append(slices.Clone(lines), "No such file") { // another process of the machine is not to be seen
				await(t, "the server said "+line, func() error { return logContains(t, s, line) })
			}
			c.stop(t, s, "a")
		})
	}
}

// testHomes starts a server twice, with a home in a volume: what the first one left, the second one finds.
func (c *driverCluster) testHomes(t *testing.T) {
	const keep = "echo home is $HOME; cat \"$HOME/left\" || { echo written >\"$HOME/left\"; echo none; }; exec sleep 600"
	cases := map[string]struct {
		driver    string
		variables map[string]string
		own       map[string]string // parameters of a volume that the hub made
		home      string
	}{
		"docker":            {"docker", map[string]string{"home_volume": "test-home", "home": "/home/nobody"}, nil, "/home/nobody"},
		"exec":              {"exec", nil, map[string]string{"mode": "0700", "uid": "65534", "gid": "65534"}, "/home/notebook"},
		"exec, shared home": {"exec", map[string]string{"shared_home_volume": tempVolume}, nil, "/home/schedulertest-home"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := runs(t, c.driverOptions(t, each.driver), "/bin/sh", "-c", keep)
			maps.Copy(options.Variables, each.variables)
			s := open(t, options)
			spec := scheduler.Spec{ID: "a", Home: "schedulertest-home"}
			if each.variables["shared_home_volume"] != "" {
				t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(os.TempDir(), spec.Home)) })
			}
			if each.own != nil {
				spec.Workload.Mounts = []scheduler.Mount{c.homeOf(t, options, each.own)}
			}
			for generation, want := range []string{"none", "written"} {
				spec.Generation = int64(generation + 1)
				c.start(t, s, spec)
				awaitRunning(t, s)
				for _, line := range []string{"home is " + each.home, want} {
					await(t, "the server said "+line, func() error { return logContains(t, s, line) })
				}
				c.stop(t, s, "a")
			}
		})
	}
	t.Run("exec, of another account", func(t *testing.T) {
		t.Parallel()
		options := runs(t, c.driverOptions(t, "exec"), "/bin/sh", "-c", keep)
		s := open(t, options)
		mount := c.homeOf(t, options, map[string]string{"mode": "0755"})
		c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: scheduler.Workload{Mounts: []scheduler.Mount{mount}}})
		awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
		await(t, "the server said why", func() error { return logContains(t, s, "may not write to the home /home/notebook") })
		c.stop(t, s, "a")
	})
}

// homeOf makes the volume that is the home of the server "a", as the hub does for a profile whose volume is mounted where the jobspec for exec expects it.
func (c *driverCluster) homeOf(t *testing.T, options nomad.Options, parameters map[string]string) scheduler.Mount {
	t.Helper()
	state, err := open(t, options).EnsureVolume(t.Context(), scheduler.Volume{ID: "a", Kind: scheduler.MountDynamic, Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.discardVolumes(t, options.JobPrefix) })
	return scheduler.Mount{Name: "home", Kind: scheduler.MountDynamic, Source: state.Name, Path: "/home/notebook"}
}

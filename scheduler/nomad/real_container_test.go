package nomad_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
)

// containerPool is the node pool of the machine with a Docker engine.
const containerPool = "containers"

// testContainers runs what profiles ask of a real Docker engine: on a machine of its own, which comes when a cluster is there already.
func (c *workloadCluster) testContainers(t *testing.T) {
	engine := dockerd.New(t)
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "/usr/bin/env", "cat", "id", "ls", "sleep", "tail"); err != nil {
		t.Fatal(err)
	}
	image := dockerd.Image{Name: "nomadhub-test/workload", Layer: &set, Config: dockerd.Config{
		Env: []string{"PATH=/usr/bin:/bin", "FROM_IMAGE=yes"}, User: "65534", WorkingDir: "/", Cmd: []string{"/bin/sh", "-c", "exit 42"},
	}}
	name, err := engine.ImportImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.stack.Dir, containerPool), 0o711); err != nil { //nolint:gosec // tasks of other accounts pass through
		t.Fatal(err)
	}
	node, err := c.stack.AddNode(t.Context(), stack.NodeOptions{Name: containerPool, Pool: containerPool, Drivers: stack.Drivers{Docker: engine.Socket}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Errorf("stop the machine with containers: %v", err)
		}
	})
	t.Run("parts", func(t *testing.T) {
		t.Run("a workload", func(t *testing.T) { c.testContainer(t, engine, name) })
		t.Run("the image's own command", func(t *testing.T) {
			c.testContainerEnds(t, container(name), scheduler.CauseExited, "The server ended with exit code 42.")
		})
		t.Run("out of memory", func(t *testing.T) {
			w := container(name)
			w.Command, w.Args = "/usr/bin/tail", []string{"/dev/zero"} // one endless line, which it keeps
			c.testContainerEnds(t, w, scheduler.CauseOutOfMemory, "The server was ended because it used more than its 64 MB of memory. Start it with more memory.")
		})
		t.Run("no such program", func(t *testing.T) {
			w := container(name)
			w.Command = "/no/such/program"
			c.testContainerEnds(t, w, scheduler.CauseMisconfigured, "The server's program was not found")
		})
		t.Run("no such account", func(t *testing.T) {
			w := container(name)
			w.User = "nosuchaccount"
			c.testContainerEnds(t, w, scheduler.CauseMisconfigured, `There is no account "nosuchaccount"`)
		})
		t.Run("an option that the driver does not have", func(t *testing.T) {
			w := container(name)
			w.Config = map[string]any{"no_such_option": true}
			c.testContainerEnds(t, w, scheduler.CauseMisconfigured, "The machine does not accept the settings")
		})
		t.Run("registries", c.testRegistries)
	})
}

func container(image string) scheduler.Workload {
	return scheduler.Workload{
		Driver: "docker", Image: image, Placement: scheduler.Placement{NodePool: containerPool}, Restart: &scheduler.Restart{},
	}
}

// testContainerEnds runs a server in a container and waits for its end.
func (c *workloadCluster) testContainerEnds(t *testing.T, w scheduler.Workload, cause scheduler.Cause, reason string) {
	t.Helper()
	t.Parallel()
	s := open(t, c.options(t))
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: w, Resources: scheduler.Resources{MemoryMB: 64, CPU: 50}})
	dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	if dead.Cause != cause || !strings.HasPrefix(dead.Reason, reason) || strings.Contains(dead.Reason, "rpc error") {
		t.Errorf("%q, %q; want %q, %q", dead.Cause, dead.Reason, cause, reason)
	}
	c.stop(t, s, "a")
}

// testContainer runs a server with nearly everything that a container can have, and asks it and the engine what it got.
func (c *workloadCluster) testContainer(t *testing.T, engine *dockerd.Engine, image string) {
	t.Parallel()
	spec := scheduler.Spec{
		ID: "a", Generation: 1, URLVariable: "SERVICE_URL", URLPath: "/user/ada/", Workload: container(image),
		Resources: scheduler.Resources{CPUGuarantee: 0.1, CPULimit: 0.5, MemoryMB: 64, MemoryMaxMB: 96, DiskMB: 150},
	}
	w := &spec.Workload
	w.Command = "/bin/sh"
	w.Args = []string{"-c", `echo url $SERVICE_URL; id -u; echo image $FROM_IMAGE; pwd; cat /own/prepared; ls -d /cache /scratch; echo "path $PATH"; exec sleep 600`}
	w.User, w.WorkDir = "65534:65534", "/own"
	w.Config = map[string]any{
		"pids_limit": 77, "security_opt": []any{"no-new-privileges"}, "labels": map[string]any{"org.example.kind": "notebook"},
		"mount": []any{map[string]any{"type": "tmpfs", "target": "/scratch"}}, "init": true,
	}
	w.Network.Port, w.Network.Ports = 8888, map[string]int{"dask": 8787}
	w.Mounts = []scheduler.Mount{{Name: "own", Kind: scheduler.MountSticky, Path: "/own"}}
	w.Tasks = []scheduler.Task{{
		Name: "prepare", Hook: scheduler.HookPrestart, Image: image, Command: "/bin/sh", Args: []string{"-c", "echo prepared > /alloc/data/prepared"}, User: "0:0",
		Resources: scheduler.Resources{CPU: 20, MemoryMB: 32},
	}}
	s := open(t, c.options(t))
	c.start(t, s, spec)
	running := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	for _, line := range []string{"url http://0.0.0.0:8888/user/ada/", "65534", "image yes", "/own", "prepared", "/scratch", "path /usr/bin:/bin"} {
		await(t, "the server said "+line, func() error { return logContains(t, s, line) })
	}
	var got struct {
		HostConfig struct {
			Memory, CpuQuota, CpuPeriod, PidsLimit int64 //nolint:revive // the engine's names
			SecurityOpt                            []string
			PortBindings                           map[string]any
		}
		Config struct{ Labels map[string]string }
	}
	c.inspect(t, engine, "notebook-"+running.Instance, &got)
	h := got.HostConfig
	cores := float64(h.CpuQuota) / float64(max(h.CpuPeriod, 1))
	if h.Memory != 96<<20 || cores < 0.49 || cores > 0.51 || h.PidsLimit != 77 || h.PortBindings["8888/tcp"] == nil || h.PortBindings["8787/tcp"] == nil || got.Config.Labels["org.example.kind"] != "notebook" {
		text, _ := json.Marshal(got)
		t.Errorf("the container has %s, %g cores", text, cores)
	}
	c.stop(t, s, "a")
}

// inspect asks the engine for the container of that name.
func (c *workloadCluster) inspect(t *testing.T, engine *dockerd.Engine, name string, v any) {
	t.Helper()
	all, err := engine.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range all {
		if strings.Contains(strings.Join(each.Names, " "), name) {
			if err := engine.Inspect(t.Context(), each.ID, v); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no container %s among %+v", name, all)
}

// testRegistries asks registries for images that they do not have, do not give, or never begin to send.
func (c *workloadCluster) testRegistries(t *testing.T) {
	registry := func(answer http.HandlerFunc) string {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	say := func(w http.ResponseWriter, code int, what string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"no"}]}`, what)
	}
	never := make(chan struct{})
	cases := map[string]struct {
		host   string
		cause  scheduler.Cause
		reason string
	}{
		"without the image": {registry(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				say(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
			}
		}), scheduler.CauseImageMissing, "/lab:1 does not exist in its registry. Choose another one"},
		"that wants a login": {registry(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			say(w, http.StatusUnauthorized, "UNAUTHORIZED")
		}), scheduler.CauseImageRefused, "/lab:1, or could not be reached. Try again later"},
		"that is not there": {"127.0.0.1:1", scheduler.CauseImageRefused, "127.0.0.1:1/lab:1, or could not be reached."},
		"that never answers": {registry(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-never:
			case <-r.Context().Done():
			}
		}), scheduler.CausePullSlow, "/lab:1 was not there in time."},
	}
	t.Cleanup(func() { close(never) }) // before the servers are closed, which wait for their requests
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := container(k.host + "/lab:1")
			w.PullTimeout = 5 * time.Second
			s := open(t, c.options(t))
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: w})
			dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
			if dead.Cause != k.cause || !strings.Contains(dead.Reason, k.reason) {
				t.Errorf("%q, %q; want %q, %q", dead.Cause, dead.Reason, k.cause, k.reason)
			}
			c.stop(t, s, "a")
		})
	}
}

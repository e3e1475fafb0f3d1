package nomad_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// bridgeVariable tells the test that it runs in its own namespaces.
const bridgeVariable = "NOMADHUB_TEST_BRIDGE"

// ownNamespaces runs the test in namespaces of its own: bridges, rules of the packet filter and processes are gone with it, whatever becomes of it. The machine in
// there has one address beside that of the loopback: hostAddress.
const ownNamespaces = `
mount -t tmpfs tmpfs /run/netns && mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni &&
ip link set lo up && ip link add host0 type veth peer name host1 && ip link set host1 up && ip addr add ` + hostAddress + `/24 dev host0 && ip link set host0 up && exec "$0" "$@"`

const hostAddress = "10.203.0.1"

// TestRealBridge runs servers in Nomad's bridge network.
func TestRealBridge(t *testing.T) {
	if os.Getenv(bridgeVariable) != "" {
		testBridge(t)
		return
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root may make network namespaces")
	}
	for _, name := range []string{"nomad", "cni-bridge"} { // built out here, and not with the time of the test in there
		stack.Program(t, name)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil { //nolint:gosec // as ip makes it
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private",
		"/bin/sh", "-c", ownNamespaces, self, "-test.run=^TestRealBridge$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), bridgeVariable+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestRealBridge") {
		t.Errorf("in there: %v", err)
	}
}

// bridged is a Nomad of one machine with a bridge network.
type bridged struct {
	*region

	copied string // path of the suite's program
}

// insideProgram is that in the root of the exec driver.
const insideProgram = "/usr/bin/notebook"

func testBridge(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "/usr/bin/env", "mkdir", self); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self) // whose own place other accounts may not enter
	if err != nil {
		t.Fatal(err)
	}
	set.WriteFile(insideProgram, 0o755, string(program))
	set.WriteFile("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	set.WriteFile("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
	plugins := t.TempDir()
	if err := stack.CNIPlugins(t.Context(), plugins); err != nil {
		t.Fatal(err)
	}
	b := &bridged{copied: copyProgram(t, openDir(t))}
	b.region = startRegion(t, "bridged", "", map[string]any{
		"network_interface": "host0", "cni_path": plugins, "chroot_env": chroot(t, &set), "bridge_network_subnet": "10.204.0.0/24",
	})
	b.awaitReady()
	if _, err := b.agent.client.Namespaces().Register(&api.Namespace{Name: namespace}, nil); err != nil {
		t.Fatal(err)
	}
	a, other := b.start(t, "raw_exec", b.copied), b.start(t, "exec", insideProgram)
	t.Run("each is reached through its published port", func(t *testing.T) { a.testReached(t); other.testReached(t) })
	t.Run("the proxy reaches it", a.testProxied)
	t.Run("the port inside is not the machine's", func(t *testing.T) { b.testInside(t, a, other) })
	t.Run("a rule keeps servers of one machine apart", func(t *testing.T) { b.testApart(t, a, other) })
	for _, s := range []*bridgedServer{a, other} {
		if err := s.Stop(t.Context(), "a", 1); err != nil {
			t.Error(err)
		}
	}
}

// bridgedServer is one notebook in the bridge network.
type bridgedServer struct {
	*nomad.Scheduler

	status scheduler.Status
	inside string // its address in the bridge network
}

// insidePort is where all servers listen, each in its own network.
const insidePort = 8888

func (b *bridged) start(t *testing.T, driver, program string) *bridgedServer {
	t.Helper()
	jobspec := notebookJobspec(t)
	if driver == "exec" {
		jobspec = driverJobspec(t, driver)
	}
	s := &bridgedServer{Scheduler: open(t, nomad.Options{
		Client: client(t, b.address, ""), Namespace: namespace, Jobspec: jobspec, JobPrefix: "notebook-" + strings.ReplaceAll(driver, "_", "-") + "-",
		Variables: map[string]string{
			"command": program, "args": `["ignored"]`, "service_provider": "nomad", "cpu": "50", "memory": "128", "disk": "60",
		},
		StopTimeout: 2 * time.Second,
	})}
	spec := scheduler.Spec{
		ID: "a", Generation: 1, URLVariable: schedulertest.URLVariable, URLPath: "/user/ada/", HealthPath: "/user/ada/api",
		Env: map[string]string{"SCHEDULERTEST_BEHAVIOUR": "serve", "DRIVER": driver},
	}
	spec.Workload.Network = scheduler.Network{Mode: "bridge", Port: insidePort}
	if err := s.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		status, err := s.Status(context.Background(), "a")
		lines, _ := s.LogTail(context.Background(), "a", 20)
		t.Logf("%s: %+v, %v, %q", driver, status, err, lines)
	})
	s.status = awaitStatus(t, s.Scheduler, "a", isRunning)
	alloc, _, err := b.agent.client.Allocations().Info(s.status.Instance, nil)
	if err != nil || alloc.NetworkStatus == nil {
		t.Fatalf("the allocation has no network: %v", err)
	}
	s.inside = fmt.Sprintf("%s:%d", alloc.NetworkStatus.Address, insidePort)
	return s
}

// ask200 asks until something answers.
func ask200(t *testing.T, url string) (env map[string]string) {
	t.Helper()
	await(t, url+" answers", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s, %w", res.Status, text, err)
		}
		return json.Unmarshal(text, &env)
	})
	return env
}

func (s *bridgedServer) testReached(t *testing.T) {
	t.Helper()
	if !strings.HasPrefix(s.status.Address, hostAddress+":") {
		t.Errorf("it answers at %s, which is not the machine's address", s.status.Address)
	}
	env := ask200(t, "http://"+s.status.Address+"/user/ada/api")
	if want := fmt.Sprintf("http://0.0.0.0:%d/user/ada/", insidePort); env[schedulertest.URLVariable] != want {
		t.Errorf("it was told to listen at %s, want %s", env[schedulertest.URLVariable], want)
	}
	if prefix := "notebook-" + strings.ReplaceAll(env["DRIVER"], "_", "-") + "-a"; env["NOMAD_JOB_ID"] != prefix {
		t.Errorf("the one of %s answers for %s", env["NOMAD_JOB_ID"], prefix)
	}
}

func (s *bridgedServer) testProxied(t *testing.T) {
	registry := static.New()
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "static", Source: registry}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = router.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := registry.Publish(ctx, routing.Binding{
		Server: "a", Prefix: "/user/ada/", Generation: 1, Instance: s.status.Instance, Address: s.status.Address, Placement: s.status.Placement,
	}); err != nil {
		t.Fatal(err)
	}
	if err := router.AwaitRoute(ctx, "a", 1, s.status.Instance); err != nil {
		t.Fatal(err)
	}
	proxy, err := routing.NewProxy(routing.Options{Router: router, Fallback: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	front := httptest.NewServer(proxy)
	defer front.Close()
	if env := ask200(t, front.URL+"/user/ada/api"); env["DRIVER"] != "raw_exec" {
		t.Errorf("the proxy led to %q", env["DRIVER"])
	}
}

// opens tries to connect from inside a server's network, and from the machine if the server is nil. What is open opens at once, however long it may take.
func opens(t *testing.T, from *bridgedServer, address string, atMost time.Duration) bool {
	t.Helper()
	host, port, _ := strings.Cut(address, ":")
	args := []string{"timeout", fmt.Sprint(atMost.Seconds()), "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%s", host, port)}
	if from != nil {
		args = append([]string{"ip", "netns", "exec", from.status.Instance}, args...)
	}
	return exec.CommandContext(t.Context(), args[0], args[1:]...).Run() == nil
}

const (
	patiently = 20 * time.Second // for what must open
	briefly   = time.Second      // for what must not
)

// testInside: servers with one number of a port inside live beside each other, and the machine does not have that port.
func (b *bridged) testInside(t *testing.T, a, other *bridgedServer) {
	if a.inside == other.inside || a.status.Address == other.status.Address {
		t.Errorf("both are at %s, or %s", a.inside, a.status.Address)
	}
	own := fmt.Sprintf("127.0.0.1:%d", insidePort)
	if !opens(t, a, own, patiently) || !opens(t, other, own, patiently) {
		t.Error("a server cannot reach itself; then this test proves nothing")
	}
	for _, closed := range []string{own, fmt.Sprintf("%s:%d", hostAddress, insidePort)} {
		if opens(t, nil, closed, briefly) {
			t.Errorf("the machine has the port inside at %s", closed)
		}
	}
	nomadPort := strings.TrimPrefix(b.address, "http://")
	if opens(t, a, nomadPort, briefly) {
		t.Errorf("the loopback address of a server leads to the machine's %s", nomadPort)
	}
}

// testApart sets the rule of docs/how-to/networks.md. Without it servers of one machine reach each other.
func (b *bridged) testApart(t *testing.T, a, other *bridgedServer) {
	if !opens(t, a, other.inside, patiently) || !opens(t, other, a.status.Address, patiently) {
		t.Error("servers cannot reach each other as it is; then the rule is not needed")
	}
	rule := []string{"-i", "nomad", "-o", "nomad", "-j", "DROP"}
	if out, err := exec.CommandContext(t.Context(), "iptables", append([]string{"-I", "NOMAD-ADMIN"}, rule...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if opens(t, a, other.inside, briefly) || opens(t, other, a.inside, briefly) || opens(t, other, a.status.Address, briefly) {
		t.Error("a server reaches another one in spite of the rule")
	}
	a.testReached(t)
	other.testReached(t)
}

package nomad_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// workloadCluster is a cluster of one machine with the drivers raw_exec and exec, to which tests add others in a pool of their own.
type workloadCluster struct {
	*cluster
	stack *stack.Stack
	late  []*stack.Node
}

const (
	emptyPool  = "gpu"  // has no machine
	latePool   = "late" // gets its machines later
	dataVolume = "notebook-data"
)

// TestF12F13RealWorkloads runs what profiles ask for on a real Nomad.
func TestF12F13RealWorkloads(t *testing.T) {
	t.Parallel()
	c := startWorkloadCluster(t)
	t.Run("one machine", func(t *testing.T) {
		t.Run("Nomad accepts what each driver's workload becomes", c.testAccepted)
		t.Run("a volume that is not the hub's to mount", c.testForeignVolume)
		t.Run("a workload runs as it says", c.testRuns)
		t.Run("a server is started again where its profile says so", c.testRestarts)
		t.Run("a server that takes more memory than it has", c.testOutOfMemory)
		t.Run("machines", c.testNodes)
		t.Run("forecasts", c.testForecasts)
		t.Run("forecast of a server that runs", c.testForecastOfRunning)
		t.Run("forecast without the right to see machines", c.testForecastBlind)
		t.Run("obstacles", c.testObstacles)
		t.Run("a port that is taken", c.testPortTaken)
		t.Run("settings that are missing", c.testMissingSettings)
		t.Run("an allocation is stopped", c.testAllocationStopped)
	})
	t.Run("containers", c.testContainers)
	// These change what the whole cluster is, one after the other.
	t.Run("a second machine lets a server go on", c.testSecondMachine)
	t.Run("more important work", c.testPreempted)
	t.Run("advice", c.testAdvice)
}

func startWorkloadCluster(t *testing.T) *workloadCluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client with the exec driver must be root")
	}
	data := openDir(t)
	if err := os.WriteFile(filepath.Join(data, "hello"), []byte("hello from the volume\n"), 0o644); err != nil { //nolint:gosec // other accounts read it
		t.Fatal(err)
	}
	c := &workloadCluster{}
	t.Cleanup(func() { // after the stack's own, which stops the jobs
		for _, node := range c.late {
			if err := node.Stop(); err != nil {
				t.Errorf("stop the machine %s: %v", node.Name(), err)
			}
		}
	})
	c.stack = stack.NewOwn(t, stack.Options{Drivers: stack.Drivers{Chroot: smallRoot(t), HostVolumes: map[string]string{dataVolume: data}}})
	c.cluster = &cluster{consul: c.stack.Consul, token: c.stack.Nomad.Token}
	c.admin = client(t, c.stack.Nomad.Address, c.token)
	c.hub = client(t, c.stack.Nomad.Address, c.hubToken(t))
	for _, pool := range []string{emptyPool, latePool, containerPool} {
		if _, err := c.admin.NodePools().Register(&api.NodePool{Name: pool}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// smallRoot is a root file system for tasks of the exec driver.
func smallRoot(t *testing.T) map[string]string {
	t.Helper()
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "/usr/bin/env", "cat", "mkdir", "sleep", "tail"); err != nil {
		t.Fatal(err)
	}
	set.WriteFile("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	set.WriteFile("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
	root := openDir(t)
	if err := set.WriteDir(root); err != nil {
		t.Fatal(err)
	}
	return map[string]string{root: "/"}
}

// shell is a workload that runs a script by a driver.
func shell(driver, script string) scheduler.Workload {
	return scheduler.Workload{Driver: driver, Command: "/bin/sh", Args: []string{"-c", script}}
}

func (c *workloadCluster) testAccepted(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"docker", "podman", "exec", "raw_exec"} {
		options := c.options(t)
		options.Client = c.admin // volumes of the operator's: the hub's own token may mount only what it made
		forecast, err := open(t, options).Plan(t.Context(), nomad.FullWorkload(driver))
		if err != nil || forecast.Verdict != scheduler.FitsNever || !strings.HasSuffix(forecast.Reason, ".") {
			t.Errorf("%s: %+v, %v", driver, forecast, err)
		}
	}
}

// testForeignVolume asks for a volume that the operator did not open to the hub.
func (c *workloadCluster) testForeignVolume(t *testing.T) {
	t.Parallel()
	options := c.options(t)
	w := shell("exec", "sleep 600")
	w.Mounts = []scheduler.Mount{{Name: "x", Kind: scheduler.MountHost, Source: "datasets", Path: "/x"}}
	if err := open(t, options).Start(t.Context(), scheduler.Spec{ID: "a", Generation: 1, Workload: w}); !isRejected(err, "policy does not let the hub mount a volume") {
		t.Errorf("start: %v, want a rejection that speaks of the policy", err)
	}
	c.purge(t, options.JobPrefix)
}

// testRuns runs a server with nearly everything that needs no container, and asks it what it got.
func (c *workloadCluster) testRuns(t *testing.T) {
	t.Parallel()
	const secret = "only-for-the-server"
	spec := scheduler.Spec{
		ID: "a", Generation: 1, Secrets: map[string]string{"JUPYTERHUB_API_TOKEN": secret}, Env: map[string]string{"OPEN": "open ${attr.kernel.name}"},
		Resources: scheduler.Resources{CPUGuarantee: 0.01, MemoryMB: 96, MemoryMaxMB: 128, DiskMB: 150},
		Workload:  shell("exec", "cat /data/hello /alloc/data/prepared; echo cpu $NOMAD_CPU_LIMIT; echo \"$OPEN\"; echo $JUPYTERHUB_API_TOKEN; echo dask $((NOMAD_PORT_dask > 1023)); exit 5"),
	}
	w := &spec.Workload
	w.Network.Ports = map[string]int{"dask": 0}
	w.Placement.Constraints = []scheduler.Constraint{{Attribute: "attr.kernel.name", Operator: "=", Value: "linux"}}
	w.Placement.Affinities = []scheduler.Affinity{{Constraint: scheduler.Constraint{Attribute: "node.class", Value: "large"}, Weight: 10}}
	w.Placement.Spreads = []scheduler.Spread{{Attribute: "node.datacenter", Weight: 50}}
	w.Mounts = []scheduler.Mount{
		{Name: "data", Kind: scheduler.MountHost, Source: dataVolume, Path: "/data", ReadOnly: true},
		{Name: "own", Kind: scheduler.MountSticky, Path: "/alloc/data"},
	}
	w.Tasks = []scheduler.Task{
		{
			Name: "prepare", Hook: scheduler.HookPrestart, Command: "/bin/sh", Env: map[string]string{"WORD": "prepared"},
			Args: []string{"-c", "/usr/bin/env; cat /in/hello; echo $WORD > /alloc/data/prepared"}, Resources: scheduler.Resources{CPU: 20, MemoryMB: 32},
			Mounts: map[string]string{"data": "/in"},
		},
		{Name: "beside", Hook: scheduler.HookPoststart, Sidecar: true, Command: "/bin/sleep", Args: []string{"600"}, Resources: scheduler.Resources{CPU: 20, MemoryMB: 32}},
	}
	w.StopSignal = "SIGTERM"
	w.Disconnect = &scheduler.Disconnect{LostAfter: 1e12}
	w.Reschedule = &scheduler.Reschedule{}

	s := open(t, c.options(t))
	c.start(t, s, spec)
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	if status.Cause != scheduler.CauseExited || !strings.Contains(status.Reason, "exit code 5") {
		t.Errorf("status %+v", status)
	}
	nodes, err := s.Nodes(t.Context())
	if err != nil || len(nodes) == 0 {
		t.Fatal(nodes, err)
	}
	cpu := fmt.Sprintf("cpu %d", (nodes[0].MHzPerCore+99)/100)
	for _, line := range []string{"hello from the volume", "prepared", cpu, "open ${attr.kernel.name}", secret, "dask 1"} {
		await(t, "the server said "+line, func() error { return logContains(t, s, line) })
	}
	prepared := c.logOf(t, status.Instance, "prepare")
	if !strings.Contains(prepared, "hello from the volume") || !strings.Contains(prepared, "WORD=prepared") || strings.Contains(prepared, secret) {
		t.Errorf("the task before the server saw:\n%s", prepared)
	}
	c.stop(t, s, "a")
}

func (c *workloadCluster) logOf(t *testing.T, alloc, task string) string {
	t.Helper()
	log, err := c.admin.Raw().Response("/v1/client/fs/logs/"+alloc, &api.QueryOptions{Params: map[string]string{"task": task, "type": "stdout", "plain": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testRestarts: what is told in the end is why the last run ended.
func (c *workloadCluster) testRestarts(t *testing.T) {
	t.Parallel()
	s := open(t, c.options(t))
	w := shell("raw_exec", `if [ -e "$NOMAD_ALLOC_DIR/data/again" ]; then exit 8; fi; echo > "$NOMAD_ALLOC_DIR/data/again"; exit 7`)
	w.Restart = &scheduler.Restart{Attempts: 1, Interval: 60e9, Delay: 1e8}
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: w})
	awaitStatus(t, s, "a", func(s scheduler.Status) bool {
		return s.State == scheduler.Dead && strings.Contains(s.Reason, "exit code 8")
	})
	c.stop(t, s, "a")
}

// testOutOfMemory: the kernel ends what takes too much. Of exec Nomad tells why; of raw_exec it tells the signal only.
func (c *workloadCluster) testOutOfMemory(t *testing.T) {
	t.Parallel()
	for driver, want := range map[string]struct {
		cause scheduler.Cause
		says  string
	}{
		"exec": {scheduler.CauseOutOfMemory, "The server was ended because it used more than its 64 MB of memory. Start it with more memory."},
		"raw_exec": {scheduler.CauseKilled, "The server was killed (signal 9); most often that means that it used more than its 64 MB of memory, " +
			"or that its machine ran out of memory. Start it with more memory."},
	} {
		s := open(t, c.options(t))
		spec := scheduler.Spec{ID: "a", Generation: 1, Resources: scheduler.Resources{MemoryMB: 32, MemoryMaxMB: 64}}
		spec.Workload = shell(driver, "exec tail /dev/zero") // one endless line, which it keeps
		c.start(t, s, spec)
		dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
		if dead.Cause != want.cause || dead.Reason != want.says {
			t.Errorf("%s: %q, %q; want %q", driver, dead.Cause, dead.Reason, want.says)
		}
		c.stop(t, s, "a")
	}
}

func (c *workloadCluster) testNodes(t *testing.T) {
	t.Parallel()
	nodes, err := open(t, c.options(t)).Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Pool == "default" && n.Ready && !n.Draining && n.CPU > 0 && n.MHzPerCore > 0 && n.MHzPerCore <= n.CPU && n.MemoryMB > 0 && n.DiskMB > 0 &&
			n.Datacenter == "dc1" && n.ID != "" && n.Name != "" && slices.Contains(n.Drivers, "exec") && slices.Contains(n.Drivers, "raw_exec") {
			return
		}
	}
	t.Errorf("nodes %+v", nodes)
}

// testSecondMachine is F12: a server for which there is no room waits, says why, and goes on by itself when a machine joins.
func (c *workloadCluster) testSecondMachine(t *testing.T) {
	s := open(t, c.options(t))
	ask := func(id string, mb int64) scheduler.Spec {
		w := shell("raw_exec", "sleep 600")
		w.Placement.NodePool = latePool
		return scheduler.Spec{ID: id, Generation: 1, Workload: w, Resources: scheduler.Resources{MemoryMB: mb, CPU: 20}}
	}
	forecast, err := s.Plan(t.Context(), ask("filler", 64))
	if err != nil || forecast.Verdict != scheduler.FitsNever || forecast.Reason != "There is no machine in pool late that may run it." {
		t.Errorf("a pool without machines: %+v, %v", forecast, err)
	}
	memory := c.addLate(t, "late-a").MemoryMB
	c.start(t, s, ask("filler", memory*3/4))
	awaitStatus(t, s, "filler", func(s scheduler.Status) bool { return s.State == scheduler.Running })

	spec := ask("a", memory/2)
	await(t, "the hub's knowledge of machines is as new", func() error {
		forecast, err = s.Plan(t.Context(), spec)
		if err == nil && forecast.Verdict != scheduler.FitsLater {
			err = fmt.Errorf("forecast %+v", forecast)
		}
		return err
	})
	if forecast.Resource != "memory" || forecast.Pool != latePool || !strings.HasPrefix(forecast.Reason, "It would wait: ") || !strings.Contains(forecast.Reason, "of memory asked") {
		t.Errorf("forecast %+v", forecast)
	}
	c.start(t, s, spec)
	blocked := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.Blocked })
	if blocked.Cause != scheduler.CauseExhausted || !strings.Contains(blocked.Reason, "of memory asked, the only node does not have it free.") {
		t.Errorf("blocked: %+v", blocked)
	}
	c.addLate(t, "late-b")
	running := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	if running.Node != "late-b" || running.Blocked || running.Cause != "" {
		t.Errorf("running: %+v", running)
	}
	c.stop(t, s, "a")
	c.stop(t, s, "filler")
}

// addLate adds a machine to the late pool and returns what it has.
func (c *workloadCluster) addLate(t *testing.T, name string) scheduler.Node {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(c.stack.Dir, name), 0o711); err != nil { //nolint:gosec // tasks of other accounts pass through
		t.Fatal(err)
	}
	node, err := c.stack.AddNode(t.Context(), stack.NodeOptions{Name: name, Pool: latePool})
	if err != nil {
		t.Fatal(err)
	}
	c.late = append(c.late, node)
	nodes, err := open(t, c.options(t)).Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.ID == node.ID {
			return n
		}
	}
	t.Fatalf("the machine %s is not among %+v", name, nodes)
	return scheduler.Node{}
}

// testPreempted lets work come that is more important than a server, where there is room for one of them only.
func (c *workloadCluster) testPreempted(t *testing.T) {
	c.configure(t, func(config *api.SchedulerConfiguration) { config.PreemptionConfig.ServiceSchedulerEnabled = true })
	s := open(t, c.options(t))
	ask := func(id string, priority int) scheduler.Spec {
		w := shell("raw_exec", "sleep 600")
		w.Placement.NodePool, w.Placement.Priority = latePool, priority
		w.Placement.Constraints = []scheduler.Constraint{{Attribute: "node.unique.name", Value: "late-a"}}
		return scheduler.Spec{ID: id, Generation: 1, Workload: w, Resources: scheduler.Resources{MemoryMB: c.memoryOf(t, s, "late-a") * 3 / 4, CPU: 20}}
	}
	c.start(t, s, ask("a", 30))
	awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	c.start(t, s, ask("b", 80))
	dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	if dead.Cause != scheduler.CausePreempted || !strings.Contains(dead.Reason, "make room for more important work") {
		t.Errorf("preempted: %+v", dead)
	}
	awaitStatus(t, s, "b", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	c.stop(t, s, "a")
	c.stop(t, s, "b")
}

func (c *workloadCluster) memoryOf(t *testing.T, s *nomad.Scheduler, name string) int64 {
	t.Helper()
	nodes, err := s.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Name == name {
			return n.MemoryMB
		}
	}
	t.Fatalf("no machine %s", name)
	return 0
}

// configure changes Nomad's scheduler until the test ends.
func (c *workloadCluster) configure(t *testing.T, change func(*api.SchedulerConfiguration)) {
	t.Helper()
	set := func(config api.SchedulerConfiguration) {
		if _, _, err := c.admin.Operator().SchedulerSetConfiguration(&config, nil); err != nil {
			t.Error(err)
		}
	}
	answer, _, err := c.admin.Operator().SchedulerGetConfiguration(nil)
	if err != nil {
		t.Fatal(err)
	}
	before := *answer.SchedulerConfig
	t.Cleanup(func() { set(before) })
	after := before
	change(&after)
	set(after)
}

func (c *workloadCluster) testAdvice(t *testing.T) {
	s := open(t, c.options(t))
	advice := func(spec scheduler.Spec) string {
		t.Helper()
		told, err := s.Advise(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(told, "\n")
	}
	limited := scheduler.Spec{
		Resources: scheduler.Resources{MemoryMB: 64, MemoryMaxMB: 2048, CPUGuarantee: 0.1, CPULimit: 1.5}, Workload: scheduler.Workload{Driver: "exec"},
	}
	const ignored = "the task notebook is held to the 64 MB that are reserved for it and not to its limit of 2 GB"
	if told := advice(limited); strings.Contains(told, "oversubscription") || !strings.Contains(told, "The driver exec holds no server to its processor limit of 1.5 cores") {
		t.Errorf("exec, with oversubscription:\n%s", told)
	}
	c.configure(t, func(config *api.SchedulerConfiguration) { config.MemoryOversubscriptionEnabled = false })
	if told := advice(limited); !strings.Contains(told, ignored) {
		t.Errorf("without oversubscription:\n%s", told)
	}
	if told := advice(scheduler.Spec{}); !strings.Contains(told, "does not isolate: all servers run as nobody") || strings.Contains(told, "oversubscription") {
		t.Errorf("raw_exec:\n%s", told)
	}
	limited.Workload = scheduler.Workload{Driver: "podman", Image: "registry.example.org/jupyter/base-notebook:1"}
	if told := advice(limited); !strings.Contains(told, "has the driver podman") || !strings.Contains(told, "1.5 cores are reserved for each server, and not the 0.1") {
		t.Errorf("podman:\n%s", told)
	}
	if told := advice(scheduler.Spec{Workload: scheduler.Workload{Driver: "exec"}}); told != "" {
		t.Errorf("nothing to say of exec, and told:\n%s", told)
	}
	if _, err := s.Advise(t.Context(), scheduler.Spec{Workload: scheduler.Workload{Image: "x"}}); err == nil {
		t.Error("an image for raw_exec: no rejection")
	}
}

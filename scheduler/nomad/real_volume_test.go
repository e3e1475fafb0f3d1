package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// volumePool is the node pool of the machines that volumes are made on here.
const volumePool = "volumes"

// volumeCluster is a cluster with two more machines, whose exec driver can mount volumes.
type volumeCluster struct {
	*cluster
	nodes []*stack.Node
}

// fullVolume is a static host volume of the machines, of a name that the hub's token may mount, which has room for next to nothing.
const fullVolume = "notebook-full"

// TestF50RealVolumes runs what is about volumes on two machines of a real Nomad.
func TestF50RealVolumes(t *testing.T) {
	t.Parallel()
	c := startVolumeCluster(t)
	t.Run("machines that stay", func(t *testing.T) {
		t.Run("suite", func(t *testing.T) { schedulertest.RunVolumes(t, c.newVolumeHarness) })
		t.Run("volumes are spread over the machines", c.testSpread)
		t.Run("what cannot be made is told in a sentence", c.testVolumeRefused)
		t.Run("two volumes of one name are not chosen between", c.testTwins)
		t.Run("a home stays, and its server stays where it is", c.testHomeStays)
		t.Run("a full disk is told in the log", c.testFullDisk)
		t.Run("CSI", c.testCSI)
	})
	t.Run("a machine that goes and comes back", c.testLostNode)
}

func startVolumeCluster(t *testing.T) *volumeCluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client with the exec driver must be root")
	}
	s := stack.NewOwn(t, stack.Options{})
	c := &volumeCluster{cluster: &cluster{consul: s.Consul, token: s.Nomad.Token}}
	c.admin = client(t, s.Nomad.Address, c.token)
	c.hub = client(t, s.Nomad.Address, c.hubToken(t))
	var set rootfs.Set
	if err := set.AddPrograms("/bin/sh", "cat", "dd", "mkdir", "sleep"); err != nil {
		t.Fatal(err)
	}
	set.WriteFile("/etc/passwd", 0o644, "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n")
	set.WriteFile("/etc/group", 0o644, "nogroup:x:65534:\n")
	root, full := openDir(t), smallDisk(t)
	if err := set.WriteDir(root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"volumes-a", "volumes-b"} {
		node, err := s.AddNode(t.Context(), stack.NodeOptions{Name: name, Pool: volumePool, Drivers: stack.Drivers{
			Chroot: map[string]string{root: "/"}, HostVolumes: map[string]string{fullVolume: full},
		}})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, node)
		t.Cleanup(func() {
			if err := node.Stop(); err != nil {
				t.Errorf("stop the node %s: %v", name, err)
			}
		})
	}
	return c
}

// smallDisk mounts a file system of 8 MB, until the test's other parts have ended.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := openDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func (c *volumeCluster) volume(id string) scheduler.Volume {
	return scheduler.Volume{
		ID: id, Kind: scheduler.MountDynamic, Parameters: map[string]string{"mode": "0770", "uid": "65534", "gid": "65534"},
		Placement: scheduler.Placement{NodePool: volumePool},
	}
}

func (c *volumeCluster) newVolumeHarness(t *testing.T) schedulertest.VolumeHarness {
	t.Helper()
	options := c.options(t)
	t.Cleanup(func() { c.deleteVolumes(t, options.JobPrefix) })
	return schedulertest.VolumeHarness{
		Keeper: open(t, options),
		Reopen: func(t *testing.T) scheduler.VolumeKeeper { return open(t, options) },
		Volume: c.volume,
	}
}

// deleteVolumes removes what a test made.
func (c *volumeCluster) deleteVolumes(t *testing.T, prefix string) {
	t.Helper()
	for _, stub := range c.volumesOf(t, prefix) {
		if _, _, err := c.admin.HostVolumes().Delete(&api.HostVolumeDeleteRequest{ID: stub.ID}, nil); err != nil {
			t.Errorf("delete the volume %s: %v", stub.Name, err)
		}
	}
}

func (c *volumeCluster) volumesOf(t *testing.T, prefix string) []*api.HostVolumeStub {
	t.Helper()
	stubs, _, err := c.admin.HostVolumes().List(nil, &api.QueryOptions{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return stubs
}

func (c *volumeCluster) keeper(t *testing.T) (*nomad.Scheduler, string) {
	t.Helper()
	options := c.options(t)
	t.Cleanup(func() { c.deleteVolumes(t, options.JobPrefix) })
	return open(t, options), options.JobPrefix
}

// testSpread makes volumes that may lie on either machine.
func (c *volumeCluster) testSpread(t *testing.T) {
	t.Parallel()
	keeper, _ := c.keeper(t)
	const many = 12
	states := make([]scheduler.VolumeState, many)
	var making sync.WaitGroup
	for i := range many {
		making.Go(func() {
			var err error
			if states[i], err = keeper.EnsureVolume(t.Context(), c.volume(fmt.Sprintf("spread-%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	making.Wait()
	on := map[string]int{}
	for _, state := range states {
		on[state.Node]++
	}
	if len(on) != len(c.nodes) {
		t.Errorf("twelve volumes are on %v", on)
	}
	picky := c.volume("picky")
	picky.Placement.Constraints = []scheduler.Constraint{{Attribute: "${node.unique.name}", Operator: "=", Value: c.nodes[1].Name()}}
	if state, err := keeper.EnsureVolume(t.Context(), picky); err != nil || state.Node != c.nodes[1].Name() || state.NodeID != c.nodes[1].ID {
		t.Errorf("a volume for %s: %+v, %v", c.nodes[1].Name(), state, err)
	}
}

// testVolumeRefused asks for what no machine can make.
func (c *volumeCluster) testVolumeRefused(t *testing.T) {
	t.Parallel()
	keeper, prefix := c.keeper(t)
	for name, test := range map[string]struct {
		change func(*scheduler.Volume)
		says   string
	}{
		"unknown plugin":    {func(v *scheduler.Volume) { v.Plugin = "no-such-plugin" }, "has the plugin no-such-plugin"},
		"unknown parameter": {func(v *scheduler.Volume) { v.Parameters = map[string]string{"size": "1G"} }, `unknown mkdir parameter: "size"`},
		"unknown pool":      {func(v *scheduler.Volume) { v.Placement.NodePool = "no-such-pool" }, "no machine of the pool no-such-pool takes new work"},
		"no datacenter":     {func(v *scheduler.Volume) { v.Placement.Datacenters = []string{"mars-*"} }, "no machine of the pool volumes takes new work"},
		"no machine": {func(v *scheduler.Volume) {
			v.Placement.Constraints = []scheduler.Constraint{{Attribute: "${attr.kernel.name}", Value: "plan9"}}
		}, "none of the 2 machines of the pool volumes meets its conditions"},
		"no such CSI plugin": {func(v *scheduler.Volume) { v.Kind, v.Plugin = scheduler.MountCSI, "ceph" }, `the cluster has no CSI plugin "ceph"`},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.volume("refused")
			test.change(&v)
			_, err := keeper.EnsureVolume(t.Context(), v)
			rejected, ok := errors.AsType[*scheduler.RejectedError](err)
			if !ok || !strings.Contains(rejected.Reason, test.says) {
				t.Errorf("got %v, want a *RejectedError that says %q", err, test.says)
			}
		})
	}
	if left := c.volumesOf(t, prefix); len(left) > 0 {
		t.Errorf("%d volumes were made", len(left))
	}
}

// testTwins makes two volumes of one name, as two hubs do of which one dies before it gives way.
func (c *volumeCluster) testTwins(t *testing.T) {
	t.Parallel()
	keeper, prefix := c.keeper(t)
	for _, node := range c.nodes {
		_, _, err := c.admin.HostVolumes().Create(&api.HostVolumeCreateRequest{Volume: &api.HostVolume{
			Namespace: namespace, Name: prefix + "twins", PluginID: "mkdir", NodeID: node.ID,
			RequestedCapabilities: []*api.HostVolumeCapability{{AttachmentMode: "file-system", AccessMode: "single-node-writer"}},
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := keeper.EnsureVolume(t.Context(), c.volume("twins"))
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, "cannot tell which is the right one") {
		t.Errorf("got %v, want a *RejectedError", err)
	}
	if left := c.volumesOf(t, prefix); len(left) != len(c.nodes) {
		t.Errorf("%d volumes are left; none may be deleted that could hold files", len(left))
	}
	if err := keeper.DeleteVolume(t.Context(), scheduler.MountDynamic, "twins"); err != nil {
		t.Fatal(err)
	}
}

// script is a server that runs the shell's text, with the mount at /home/x.
func (c *volumeCluster) script(generation int64, mount scheduler.Mount, text string) scheduler.Spec {
	mount.Name, mount.Path = "home", "/home/x"
	return scheduler.Spec{
		ID: "a", Generation: generation,
		Workload: scheduler.Workload{
			Driver: "exec", Command: "/bin/sh", Args: []string{"-c", text}, User: "nobody",
			Placement: scheduler.Placement{NodePool: volumePool}, Mounts: []scheduler.Mount{mount},
		},
	}
}

// counts writes one line more to a file in its home, prints them all, and stays.
const counts = "echo run >>/home/x/runs && cat /home/x/runs && echo counted && exec sleep 1000"

// runsPrinted waits until the server has counted, and returns how many runs it counted.
func runsPrinted(t *testing.T, s *nomad.Scheduler) (n int) {
	t.Helper()
	await(t, "the server has counted its runs", func() error {
		lines, err := s.LogTail(t.Context(), "a", 50)
		if err != nil {
			return err
		}
		if !slices.Contains(lines, "counted") {
			return fmt.Errorf("it printed %q", lines)
		}
		n = 0
		for _, line := range lines {
			if line == "run" {
				n++
			}
		}
		return nil
	})
	return n
}

func isRunning(s scheduler.Status) bool { return s.State == scheduler.Running }

// testHomeStays starts a server three times on its home, which is deleted in the end.
func (c *volumeCluster) testHomeStays(t *testing.T) {
	t.Parallel()
	s, prefix := c.keeper(t)
	t.Cleanup(func() { c.purge(t, prefix) })
	home, err := s.EnsureVolume(t.Context(), c.volume("home"))
	if err != nil {
		t.Fatal(err)
	}
	mount := scheduler.Mount{Kind: scheduler.MountDynamic, Source: home.Name}
	for generation := int64(1); generation <= 3; generation++ {
		c.start(t, s, c.script(generation, mount, counts))
		status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return isRunning(s) && s.Generation == generation })
		if got := runsPrinted(t, s); got != int(generation) || status.Node != home.Node {
			t.Errorf("run %d finds %d lines on %s, and the home is on %s", generation, got, status.Node, home.Node)
		}
		if state, err := s.VolumeByID(t.Context(), scheduler.MountDynamic, "home"); err != nil || !state.InUse || !state.Ready {
			t.Errorf("while its server runs, the home is %+v, %v", state, err)
		}
		err := s.DeleteVolume(t.Context(), scheduler.MountDynamic, "home")
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, "in use by "+prefix+"a") {
			t.Errorf("deleting what is in use: %v", err)
		}
		c.stop(t, s, "a")
	}
	folder := c.folder(t, home)
	if text, err := os.ReadFile(filepath.Join(folder, "runs")); err != nil || strings.Count(string(text), "run") != 3 {
		t.Errorf("on the machine there is %q, %v", text, err)
	}
	if err := s.DeleteVolume(t.Context(), scheduler.MountDynamic, "home"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after it was deleted, its folder is there: %v", err)
	}
}

// folder is where a volume is on its machine.
func (c *volumeCluster) folder(t *testing.T, state scheduler.VolumeState) string {
	t.Helper()
	stubs := c.volumesOf(t, state.Name)
	if len(stubs) != 1 {
		t.Fatalf("there are %d volumes %s", len(stubs), state.Name)
	}
	volume, _, err := c.admin.HostVolumes().Get(stubs[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return volume.HostPath
}

// testFullDisk fills a static host volume. What the server prints then is what the hub goes by.
func (c *volumeCluster) testFullDisk(t *testing.T) {
	t.Parallel()
	s, prefix := c.keeper(t)
	t.Cleanup(func() { c.purge(t, prefix) })
	mount := scheduler.Mount{Kind: scheduler.MountHost, Source: fullVolume}
	c.start(t, s, c.script(1, mount, "dd if=/dev/zero of=/home/x/big bs=1M count=16"))
	awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
	await(t, "the server has said why", func() error {
		lines, err := s.LogTail(t.Context(), "a", 20)
		if err == nil && !strings.Contains(strings.Join(lines, "\n"), "No space left on device") {
			err = fmt.Errorf("it printed %q", lines)
		}
		return err
	})
	c.stop(t, s, "a")
}

// testLostNode takes away the machine that a server's files are on: first new work, then the machine itself. The server waits for it, whatever other machine
// there is, and starts with its files when the machine is back.
func (c *volumeCluster) testLostNode(t *testing.T) {
	s, prefix := c.keeper(t)
	t.Cleanup(func() { c.purge(t, prefix) })
	home, err := s.EnsureVolume(t.Context(), c.volume("home"))
	if err != nil {
		t.Fatal(err)
	}
	node := c.nodes[slices.IndexFunc(c.nodes, func(n *stack.Node) bool { return n.ID == home.NodeID })]
	mount := scheduler.Mount{Kind: scheduler.MountDynamic, Source: home.Name}
	c.start(t, s, c.script(1, mount, counts))
	awaitStatus(t, s, "a", isRunning)
	runsPrinted(t, s)
	c.stop(t, s, "a")

	c.eligible(t, node, false)
	c.wantReason(t, s, home, "which takes no new servers at this moment")
	c.eligible(t, node, true)
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	c.awaitDown(t, node)
	c.wantReason(t, s, home, "which is not reachable. The server waits for it; nothing is lost.")
	if err := s.DeleteVolume(t.Context(), scheduler.MountDynamic, "home"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("deleting what is out of reach: %v", err)
	}
	c.start(t, s, c.script(2, mount, counts))
	waiting := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.Blocked })
	if waiting.Cause != scheduler.CauseVolume {
		t.Errorf("it waits because of %q: %s", waiting.Cause, waiting.Reason)
	}
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := c.awaitBack(t, s, node); status.Node != home.Node {
		t.Errorf("it runs on %s, and its files are on %s", status.Node, home.Node)
	}
	if n := runsPrinted(t, s); n != 2 {
		t.Errorf("it finds %d runs", n)
	}
	c.stop(t, s, "a")
	await(t, "the home is ready", func() error {
		state, err := s.EnsureVolume(t.Context(), c.volume("home"))
		if err == nil && (!state.Ready || state.Name != home.Name || state.NodeID != home.NodeID) {
			err = fmt.Errorf("it is %+v", state)
		}
		return err
	})
}

// awaitBack waits until the server runs on the machine that has come back, which Nomad learns in steps. On a busy machine Nomad 1.11 has been seen to go on calling
// the volume unavailable for minutes, until the client was started once more; docs/how-to/storage.md tells operators so, and this does as they would.
func (c *volumeCluster) awaitBack(t *testing.T, s *nomad.Scheduler, node *stack.Node) scheduler.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	restart := time.NewTicker(75 * time.Second)
	defer restart.Stop()
	for {
		status, err := s.Status(ctx, "a")
		if err == nil && isRunning(status) {
			return status
		}
		select {
		case <-again.C:
		case <-restart.C:
			state, err := s.VolumeByID(t.Context(), scheduler.MountDynamic, "home")
			t.Logf("the machine is back and its volume is %+v, %v: its Nomad client is started once more", state, err)
			if err := errors.Join(node.Kill(), node.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			state, volumeErr := s.VolumeByID(t.Context(), scheduler.MountDynamic, "home")
			t.Fatalf("it does not run: %+v, %v; its volume is %+v, %v", status, err, state, volumeErr)
		}
	}
}

func (c *volumeCluster) eligible(t *testing.T, node *stack.Node, yes bool) {
	t.Helper()
	if _, err := c.admin.Nodes().ToggleEligibility(node.ID, yes, nil); err != nil {
		t.Fatal(err)
	}
}

// wantReason asks for a volume that is there and cannot be used at this moment.
func (c *volumeCluster) wantReason(t *testing.T, s *nomad.Scheduler, home scheduler.VolumeState, says string) {
	t.Helper()
	state, err := s.EnsureVolume(t.Context(), c.volume(home.ID))
	if err != nil || state.Ready || state.Name != home.Name || state.NodeID != home.NodeID || !strings.Contains(state.Reason, home.Node+", "+says) {
		t.Errorf("got %+v, %v, want a reason that says %q", state, err, says)
	}
}

// awaitDown waits until Nomad takes the machine for lost, which it does half a minute after the last sign of it.
func (c *volumeCluster) awaitDown(t *testing.T, node *stack.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var index uint64
	for {
		got, meta, err := c.admin.Nodes().Info(node.ID, (&api.QueryOptions{WaitIndex: index}).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == api.NodeStatusDown {
			return
		}
		index = meta.LastIndex
	}
}

package nomad_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

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

// TestRealVolumes runs what is about volumes on two machines of a real Nomad.
func TestRealVolumes(t *testing.T) {
	t.Parallel()
	c := startVolumeCluster(t)
	t.Run("machines that stay", func(t *testing.T) {
		t.Run("suite", func(t *testing.T) { schedulertest.RunVolumes(t, c.newVolumeHarness) })
		t.Run("volumes are spread over the machines", c.testSpread)
		t.Run("what cannot be made is told in a sentence", c.testVolumeRefused)
		t.Run("two volumes of one name are not chosen between", c.testTwins)
	})
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
	if err := set.AddPrograms("/bin/sh", "cat", "dd", "ls", "sleep"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"volumes-a", "volumes-b"} {
		node, err := s.AddNode(t.Context(), stack.NodeOptions{Name: name, Pool: volumePool, Drivers: stack.Drivers{Chroot: set.Chroot()}})
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
	on := map[string]int{}
	for i := range 12 {
		state, err := keeper.EnsureVolume(t.Context(), c.volume(fmt.Sprintf("spread-%d", i)))
		if err != nil {
			t.Fatal(err)
		}
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

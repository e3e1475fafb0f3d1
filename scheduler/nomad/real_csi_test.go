package nomad_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// folders is the ID of the CSI plugin that the machines run; see internal/stack/tools/csi.
const folders = "folders"

// storageMB is what the plugin lets volumes hold together.
const storageMB = 8192

// csiCluster is a cluster on whose machines a CSI plugin runs as a job.
type csiCluster struct {
	*volumeCluster
	root string // the storage behind the plugin
}

// testCSI runs what is about CSI volumes.
func (c *volumeCluster) testCSI(t *testing.T) {
	t.Parallel()
	csi := &csiCluster{c, openDir(t)}
	for _, node := range c.nodes {
		csi.runPlugin(t, node)
	}
	csi.awaitPlugin(t)
	t.Run("suite", func(t *testing.T) {
		schedulertest.RunVolumes(t, func(t *testing.T) schedulertest.VolumeHarness {
			t.Helper()
			options := c.options(t)
			t.Cleanup(func() { csi.deleteAll(t, options.JobPrefix) })
			return schedulertest.VolumeHarness{
				Keeper: open(t, options),
				Reopen: func(t *testing.T) scheduler.VolumeKeeper { return open(t, options) },
				Volume: csi.volume,
			}
		})
	})
	t.Run("a home stays, and follows its server", csi.testHomeFollows)
	t.Run("what the plugin refuses is told in a sentence", csi.testRefused)
	t.Run("a volume that cannot be attached ends its server with a reason", csi.testNotAttached)
}

// runPlugin has a machine run the plugin, without a container: then the plugin mounts where Nomad itself looks.
func (c *csiCluster) runPlugin(t *testing.T, node *stack.Node) {
	t.Helper()
	task := api.NewTask("plugin", "raw_exec")
	task.SetConfig("command", stack.Program(t, "csi"))
	task.SetConfig("args", []string{"-root=" + c.root, "-node=" + node.Name(), fmt.Sprintf("-capacity=%d", storageMB)})
	task.Require(&api.Resources{CPU: new(50), MemoryMB: new(64)})
	task.CSIPluginConfig = &api.TaskCSIPluginConfig{
		ID: folders, Type: api.CSIPluginTypeMonolith, MountDir: "/csi",
		StagePublishBaseDir: filepath.Join(node.Dir, "client", "csi", "monolith", folders), HealthTimeout: time.Minute,
	}
	job := api.NewServiceJob("plugin-"+node.Name(), "plugin-"+node.Name(), "global", 80)
	job.Namespace, job.NodePool = new(namespace), new(volumePool)
	job.Constrain(api.NewConstraint("${node.unique.name}", "=", node.Name()))
	group := api.NewTaskGroup("plugin", 1)
	group.EphemeralDisk = &api.EphemeralDisk{SizeMB: new(60)}
	task.LogConfig = &api.LogConfig{MaxFiles: new(2), MaxFileSizeMB: new(5)}
	job.AddTaskGroup(group.AddTask(task))
	if _, _, err := c.admin.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := c.admin.Jobs().Deregister(*job.ID, true, nil); err != nil {
			t.Error(err)
		}
	})
}

func (c *csiCluster) awaitPlugin(t *testing.T) {
	t.Helper()
	awaitFor(t, "the plugin is healthy on all machines", 2*time.Minute, func() error {
		plugin, _, err := c.admin.CSIPlugins().Info(folders, nil)
		if err == nil && (plugin.ControllersHealthy != len(c.nodes) || plugin.NodesHealthy != len(c.nodes)) {
			err = fmt.Errorf("%d controllers, %d nodes", plugin.ControllersHealthy, plugin.NodesHealthy)
		}
		return err
	})
}

func (c *csiCluster) volume(id string) scheduler.Volume {
	return scheduler.Volume{ID: id, Kind: scheduler.MountCSI, Plugin: folders, MinMB: 64, MaxMB: 128}
}

// deleteAll removes what a test made.
func (c *csiCluster) deleteAll(t *testing.T, prefix string) {
	t.Helper()
	stubs, _, err := c.admin.CSIVolumes().List(&api.QueryOptions{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	for _, stub := range stubs {
		awaitFor(t, "the volume "+stub.ID+" is deleted", 2*time.Minute, func() error {
			return c.admin.CSIVolumes().DeleteOpts(&api.CSIVolumeDeleteRequest{ExternalVolumeID: stub.ID}, nil)
		})
	}
}

func (c *csiCluster) keeper(t *testing.T) (*nomad.Scheduler, string) {
	t.Helper()
	options := c.options(t)
	t.Cleanup(func() { c.deleteAll(t, options.JobPrefix) })
	return open(t, options), options.JobPrefix
}

// kept are the files of that name in the storage behind the plugin.
func (c *csiCluster) kept(t *testing.T, name string) []string {
	t.Helper()
	found, err := fs.Glob(os.DirFS(c.root), "volumes/*/files/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// testHomeFollows starts a server on its home on one machine, then on the other, and deletes the home in the end.
func (c *csiCluster) testHomeFollows(t *testing.T) {
	t.Parallel()
	s, prefix := c.keeper(t)
	t.Cleanup(func() { c.purge(t, prefix) })
	home, err := s.EnsureVolume(t.Context(), c.volume("home"))
	if err != nil || home.CapacityMB != 64 {
		t.Fatalf("%+v, %v", home, err)
	}
	for generation, node := range c.nodes {
		generation := int64(generation + 1)
		spec := c.script(generation, scheduler.Mount{Kind: scheduler.MountCSI, Source: home.Name}, strings.ReplaceAll(counts, "runs", "runs-of-home"))
		spec.Workload.Placement.Constraints = []scheduler.Constraint{{Attribute: "${node.unique.name}", Operator: "=", Value: node.Name()}}
		c.start(t, s, spec)
		status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return isRunning(s) && s.Generation == generation })
		if got := runsPrinted(t, s); got != int(generation) || status.Node != node.Name() {
			t.Errorf("run %d on %s finds %d lines", generation, status.Node, got)
		}
		if state, err := s.VolumeByID(t.Context(), scheduler.MountCSI, "home"); err != nil || !state.InUse || !state.Ready {
			t.Errorf("while its server runs, the home is %+v, %v", state, err)
		}
		err := s.DeleteVolume(t.Context(), scheduler.MountCSI, "home")
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, "in use by "+prefix+"a") {
			t.Errorf("deleting what is in use: %v", err)
		}
		c.stop(t, s, "a")
	}
	if found := c.kept(t, "runs-of-home"); len(found) != 1 {
		t.Errorf("in the storage there are %q", found)
	}
	if err := s.DeleteVolume(t.Context(), scheduler.MountCSI, "home"); err != nil {
		t.Fatal(err)
	}
	if found := c.kept(t, "runs-of-home"); len(found) != 0 {
		t.Errorf("after it was deleted, there are %q", found)
	}
}

// testRefused asks for what the plugin does not make.
func (c *csiCluster) testRefused(t *testing.T) {
	t.Parallel()
	s, _ := c.keeper(t)
	for name, test := range map[string]struct {
		change func(*scheduler.Volume)
		want   []string
	}{
		"more than there is": {
			func(v *scheduler.Volume) { v.MinMB, v.MaxMB = storageMB+1, 0 },
			[]string{"the storage has no room of that size left", fmt.Sprintf("The storage says: %d MB are more than the storage has.", storageMB+1)},
		},
		"an unknown parameter": {
			func(v *scheduler.Volume) { v.Parameters = map[string]string{"tier": "gold"} },
			[]string{`The volume for the server's files cannot be made: The storage says: There is no parameter "tier".`},
		},
		"a way of access it has not": {
			func(v *scheduler.Volume) { v.AccessMode = string(api.CSIVolumeAccessModeMultiNodeMultiWriter) },
			[]string{"cannot be made: The storage says: A volume is a file system that one machine mounts."},
		},
		"another plugin": {
			func(v *scheduler.Volume) { v.Plugin = "ceph" },
			[]string{`the cluster has no CSI plugin "ceph"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.volume("refused")
			test.change(&v)
			_, err := s.EnsureVolume(t.Context(), v)
			rejected, ok := errors.AsType[*scheduler.RejectedError](err)
			if !ok {
				t.Fatalf("got %v, want a *RejectedError", err)
			}
			for _, part := range test.want {
				if !strings.Contains(rejected.Reason, part) {
					t.Errorf("%q does not say %q", rejected.Reason, part)
				}
			}
		})
	}
	if _, err := s.VolumeByID(t.Context(), scheduler.MountCSI, "refused"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("a volume that was refused: %v", err)
	}
}

// testNotAttached is F50: the storage fails when a server's volume is attached, or mounted.
func (c *csiCluster) testNotAttached(t *testing.T) {
	t.Parallel()
	for refuse, says := range map[string]string{"attach": "cannot be attached: its storage does not answer.", "mount": "cannot be mounted: bad superblock."} {
		t.Run(refuse, func(t *testing.T) {
			t.Parallel()
			s, prefix := c.keeper(t)
			t.Cleanup(func() { c.purge(t, prefix) })
			v := c.volume("broken")
			v.Parameters = map[string]string{"refuse": refuse}
			home, err := s.EnsureVolume(t.Context(), v)
			if err != nil {
				t.Fatal(err)
			}
			c.start(t, s, c.script(1, scheduler.Mount{Kind: scheduler.MountCSI, Source: home.Name}, counts))
			dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
			if dead.Cause != scheduler.CauseVolume || !strings.Contains(dead.Reason, "could not be attached to it") || !strings.Contains(dead.Reason, "The storage says: ") || !strings.HasSuffix(dead.Reason, says) {
				t.Errorf("cause %q, reason %q", dead.Cause, dead.Reason)
			}
			c.stop(t, s, "a")
		})
	}
}

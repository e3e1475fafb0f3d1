package nomad

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// mounts makes the server's volumes part of its group and shows them to its task.
func (o overlay) mounts() error {
	if size := o.spec.Resources.DiskMB; size > 0 {
		o.disk().SizeMB = new(int(size))
	}
	paths := make(map[string]string)
	for _, m := range o.spec.Workload.Mounts {
		switch m.Kind {
		case scheduler.MountHost, scheduler.MountDynamic, scheduler.MountCSI:
			o.request(m)
		case scheduler.MountSticky:
			o.disk().Sticky, o.disk().Migrate = new(true), new(true)
		case scheduler.MountDocker: // is the task's own
		}
		paths[m.Name] = m.Path
	}
	return o.mountInto(o.task, paths)
}

// disk returns the allocation's own disk.
func (o overlay) disk() *api.EphemeralDisk {
	if o.group.EphemeralDisk == nil {
		o.group.EphemeralDisk = &api.EphemeralDisk{}
	}
	return o.group.EphemeralDisk
}

// request asks for a volume of the cluster.
func (o overlay) request(m scheduler.Mount) {
	if o.group.Volumes == nil {
		o.group.Volumes = make(map[string]*api.VolumeRequest)
	}
	volume := &api.VolumeRequest{
		Name: m.Name, Type: "host", Source: m.Source, ReadOnly: m.ReadOnly,
		// Nomad chooses for host volumes: it knows only later whether one is static.
		AccessMode: m.AccessMode, AttachmentMode: m.AttachmentMode,
	}
	if m.Kind == scheduler.MountCSI {
		volume.Type = "csi"
		mode := map[bool]string{true: "single-node-reader-only", false: "single-node-writer"}[m.ReadOnly]
		volume.AccessMode = cmp.Or(m.AccessMode, mode)
		volume.AttachmentMode = cmp.Or(m.AttachmentMode, "file-system")
	}
	o.group.Volumes[m.Name] = volume
}

// mountInto shows mounts, by their names, to one task at the given paths.
func (o overlay) mountInto(task *api.Task, paths map[string]string) error {
	kind, known := driverNamed(task.Driver)
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		at := slices.IndexFunc(o.spec.Workload.Mounts, func(m scheduler.Mount) bool { return m.Name == name })
		m, path := o.spec.Workload.Mounts[at], paths[name]
		if known && !kind.mounts {
			return refuse("The driver %q shows no volumes to what it runs, so the mount %q is not possible. Choose the driver exec, docker or podman.", task.Driver, name)
		}
		switch m.Kind {
		case scheduler.MountDocker:
			if task.Driver != driverDocker {
				return refuse("The mount %q is a volume of the Docker engine, which the driver %q does not have.", name, task.Driver)
			}
			addMount(task, map[string]any{"type": "volume", "source": m.Source, "target": path, "readonly": m.ReadOnly})
		case scheduler.MountSticky:
			if err := stickyInto(task, name, path); err != nil {
				return err
			}
		default:
			addVolumeMount(task, m, path)
		}
	}
	return nil
}

func addVolumeMount(task *api.Task, m scheduler.Mount, path string) {
	// A mount of the template at the same path, or of the same volume, gives way.
	task.VolumeMounts = slices.DeleteFunc(task.VolumeMounts, func(other *api.VolumeMount) bool {
		return other.Destination != nil && *other.Destination == path || other.Volume != nil && *other.Volume == m.Name
	})
	task.VolumeMounts = append(task.VolumeMounts, &api.VolumeMount{Volume: new(m.Name), Destination: new(path), ReadOnly: new(m.ReadOnly)})
}

// addMount adds to the mounts of Docker's driver.
func addMount(task *api.Task, mount map[string]any) {
	var all []any
	switch before := task.Config["mount"].(type) {
	case []any:
		all = slices.Clone(before)
	case []map[string]any:
		for _, m := range before {
			all = append(all, m)
		}
	case map[string]any:
		all = append(all, before)
	}
	task.Config["mount"] = append(all, mount)
}

// ownDisk is where Nomad keeps the part of the allocation's disk that goes on to its next run: in the folder that all tasks share.
const ownDisk = "/alloc/data"

// stickyInto shows the allocation's own disk at a path. Container engines bind it there; others show it where Nomad puts it.
func stickyInto(task *api.Task, name, path string) error {
	switch {
	case task.Driver == driverDocker:
		addMount(task, map[string]any{"type": "bind", "source": "../alloc/data", "target": path, "readonly": false})
	case task.Driver == driverPodman:
		volumes, _ := task.Config["volumes"].([]any)
		task.Config["volumes"] = append(slices.Clone(volumes), "../alloc/data:"+path)
	case path != ownDisk && !strings.HasPrefix(path, ownDisk+"/"):
		return refuse("The driver %q shows the server's own disk at %s and nowhere else; the mount %q must be there.", task.Driver, ownDisk, name)
	}
	return nil
}

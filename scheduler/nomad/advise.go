package nomad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Advise implements scheduler.Advisor. What the cluster ignores it learns from the warnings of a dry run, which needs no right beyond those
// of a start; which drivers there are it can tell only with the right to read nodes.
func (s *Scheduler) Advise(ctx context.Context, spec scheduler.Spec) ([]string, error) {
	job, answer, err := s.dryRun(ctx, spec)
	if errors.Is(err, errNoPlans) { // then nobody warns of what is ignored
		answer, err = &api.JobPlanResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	group, task, err := notebookTask(job)
	if err != nil {
		return nil, err
	}
	advice := slices.Concat(adviseMemory(job, task, answer.Warnings), adviseDriver(task, spec.Resources), adviseVolumes(group, task, spec.Workload.Mounts), adviseSticky(spec.Workload.Mounts))
	nodes, err := s.recentNodes(ctx)
	switch {
	case isForbidden(err):
		return advice, nil
	case err != nil:
		return nil, err
	}
	return append(advice, adviseNodes(job, poolOf(nodes, job))...), nil
}

// oversubscription is how Nomad's warning about an ignored memory_max begins.
const oversubscription = "Memory oversubscription is not enabled"

func adviseMemory(job *api.Job, task *api.Task, warnings string) (advice []string) {
	for _, group := range job.TaskGroups {
		for _, t := range group.Tasks {
			r := t.Resources
			if r == nil || value(r.MemoryMaxMB) <= value(r.MemoryMB) || !strings.Contains(warnings, oversubscription) {
				continue
			}
			advice = append(advice, fmt.Sprintf(
				"Memory oversubscription is off in Nomad's scheduler configuration: the task %s is held to the %s that are reserved for it and not to its limit of %s. "+
					"Switch it on (nomad operator scheduler set-config -memory-oversubscription=true), or reserve as much as the limit.",
				t.Name, scheduler.Megabytes(int64(value(r.MemoryMB))), scheduler.Megabytes(int64(value(r.MemoryMaxMB)))))
		}
	}
	if task.Driver == driverRawExec && value(task.Resources.MemoryMB) > 0 {
		advice = append(advice, "The driver raw_exec holds servers to their memory only where Nomad's client is 1.7 or newer and runs as root; elsewhere what is asked for is only reserved.")
	}
	return advice
}

func adviseDriver(task *api.Task, ask scheduler.Resources) (advice []string) {
	if task.Driver == driverRawExec {
		account := "as " + task.User
		if task.User == "" {
			account = "with the rights of Nomad itself"
		}
		advice = append(advice, fmt.Sprintf(
			"The driver raw_exec does not isolate: all servers run %s on the machine and can reach each other's files and processes. "+
				"For users who do not trust each other choose docker, podman or exec.", account))
	}
	kind, _ := driverNamed(task.Driver)
	switch {
	case ask.CPULimit == 0 || ask.Cores > 0:
	case !kind.container:
		advice = append(advice, fmt.Sprintf(
			"The driver %s holds no server to its processor limit of %g cores: it may use what is free. Ask for whole cores, or choose docker or podman.",
			task.Driver, ask.CPULimit))
	case ask.CPUGuarantee < ask.CPULimit && ask.CPU == 0:
		advice = append(advice, fmt.Sprintf(
			"Nomad's driver %s holds a container to the processor that is reserved for it. So %g cores are reserved for each server, and not the %g that are guaranteed. "+
				"Leave the limit out to let servers share what is free.", task.Driver, ask.CPULimit, ask.CPUGuarantee))
	}
	return advice
}

// adviseVolumes tells of volumes that the jobspec itself shows to every server for writing. What the driver exec runs is one account for all, which may read
// what it wrote for others. Containers' accounts are their images'.
func adviseVolumes(group *api.TaskGroup, task *api.Task, ours []scheduler.Mount) (advice []string) {
	if task.Driver != driverExec {
		return nil
	}
	for _, mount := range task.VolumeMounts {
		if mount.Volume == nil || mount.ReadOnly != nil && *mount.ReadOnly {
			continue
		}
		name := *mount.Volume
		volume := group.Volumes[name]
		own := slices.ContainsFunc(ours, func(m scheduler.Mount) bool { return m.Name == name })
		if own || volume == nil || volume.ReadOnly {
			continue
		}
		advice = append(advice, fmt.Sprintf(
			"The jobspec shows all of the volume %s to every server, and all servers run as %s: users can read each other's files in it. "+
				"For users who do not trust each other give each a volume of kind dynamic or csi in the profile.", volume.Source, task.User))
	}
	return advice
}

// adviseSticky tells of disks that look as if files stayed on them: Nomad takes them along where it replaces an allocation, and never from a server that was
// stopped to one that was started. What is called after something that may be lost is left alone.
func adviseSticky(mounts []scheduler.Mount) (advice []string) {
	for _, m := range mounts {
		called := strings.ToLower(m.Name + " " + m.Path)
		if m.Kind != scheduler.MountSticky || slices.ContainsFunc([]string{"cache", "scratch", "tmp", "temp"}, func(word string) bool { return strings.Contains(called, word) }) {
			continue
		}
		advice = append(advice, fmt.Sprintf(
			"The volume %s at %s is of kind sticky, the server's own disk. Nomad throws it away when the server is stopped, by its user or for idleness, so files in it do not stay: "+
				"it is no home. Choose the kind dynamic or csi; if what is in it may be lost, call it cache, scratch or tmp.", m.Name, m.Path))
	}
	return advice
}

// adviseNodes tells what no machine that takes work now has.
func adviseNodes(job *api.Job, eligible []scheduler.Node) (advice []string) {
	where := inPool(poolName(job))
	ready := slices.DeleteFunc(slices.Clone(eligible), func(n scheduler.Node) bool { return !n.Ready })
	if len(ready) == 0 {
		return []string{"No machine" + where + " is ready to run servers."}
	}
	for _, driver := range demandOf(job).drivers {
		if !slices.ContainsFunc(ready, func(n scheduler.Node) bool { return slices.Contains(n.Drivers, driver) }) {
			advice = append(advice, fmt.Sprintf("No machine%s that is ready has the driver %s: install it there, or choose another one.", where, driver))
		}
	}
	return advice
}

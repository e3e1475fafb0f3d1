package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Plan implements scheduler.Planner with Nomad's dry run of the very job that a start would register. It needs no right beyond those of a
// start; with the right to read nodes it also tells what can never fit from what has no room now. A Spec without ID is planned as a new server.
func (s *Scheduler) Plan(ctx context.Context, spec scheduler.Spec) (scheduler.Forecast, error) {
	job, answer, err := s.dryRun(ctx, spec)
	if errors.Is(err, errNoPlans) {
		return s.forecastWithoutPlan(ctx, job, err)
	}
	if err != nil {
		return scheduler.Forecast{}, err
	}
	found := obstacleOf(answer.FailedTGAllocs)
	pool := poolName(job)
	if found == nil {
		return scheduler.Forecast{Verdict: scheduler.FitsNow, Pool: pool}, nil
	}
	nodes, err := s.recentNodes(ctx)
	if err != nil && !isForbidden(err) {
		return scheduler.Forecast{}, err
	}
	return forecast(job, *found, pool, nodes, err == nil), nil
}

// errNoPlans says that this Nomad makes no plans for this hub, whatever the job.
var errNoPlans = errors.New("Nomad before 2.0 makes no plans for a workload identity; give the hub a token (nomad_creds in hub.nomad.hcl)") //nolint:staticcheck // ST1005: Nomad is a name

// forecastWithoutPlan tells what can be told without a plan: that Nomad would refuse the job, or that no machine is large enough. For
// everything else the answer is not known, and why is returned.
func (s *Scheduler) forecastWithoutPlan(ctx context.Context, job *api.Job, why error) (scheduler.Forecast, error) {
	if err := s.validate(ctx, job); err != nil {
		return scheduler.Forecast{}, err
	}
	nodes, err := s.recentNodes(ctx)
	if err != nil {
		return scheduler.Forecast{}, errors.Join(why, err)
	}
	pool := poolName(job)
	if resource, reason := neverFits(demandOf(job), poolOf(nodes, job), pool); reason != "" {
		return scheduler.Forecast{Verdict: scheduler.FitsNever, Reason: reason, Resource: resource, Pool: pool}, nil
	}
	return scheduler.Forecast{}, why
}

// dryRun composes the job of a Spec and asks Nomad what would become of it. It returns the job also with errNoPlans.
func (s *Scheduler) dryRun(ctx context.Context, spec scheduler.Spec) (*api.Job, *api.JobPlanResponse, error) {
	spec.ID, spec.Generation = cmp.Or(spec.ID, "plan"), max(spec.Generation, 1)
	if err := spec.Validate(); err != nil {
		return nil, nil, err
	}
	job, err := s.compose(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	answer, _, err := s.client.Jobs().PlanOpts(job, &api.PlanOptions{}, s.write(ctx))
	if err == nil {
		return job, answer, nil
	}
	switch code := statusCode(err); {
	case ctx.Err() != nil:
	case code == http.StatusBadRequest:
		return nil, nil, misconfigured(body(err), err)
	case code == http.StatusForbidden:
		if rejected := s.whyForbidden(ctx, job, err); rejected != nil {
			return nil, nil, rejected
		}
	case code == http.StatusInternalServerError && strings.Contains(body(err), "acl token lookup failed"):
		return job, nil, fmt.Errorf("nomad: planning the job: %w: %w: %w", scheduler.ErrUnavailable, errNoPlans, err)
	case code == http.StatusInternalServerError:
		// As when a job is registered: the validation tells a job that Nomad will never take from Nomad's own trouble.
		if rejected := s.validate(ctx, job); rejected != nil {
			return nil, nil, rejected
		}
	}
	return nil, nil, translate(ctx, "planning the job", err)
}

// isForbidden reports whether Nomad refused for want of a right.
func isForbidden(err error) bool {
	return err != nil && statusCode(err) == http.StatusForbidden && errors.Is(err, scheduler.ErrUnavailable)
}

// forecast decides between "not now" and "never". surveyed is false where the hub may not read nodes.
func forecast(job *api.Job, found obstacle, pool string, nodes []scheduler.Node, surveyed bool) scheduler.Forecast {
	answer := scheduler.Forecast{Verdict: scheduler.FitsLater, Resource: found.resource, Pool: pool}
	if surveyed {
		eligible := poolOf(nodes, job)
		if resource, reason := neverFits(demandOf(job), eligible, pool); reason != "" {
			answer.Verdict, answer.Resource, answer.Reason = scheduler.FitsNever, resource, reason
			return answer
		}
		if found.filtered && found.nodes > 0 && !slices.ContainsFunc(eligible, func(n scheduler.Node) bool { return !n.Ready }) {
			answer.Verdict = scheduler.FitsNever
		}
	} else if found.filtered && found.nodes > 0 {
		answer.Verdict = scheduler.FitsNever
	}
	start := map[scheduler.Verdict]string{scheduler.FitsLater: "It would wait: ", scheduler.FitsNever: "It can never start: "}[answer.Verdict]
	answer.Reason = start + found.reason
	return answer
}

// demand is what a job needs of one machine at the least.
type demand struct {
	drivers            []string
	cpu, cores, memory int64
	disk               int64
	devices            map[string]int64
}

// demandOf adds up the tasks that run at the same time: the server and what runs beside it, not what runs before or after.
func demandOf(job *api.Job) demand {
	d := demand{devices: make(map[string]int64)}
	for _, group := range job.TaskGroups {
		if group.EphemeralDisk != nil {
			d.disk += int64(value(group.EphemeralDisk.SizeMB))
		}
		for _, task := range group.Tasks {
			if !slices.Contains(d.drivers, task.Driver) {
				d.drivers = append(d.drivers, task.Driver)
			}
			if l := task.Lifecycle; task.Resources == nil || l != nil && (!l.Sidecar || l.Hook == api.TaskLifecycleHookPoststop) {
				continue
			}
			d.cpu += int64(value(task.Resources.CPU))
			d.cores += int64(value(task.Resources.Cores))
			d.memory += int64(value(task.Resources.MemoryMB))
			for _, device := range task.Resources.Devices {
				count := int64(1)
				if device.Count != nil {
					count = int64(min(*device.Count, 1<<30)) //nolint:gosec // G115: bounded
				}
				d.devices[device.Name] += count
			}
		}
	}
	slices.Sort(d.drivers)
	return d
}

// neverFits names the first thing that no machine has, even if empty; reason is "" if for each thing there is one that has it.
func neverFits(d demand, nodes []scheduler.Node, pool string) (resource, reason string) {
	where := "No machine of the cluster"
	if named := inPool(pool); named != "" {
		where = "No machine" + named
	}
	if len(nodes) == 0 {
		return "", strings.Replace(where, "No machine", "There is no machine", 1) + " that may run it."
	}
	none := func(has func(scheduler.Node) bool) bool { return !slices.ContainsFunc(nodes, has) }
	for _, driver := range d.drivers {
		if none(func(n scheduler.Node) bool { return slices.Contains(n.Drivers, driver) }) {
			return "driver", fmt.Sprintf("%s has the driver %s.", where, driver)
		}
	}
	for name, count := range d.devices {
		if none(func(n scheduler.Node) bool { return devicesNamed(n, name) >= count }) {
			return name, fmt.Sprintf("%s has %d of the device %s.", where, count, name)
		}
	}
	switch {
	case none(func(n scheduler.Node) bool { return n.MemoryMB >= d.memory }):
		return "memory", fmt.Sprintf("%s has %s of memory.", where, scheduler.Megabytes(d.memory))
	case none(func(n scheduler.Node) bool { return int64(n.CPU) >= d.cpu }):
		return "cpu", fmt.Sprintf("%s has %d MHz of processor.", where, d.cpu)
	case none(func(n scheduler.Node) bool { return n.MHzPerCore == 0 || int64(n.CPU/n.MHzPerCore) >= d.cores }):
		return "cpu", fmt.Sprintf("%s has %s.", where, plural(int(d.cores), "processor core"))
	case none(func(n scheduler.Node) bool { return n.DiskMB >= d.disk }):
		return "disk", fmt.Sprintf("%s has %s of disk.", where, scheduler.Megabytes(d.disk))
	case none(func(n scheduler.Node) bool {
		return n.MemoryMB >= d.memory && int64(n.CPU) >= d.cpu && n.DiskMB >= d.disk
	}):
		return "memory", fmt.Sprintf("%s has %s of memory and %d MHz of processor together.", where, scheduler.Megabytes(d.memory), d.cpu)
	}
	return "", ""
}

// devicesNamed counts the machine's devices that match a name of the form TYPE, VENDOR/TYPE or VENDOR/TYPE/MODEL.
func devicesNamed(n scheduler.Node, name string) (count int64) {
	for full, healthy := range n.Devices {
		vendor, rest, _ := strings.Cut(full, "/")
		kind, _, _ := strings.Cut(rest, "/")
		if name == kind || name == vendor+"/"+kind || name == full {
			count += int64(healthy)
		}
	}
	return count
}

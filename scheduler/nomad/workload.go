package nomad

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// overlay lays a Spec's workload and resources over the job that came of the operator's jobspec: field by field, as typed values, and only
// those that are set. What one driver cannot do is refused; see driver.go for what each can.
type overlay struct {
	job   *api.Job
	group *api.TaskGroup
	task  *api.Task
	spec  scheduler.Spec
}

func (o overlay) apply() error {
	w := o.spec.Workload
	if len(w.Tasks) > 0 && o.task.Name != taskName {
		return refuse("The jobspec's task is named %q. For tasks beside it, it must be named %q.", o.task.Name, taskName)
	}
	own := program{
		driver: w.Driver, image: w.Image, command: w.Command, args: w.Args, user: w.User, workDir: w.WorkDir, config: w.Config,
		pull: w.PullTimeout,
	}
	if err := own.over(o.task); err != nil {
		return err
	}
	setResources(o.task, o.spec.Resources)
	limitCPU(o.task, o.spec.Resources)
	o.place()
	o.life()
	for _, step := range []func() error{o.network, o.mounts, o.tasks} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// refuse says that this scheduler cannot do what a profile asks for.
func refuse(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	return &scheduler.RejectedError{Reason: reason, Err: fmt.Errorf("workload: %s", reason)}
}

// place says which machines may run the server. Conditions are added to the operator's own, which go on holding.
func (o overlay) place() {
	p := o.spec.Workload.Placement
	if p.NodePool != "" {
		o.job.NodePool = &p.NodePool
	}
	if p.Datacenters != nil {
		o.job.Datacenters = slices.Clone(p.Datacenters)
	}
	if p.Priority != 0 {
		o.job.Priority = &p.Priority
	}
	o.group.Constraints = append(o.group.Constraints, constraints(p.Constraints)...)
	o.group.Affinities = append(o.group.Affinities, affinities(p.Affinities)...)
	for _, s := range p.Spreads {
		spread := &api.Spread{Attribute: attribute(s.Attribute), Weight: new(int8(s.Weight))} //nolint:gosec // G115: validated, at most 100
		for _, value := range slices.Sorted(maps.Keys(s.Targets)) {
			spread.SpreadTarget = append(spread.SpreadTarget, &api.SpreadTarget{Value: value, Percent: uint8(s.Targets[value])}) //nolint:gosec // G115: validated
		}
		o.group.Spreads = append(o.group.Spreads, spread)
	}
}

func constraints(list []scheduler.Constraint) []*api.Constraint {
	var made []*api.Constraint
	for _, c := range list {
		made = append(made, &api.Constraint{LTarget: attribute(c.Attribute), Operand: cmp.Or(c.Operator, "="), RTarget: c.Value})
	}
	return made
}

func affinities(list []scheduler.Affinity) []*api.Affinity {
	var made []*api.Affinity
	for _, a := range list {
		made = append(made, &api.Affinity{
			LTarget: attribute(a.Attribute), Operand: cmp.Or(a.Operator, "="), RTarget: a.Value,
			Weight: new(int8(a.Weight)), //nolint:gosec // G115: validated, -100 to 100
		})
	}
	return made
}

// attribute lets profiles name a machine's attribute without the ${…} that their own expressions are written with.
func attribute(name string) string {
	root, _, dotted := strings.Cut(name, ".")
	if dotted && slices.Contains([]string{"attr", "meta", "node", "device", "unique"}, root) {
		return "${" + name + "}"
	}
	return name
}

// life sets how the server is asked to end, and what follows an end.
func (o overlay) life() {
	w := o.spec.Workload
	if w.StopSignal != "" {
		o.task.KillSignal = w.StopSignal
	}
	if w.StopTimeout > 0 {
		o.task.KillTimeout = &w.StopTimeout
	}
	if r := w.Restart; r != nil {
		// On the task: the tasks beside it keep the group's rules. Nomad takes what is nil from there.
		o.task.RestartPolicy = &api.RestartPolicy{Attempts: &r.Attempts, Mode: new("fail"), Interval: orNil(r.Interval), Delay: orNil(r.Delay)}
	}
	if r := w.Reschedule; r != nil {
		o.group.ReschedulePolicy = &api.ReschedulePolicy{Attempts: &r.Attempts, Unlimited: &r.Unlimited, Interval: orNil(r.Interval)}
	}
	if d := w.Disconnect; d != nil {
		o.group.Disconnect = &api.DisconnectStrategy{
			LostAfter: orNil(d.LostAfter), StopOnClientAfter: orNil(d.StopAfter), Replace: &d.Replace,
			Reconcile: new(api.ReconcileOption("keep_original")),
		}
	}
}

func orNil[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// tasks adds what runs beside the server. None of them gets the server's environment: only the server's task has the template for it.
func (o overlay) tasks() error {
	for _, t := range o.spec.Workload.Tasks {
		if slices.ContainsFunc(o.group.Tasks, func(other *api.Task) bool { return other.Name == t.Name }) {
			return refuse("The jobspec has a task %q already; the profile must name its own differently.", t.Name)
		}
		task := &api.Task{
			Name: t.Name, Driver: cmp.Or(t.Driver, o.task.Driver), Env: maps.Clone(t.Env),
			Lifecycle: &api.TaskLifecycle{Hook: string(t.Hook), Sidecar: t.Sidecar},
			// The default log files alone would fill a small disk.
			LogConfig: &api.LogConfig{MaxFiles: new(2), MaxFileSizeMB: new(5)},
		}
		own := program{driver: task.Driver, image: t.Image, command: t.Command, args: t.Args, user: t.User, config: t.Config, pull: o.spec.Workload.PullTimeout}
		if err := own.over(task); err != nil {
			return inTask(t.Name, err)
		}
		setResources(task, t.Resources)
		limitCPU(task, t.Resources)
		if err := o.mountInto(task, t.Mounts); err != nil {
			return inTask(t.Name, err)
		}
		o.group.Tasks = append(o.group.Tasks, task)
	}
	return nil
}

// inTask says in which of the tasks beside the server something cannot be done.
func inTask(name string, err error) error {
	return refuse("In the task %q: %s", name, err.Error())
}

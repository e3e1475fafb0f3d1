package nomad

import (
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// shell is what Nomad asks of a job that has nothing to run any more. A stop registers one over the job, which spares reading the job, and Nomad the handling of all that
// is in it. What is being ended lives on in the allocations, which keep the job as it was when they were placed. The servers of one profile have the same shell.
type shell struct {
	kind        string // a job's type cannot change
	pool        string // a namespace may allow few node pools
	datacenters string // separated by zeros
	priority    int
	group       string
	task        string
	driver      string // a namespace may allow few
}

// shellOf returns the shell of a job that [Scheduler.compose] made.
func shellOf(job *api.Job) shell {
	made := shell{kind: orZero(job.Type), pool: orZero(job.NodePool), datacenters: strings.Join(job.Datacenters, "\x00"), priority: orZero(job.Priority)}
	if group, task, err := notebookTask(job); err == nil {
		made.group, made.task, made.driver = orZero(group.Name), task.Name, task.Driver
	}
	return made
}

// endedJob is the job of a server that this process started, as stopped and removed, with as much of its metadata as this package reads.
func (s *Scheduler) endedJob(id string, started writing) *api.Job {
	shell, name := started.shell.Value(), s.jobID(id)
	return &api.Job{
		ID: &name, Name: &name, Region: orNil(s.opts.Region), Namespace: &s.opts.Namespace, Stop: new(true),
		Type: orNil(shell.kind), NodePool: orNil(shell.pool), Priority: orNil(shell.priority), Datacenters: strings.FieldsFunc(shell.datacenters, func(c rune) bool { return c == 0 }),
		Meta: map[string]string{
			metaServer: id, metaGeneration: strconv.FormatInt(started.generation, 10), metaEnding: endingRemove, metaRegistered: strconv.FormatUint(started.job, 10),
		},
		TaskGroups: []*api.TaskGroup{{Name: &shell.group, Tasks: []*api.Task{{Name: shell.task, Driver: shell.driver}}}},
	}
}

func orZero[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

package nomad

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// jobView is what this package needs of a job, from whichever of Nomad's answers it came.
type jobView struct {
	id         string // the server's
	generation int64
	index      uint64 // its modify index
	registered uint64 // its modify index when this generation was registered; allocations of the generation are younger
	ending     string // why this package stopped it, or ""
	stopped    bool
	purged     bool // the job is no longer there
}

func viewOfJob(job *api.Job) jobView {
	return newView(job.Meta, job.Stop != nil && *job.Stop, *job.JobModifyIndex)
}

func newView(meta map[string]string, stopped bool, index uint64) jobView {
	view := jobView{id: meta[metaServer], stopped: stopped, index: index, registered: index}
	view.generation, _ = strconv.ParseInt(meta[metaGeneration], 10, 64)
	if stopped {
		view.ending = meta[metaEnding]
	}
	if registered, err := strconv.ParseUint(meta[metaRegistered], 10, 64); err == nil && stopped {
		view.registered = registered
	} else if stopped {
		view.registered = 0 // stopped by somebody else, who changed the index
	}
	return view
}

// owns reports whether the allocation is of this generation. One that lives is in any case: a generation is registered only after
// all allocations of the former one have ended. An operator's change of the job makes its index younger than its allocation.
func (v jobView) owns(alloc *allocView) bool {
	return alloc != nil && (alloc.created > v.registered || !isTerminal(alloc.clientStatus))
}

// allocView is what this package needs of an allocation. It is not changed after it was made, since several hold the same one.
type allocView struct {
	id, job, node       string
	created             uint64
	clientStatus        string
	clientDescription   string
	desiredStatus       string
	desiredDescription  string
	nodeID              string
	address             string
	index               uint64 // when it last changed
	modified            int64  // nanoseconds since 1970
	preempted           bool
	rescheduledOrMoving bool
	drained             bool      // an operator empties its machine
	leaveBy             time.Time // see scheduler.Status

	// What tells of its tasks; see kept.
	tasks        map[string]*api.TaskState
	memoryLimits map[string]int64 // MiB by task
	meta         map[string]string
	gist         *gist // instead of them
}

// gist is what is known of the tasks of an allocation.
type gist struct {
	began, ended int64 // nanoseconds since 1970; 0: not yet
	rare         *rareGist
}

// rareGist is what hardly any server has that runs.
type rareGist struct {
	preparing     bool
	waiting, died why
}

// kept returns the view without what takes much room: of the tasks' events, of which there are some KiB for each server, what they mean.
func (v *allocView) kept() *allocView {
	if v.gist != nil {
		return v
	}
	began, ended := v.times()
	slim := *v
	slim.gist = &gist{began: nanoseconds(began), ended: nanoseconds(ended)}
	if rare := (rareGist{preparing: v.preparing(), waiting: waitingReason(v), died: taskReason(v)}); rare != (rareGist{}) {
		slim.gist.rare = &rare
	}
	slim.tasks, slim.memoryLimits, slim.meta = nil, nil, nil
	return &slim
}

// said returns what the tasks of a view that is kept mean.
func (g *gist) said() rareGist {
	if g.rare == nil {
		return rareGist{}
	}
	return *g.rare
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func momentOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

func viewOfAlloc(a *api.Allocation) *allocView {
	view := &allocView{
		id: a.ID, job: a.JobID, node: a.NodeName, created: a.CreateIndex, modified: a.ModifyTime,
		clientStatus: a.ClientStatus, clientDescription: a.ClientDescription,
		desiredStatus: a.DesiredStatus, desiredDescription: a.DesiredDescription,
		preempted: a.PreemptedByAllocation != "", tasks: a.TaskStates,
		rescheduledOrMoving: a.NextAllocation != "", nodeID: a.NodeID, index: a.ModifyIndex,
		// What remains to be known of a drain where the token may not see machines: the allocation is being moved right now.
		drained: a.DesiredTransition.Migrate != nil && *a.DesiredTransition.Migrate,
	}
	if a.Job != nil {
		view.meta = a.Job.Meta
	}
	view.takeResources(a.AllocatedResources)
	return view
}

func viewOfAllocStub(a *api.AllocationListStub) *allocView {
	view := &allocView{
		id: a.ID, job: a.JobID, node: a.NodeName, created: a.CreateIndex, modified: a.ModifyTime,
		clientStatus: a.ClientStatus, clientDescription: a.ClientDescription,
		desiredStatus: a.DesiredStatus, desiredDescription: a.DesiredDescription,
		preempted: a.PreemptedByAllocation != "", tasks: a.TaskStates,
		rescheduledOrMoving: a.NextAllocation != "", nodeID: a.NodeID, index: a.ModifyIndex,
	}
	view.takeResources(a.AllocatedResources)
	return view
}

func (v *allocView) takeResources(r *api.AllocatedResources) {
	if r == nil {
		return
	}
	for _, port := range r.Shared.Ports {
		if port.Label == portLabel {
			v.address = net.JoinHostPort(port.HostIP, strconv.Itoa(port.Value))
		}
	}
	v.memoryLimits = make(map[string]int64, len(r.Tasks))
	for name, task := range r.Tasks {
		if task != nil {
			v.memoryLimits[name] = max(task.Memory.MemoryMB, task.Memory.MemoryMaxMB)
		}
	}
}

// status says what the newest allocation (or none) makes of a job. blocked tells why Nomad finds no place, or is zero.
func status(job jobView, alloc *allocView, blocked why) scheduler.Status {
	st := scheduler.Status{ID: job.id, Generation: job.generation, State: scheduler.Pending}
	if !job.owns(alloc) {
		switch {
		case job.stopped:
			st.State = scheduler.Dead
			st.Reason, st.Cause = endingReason(job).apart()
		case blocked != why{}:
			st.Blocked = true
			st.Reason, st.Cause = blocked.apart()
		}
		return st
	}
	st.Instance, st.Address, st.Placement = alloc.id, alloc.address, alloc.created
	st.Node = alloc.node
	st.Began, st.Ended = alloc.times()
	if !isTerminal(alloc.clientStatus) {
		st.Drained, st.LeaveBy = alloc.drained, alloc.leaveBy
	}
	switch {
	case isTerminal(alloc.clientStatus):
		st.State = scheduler.Dead
		st.Reason, st.Cause = deadReason(job, alloc).apart()
	case alloc.clientStatus == api.AllocClientStatusUnknown:
		st.State, st.Lost = scheduler.Running, true
		st.Reason = lostSentence(alloc.node)
	case alloc.clientStatus == api.AllocClientStatusRunning:
		st.State = scheduler.Running
	default:
		st.Preparing = alloc.preparing()
		st.Reason, st.Cause = waitingReason(alloc).apart()
	}
	return st
}

func lostSentence(node string) string {
	return "The server's machine" + named(node) + " is unreachable. Your work may still be running there."
}

func named(node string) string {
	if node == "" {
		return ""
	}
	return " " + strings.ToValidUTF8(node, "")
}

// main returns the state of the task that is the server, or nil.
func (v *allocView) main() *api.TaskState { return v.tasks[mainTask(v)] }

// times tells when the server's task began and ended to run. Its machine says so, for the last run if the task was restarted.
func (v *allocView) times() (began, ended time.Time) {
	if v.gist != nil {
		return momentOf(v.gist.began), momentOf(v.gist.ended)
	}
	task := v.main()
	if task == nil {
		return began, ended
	}
	return task.StartedAt.UTC(), task.FinishedAt.UTC()
}

// preparing reports whether the machine still fetches what the server needs, or runs tasks that come before it.
func (v *allocView) preparing() bool {
	if v.gist != nil {
		return v.gist.said().preparing
	}
	task := v.main()
	if task == nil || !task.StartedAt.IsZero() {
		return false
	}
	for name, other := range v.tasks {
		if other != nil && name != mainTask(v) && other.State == "running" {
			return true
		}
	}
	if len(task.Events) == 0 {
		return false
	}
	last := task.Events[len(task.Events)-1]
	return last != nil && (last.Type == api.TaskDriverMessage || last.Type == api.TaskDownloadingArtifacts)
}

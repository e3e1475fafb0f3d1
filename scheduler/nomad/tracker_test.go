package nomad

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

func event(t *testing.T, kind string, payload any) *streamEvent {
	t.Helper()
	var e streamEvent
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &e.Payload); err != nil {
		t.Fatal(err)
	}
	e.Type = kind
	return &e
}

func jobOf(generation string, index uint64, stopped bool) map[string]any {
	job := jobA(generation, index)
	job.Stop = &stopped
	return map[string]any{"Job": job}
}

func allocOf(created uint64, clientStatus string) map[string]any {
	alloc := &api.Allocation{ID: "alloc", JobID: "notebook-a", CreateIndex: created, ClientStatus: clientStatus, NodeName: "node-1"}
	if clientStatus == api.AllocClientStatusFailed {
		alloc.TaskStates = map[string]*api.TaskState{"notebook": {Failed: true, Events: []*api.TaskEvent{
			{Type: api.TaskStarted, Time: 1}, {Type: api.TaskTerminated, Time: 2, ExitCode: 3},
		}}}
	}
	return map[string]any{"Allocation": alloc}
}

type telling struct {
	Generation int64
	State      scheduler.State
	Blocked    bool
	Message    string
}

// TestTracker: what a sequence of Nomad's events tells.
func TestTracker(t *testing.T) {
	t.Parallel()
	blocked := map[string]any{"Evaluation": &api.Evaluation{
		JobID: "notebook-a", Status: api.EvalStatusBlocked, FailedTGAllocs: map[string]*api.AllocationMetric{"notebook": {}},
	}}
	accepted := telling{1, scheduler.Pending, false, "Nomad has accepted the server."}
	found := telling{1, scheduler.Pending, false, "A machine was found: node-1."}
	noRoom := "Waiting for a machine: none is ready that may run notebooks."
	cases := map[string]struct {
		known  []jobView
		events []*streamEvent
		want   []telling
	}{
		"a start that crashes": {
			events: []*streamEvent{
				event(t, "JobRegistered", jobOf("1", 10, false)), event(t, "PlanResult", allocOf(11, "pending")),
				event(t, "AllocationUpdated", allocOf(11, "failed")), event(t, "AllocationUpdated", allocOf(11, "failed")),
			},
			want: []telling{
				accepted, found, {1, "", false, "The server's process was started."},
				{1, scheduler.Dead, false, "The server ended with exit code 3. Its last lines may tell why."}, {1, scheduler.Dead, false, "The server ended with exit code 3. Its last lines may tell why."},
			},
		},
		"waiting, told once, then a place": {
			events: []*streamEvent{
				event(t, "JobRegistered", jobOf("1", 10, false)), event(t, "EvaluationUpdated", blocked), event(t, "EvaluationUpdated", blocked),
				event(t, "PlanResult", allocOf(15, "pending")), event(t, "EvaluationUpdated", blocked),
			},
			want: []telling{accepted, {1, scheduler.Pending, true, noRoom}, found},
		},
		"a repeated and an older job event tell nothing": {
			events: []*streamEvent{
				event(t, "JobRegistered", jobOf("1", 10, false)), event(t, "PlanResult", jobOf("1", 10, false)), event(t, "JobRegistered", jobOf("1", 9, false)),
			},
			want: []telling{accepted},
		},
		"the end of an older generation after the newer began": {
			known: []jobView{{id: "a", generation: 1, index: 10, registered: 10}},
			events: []*streamEvent{
				event(t, "JobRegistered", jobOf("2", 20, false)), event(t, "AllocationUpdated", allocOf(11, "failed")),
			},
			want: []telling{
				{2, scheduler.Pending, false, "Nomad has accepted the server."},
				{1, "", false, "The server's process was started."}, {1, scheduler.Dead, false, "The server ended with exit code 3. Its last lines may tell why."},
			},
		},
		"an operator's purge": {
			known: []jobView{{id: "a", generation: 1, index: 10, registered: 10}},
			events: []*streamEvent{
				event(t, "AllocationUpdated", allocOf(11, "running")), event(t, deregistered, jobOf("1", 12, false)), event(t, "AllocationUpdated", allocOf(11, "complete")),
			},
			want: []telling{
				{1, scheduler.Running, false, "A machine was found: node-1."}, {1, scheduler.Running, false, "The server is being stopped."},
				{1, scheduler.Dead, false, "The server's job was removed from Nomad. Start the server again."},
			},
		},
		"a stop before any place": {
			known:  []jobView{{id: "a", generation: 1, index: 10, registered: 10}},
			events: []*streamEvent{event(t, "JobRegistered", jobOf("1", 12, true))},
			want:   []telling{{1, scheduler.Dead, false, "An operator stopped the server in Nomad. Start it again, or ask them why."}},
		},
		"other people's jobs": {
			events: []*streamEvent{
				event(t, "AllocationUpdated", allocOf(11, "running")), event(t, "EvaluationUpdated", blocked),
				event(t, "JobRegistered", map[string]any{"Job": &api.Job{ID: new("notebook-b"), JobModifyIndex: new(uint64(3))}}),
				event(t, "NodeRegistration", map[string]any{"Node": map[string]any{}}),
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := newTracker("notebook-", c.known)
			var got []telling
			for _, in := range c.events {
				for _, out := range tracker.translate(in) {
					if out.ID != "a" {
						t.Errorf("event of %q", out.ID)
					}
					line := telling{Generation: out.Generation, Message: out.Message}
					if out.Status != nil {
						line.State, line.Blocked = out.Status.State, out.Status.Blocked
					}
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// allocAt is an allocation's event at that index of Nomad.
func allocAt(t *testing.T, index uint64, clientStatus string, events ...*api.TaskEvent) *streamEvent {
	t.Helper()
	return event(t, "AllocationUpdated", map[string]any{"Allocation": &api.Allocation{
		ID: "alloc", JobID: "notebook-a", CreateIndex: 11, ModifyIndex: index, ClientStatus: clientStatus, NodeName: "node-1",
		TaskStates: map[string]*api.TaskState{"notebook": {Events: events}},
	}})
}

func messages(events []scheduler.Event) (all []string) {
	for _, e := range events {
		if e.Message != "" {
			all = append(all, e.Message)
		}
	}
	return all
}

// TestTrackerTellsLossAndReturn: the contact with a machine is lost and found again, each told once.
func TestTrackerTellsLossAndReturn(t *testing.T) {
	t.Parallel()
	tracker := newTracker("notebook-", []jobView{{id: "a", generation: 1, index: 10, registered: 10}})
	started := &api.TaskEvent{Type: api.TaskStarted, Time: 1}
	reconnected := &api.TaskEvent{Type: api.TaskClientReconnected, Time: 2}
	var told []string
	for _, in := range []*streamEvent{
		allocAt(t, 12, "running", started), allocAt(t, 13, "unknown", started), allocAt(t, 14, "unknown", started),
		allocAt(t, 15, "running", started, reconnected), allocAt(t, 16, "running", started, reconnected),
	} {
		told = append(told, messages(tracker.translate(in))...)
	}
	want := []string{
		"The server's process was started.", "The server's machine node-1 is unreachable. Your work may still be running there.",
		"The server's machine node-1 is back, with the same kernels.",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTrackerOverConnections: a connection that replays what an earlier one brought repeats nothing, a restored cluster tells anew, and
// no generation goes back.
func TestTrackerOverConnections(t *testing.T) {
	t.Parallel()
	first := []jobView{{id: "a", generation: 1, index: 10, registered: 10}}
	tracker := newTracker("notebook-", nil)
	tracker.begin(first, 10)
	running := func() *streamEvent { return allocAt(t, 20, "running", &api.TaskEvent{Type: api.TaskStarted, Time: 1}) }
	if got := messages(tracker.translate(running())); len(got) != 1 {
		t.Fatalf("told %q", got)
	}
	tracker.begin(first, 18)
	for _, in := range []*streamEvent{running(), allocAt(t, 19, "pending"), event(t, "JobRegistered", jobOf("1", 10, false))} {
		if got := tracker.translate(in); len(got) != 0 {
			t.Errorf("a replayed event told %+v", got)
		}
	}
	if out := tracker.translate(event(t, "JobRegistered", jobOf("2", 30, false))); len(out) != 1 || out[0].Generation != 2 {
		t.Errorf("a new generation told %+v", out)
	}
	for _, out := range tracker.translate(allocAt(t, 31, "complete")) {
		if out.Generation != 1 {
			t.Errorf("the end of the older generation was told as %+v", out)
		}
	}
	tracker.begin(first, 12) // the index went back: an older snapshot
	if got := messages(tracker.translate(allocAt(t, 13, "running", &api.TaskEvent{Type: api.TaskStarted, Time: 1}))); len(got) != 1 {
		t.Errorf("after a restore told %q", got)
	}
}

// TestTrackerNoticesGaps: an allocation of a job that was never told of asks for a list, once.
func TestTrackerNoticesGaps(t *testing.T) {
	t.Parallel()
	tracker := newTracker("notebook-", nil)
	in := allocAt(t, 12, "running")
	if !tracker.lacks(in) || tracker.lacks(in) {
		t.Error("a gap is not noticed, or more than once")
	}
	ended, other := allocAt(t, 12, "complete"), allocAt(t, 12, "running")
	ended.Payload.Allocation.JobID, other.Payload.Allocation.JobID = "notebook-b", "web"
	if tracker.lacks(ended) || tracker.lacks(other) {
		t.Error("what is over, or somebody else's, counts as a gap")
	}
	tracker.begin([]jobView{{id: "a", generation: 1, index: 10, registered: 10}}, 12)
	if tracker.lacks(in) || len(tracker.translate(in)) == 0 {
		t.Error("the gap is not mended by a list")
	}
}

// TestDrains: what a machine's events say of the servers on it.
func TestDrains(t *testing.T) {
	t.Parallel()
	deadline := time.Date(2026, 3, 1, 15, 4, 0, 0, time.UTC)
	node := func(strategy *api.DrainStrategy) *streamEvent {
		return event(t, "NodeDrain", map[string]any{"Node": &api.Node{ID: "n1", Name: "rack-7", DrainStrategy: strategy}})
	}
	bounded := &api.DrainStrategy{DrainSpec: api.DrainSpec{Deadline: time.Hour}, ForceDeadline: deadline}
	moving := viewOfAlloc(&api.Allocation{CreateIndex: 5, ClientStatus: "running", DesiredTransition: api.DesiredTransition{Migrate: new(true)}})
	if st := status(jobView{id: "a", generation: 1}, moving, why{}); !st.Drained {
		t.Error("an allocation that Nomad moves is not drained, where nothing is known of machines")
	}
	var d drains
	steps := []struct {
		in      *streamEvent
		changed bool
		text    string
		leaveBy time.Time
		drained bool
	}{
		{in: node(nil)},
		{node(bounded), true, "The server's machine rack-7 is being emptied by 15:04 UTC. Save your work, or move the server now.", deadline, true},
		{in: node(bounded), leaveBy: deadline, drained: true},
		{node(&api.DrainStrategy{}), true, "The server's machine rack-7 is being emptied by an operator. Save your work, and move the server when it suits you.", time.Time{}, true},
		{in: node(nil), changed: true, text: "The server's machine rack-7 is no longer being emptied. The server may stay."},
	}
	for i, step := range steps {
		changed, text := d.take(step.in)
		alloc := d.mark(&allocView{nodeID: "n1", created: 5, clientStatus: api.AllocClientStatusRunning})
		st := status(jobView{id: "a", generation: 1}, alloc, why{})
		if changed != step.changed || text != step.text || st.Drained != step.drained || !st.LeaveBy.Equal(step.leaveBy) {
			t.Errorf("step %d: changed %v, text %q, status %+v; want %+v", i, changed, text, st, step)
		}
	}
}

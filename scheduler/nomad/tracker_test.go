package nomad

import (
	"encoding/json"
	"testing"

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
				{1, scheduler.Dead, false, "The server ended with exit code 3."}, {1, scheduler.Dead, false, "The server ended with exit code 3."},
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
				{1, "", false, "The server's process was started."}, {1, scheduler.Dead, false, "The server ended with exit code 3."},
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

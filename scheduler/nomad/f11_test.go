package nomad

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF11EveryEndHasOneMeaning: each way in which Nomad lets go of an allocation, on recorded allocations, maps to one state, one cause, and one sentence with a
// next step. Only what Nomad says of an allocation ends a server; not to hear of it does not.
func TestF11EveryEndHasOneMeaning(t *testing.T) {
	t.Parallel()
	live := jobView{id: "a", generation: 1}
	ended := func(ending string) jobView { return jobView{id: "a", generation: 1, stopped: true, ending: ending} }
	purged := jobView{id: "a", generation: 1, stopped: true, purged: true}
	cases := []struct {
		name, file string
		job        jobView
		change     func(*api.Allocation)
		state      scheduler.State
		cause      scheduler.Cause
		says       string // the sentence's beginning
		lost       bool
	}{
		{name: "complete by itself", file: "exit-0", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, says: "The server ended by itself"},
		{name: "failed", file: "exit-3", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, says: "The server ended with exit code 3."},
		{name: "failed before it began", file: "no-artifact", job: live, state: scheduler.Dead, cause: scheduler.CauseSettings, says: "Files that the server needs could not be downloaded"},
		{name: "complete because the hub stopped it", file: "operator-stop", job: ended(endingRemove), state: scheduler.Dead, cause: scheduler.CauseStopped, says: "The server was stopped."},
		{name: "complete because a newer start replaced it", file: "operator-stop", job: ended(endingReplace), state: scheduler.Dead, cause: scheduler.CauseStopped, says: "The server was replaced"},
		{name: "complete because an operator stopped the job", file: "operator-stop", job: ended(""), state: scheduler.Dead, cause: scheduler.CauseOperator, says: "An operator stopped the server in Nomad."},
		{name: "complete because an operator stopped the allocation", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseOperator, says: "An operator stopped the server in Nomad."},
		{name: "complete because the job was purged", file: "operator-stop", job: purged, state: scheduler.Dead, cause: scheduler.CauseOperator, says: "The server's job was removed from Nomad."},
		{
			name: "lost", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseNodeLost, says: "The server's machine node-1 was lost",
			change: func(a *api.Allocation) { a.ClientStatus = api.AllocClientStatusLost },
		},
		{
			name: "unknown", file: "operator-stop", job: live, state: scheduler.Running, says: "The server's machine node-1 is unreachable.", lost: true,
			change: func(a *api.Allocation) {
				a.ClientStatus, a.DesiredStatus = api.AllocClientStatusUnknown, api.AllocDesiredStatusRun
			},
		},
		{
			name: "unknown while an operator purges the job", file: "operator-stop", job: purged, state: scheduler.Running, says: "The server's machine node-1 is unreachable.", lost: true,
			change: func(a *api.Allocation) { a.ClientStatus = api.AllocClientStatusUnknown },
		},
		{
			name: "evicted", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CausePreempted, says: "The server had to make room",
			change: func(a *api.Allocation) { a.DesiredStatus = api.AllocDesiredStatusEvict },
		},
		{
			name: "preempted", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CausePreempted, says: "The server had to make room",
			change: func(a *api.Allocation) { a.PreemptedByAllocation = "other" },
		},
		{
			name: "drained", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseDrained, says: "An operator emptied the server's machine node-1.",
			change: func(a *api.Allocation) { a.DesiredDescription = "alloc is being migrated" },
		},
		{
			name: "told to stop and still running", file: "operator-stop", job: ended(""), state: scheduler.Running,
			change: func(a *api.Allocation) { a.ClientStatus = api.AllocClientStatusRunning },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alloc := recorded(t, c.file)
			if c.change != nil {
				c.change(alloc)
			}
			got := status(c.job, viewOfAlloc(alloc), why{})
			if got.State != c.state || got.Cause != c.cause || got.Lost != c.lost || !strings.HasPrefix(got.Reason, c.says) || (got.Reason == "") != (c.says == "") {
				t.Errorf("got %+v, want %s because of %q, lost %v, saying %q", got, c.state, c.cause, c.lost, c.says)
			}
		})
	}
	for name, c := range map[string]struct {
		job   jobView
		state scheduler.State
		cause scheduler.Cause
	}{
		"the allocation was removed, the job runs":         {live, scheduler.Pending, ""},
		"the allocation was removed after an operator":     {ended(""), scheduler.Dead, scheduler.CauseOperator},
		"the allocation was removed after the hub stopped": {ended(endingRemove), scheduler.Dead, scheduler.CauseStopped},
	} {
		if got := status(c.job, nil, why{}); got.State != c.state || got.Cause != c.cause {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

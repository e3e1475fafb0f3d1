package nomad

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

func recorded(t *testing.T, name string) *api.Allocation {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "allocs", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var alloc api.Allocation
	if err := json.Unmarshal(text, &alloc); err != nil {
		t.Fatal(err)
	}
	return &alloc
}

// terminatedEvent returns the event that tells the end of the recorded task.
func terminatedEvent(t *testing.T, alloc *api.Allocation) *api.TaskEvent {
	t.Helper()
	for _, event := range alloc.TaskStates["notebook"].Events {
		if event.Type == api.TaskTerminated {
			return event
		}
	}
	t.Fatal("the recorded allocation has no end")
	return nil
}

var oneSentence = regexp.MustCompile(`^\p{Lu}.*\.$`)

// TestReasons tells for what Nomad recorded of an allocation, as it was or changed into what cannot be made happen here, how the
// server's state and reason read.
func TestReasons(t *testing.T) {
	t.Parallel()
	live := jobView{id: "a", generation: 1}
	byOperator := jobView{id: "a", generation: 1, stopped: true}
	byHub := jobView{id: "a", generation: 1, stopped: true, ending: endingRemove}
	cases := []struct {
		name, file string
		job        jobView
		change     func(t *testing.T, a *api.Allocation)
		state      scheduler.State
		lost       bool
		reason     string
		cause      scheduler.Cause
	}{
		{name: "exit code", file: "exit-3", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, reason: "The server ended with exit code 3."},
		{name: "by itself", file: "exit-0", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, reason: "The server ended by itself (exit code 0)."},
		{name: "a crash stays one when the hub stops the job", file: "exit-3", job: byHub, state: scheduler.Dead, cause: scheduler.CauseExited, reason: "The server ended with exit code 3."},
		{name: "killed", file: "signal-9", job: live, state: scheduler.Dead, cause: scheduler.CauseKilled, reason: "The server was killed (signal 9); most often that means that it used more than its 128 MB of memory, or that its machine ran out of memory."},
		{name: "signal", file: "signal-11", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, reason: "The server was ended by signal 11."},
		{name: "no program", file: "no-program", job: live, state: scheduler.Dead, cause: scheduler.CauseMisconfigured, reason: "The server's program was not found on its machine, or may not be run there (exit code 127). An operator must mend that."},
		{name: "driver", file: "no-account", job: live, state: scheduler.Dead, cause: scheduler.CauseMisconfigured, reason: `There is no account "no-such-account" for the server on its machine or in its image. An operator must create it or name another one.`},
		{
			name: "no access to Consul", file: "no-account", job: live, state: scheduler.Dead,
			reason: "The server's machine could not get access to Consul for it. Try again in a moment, or tell the administrator.",
			change: func(_ *testing.T, a *api.Allocation) {
				a.TaskStates["notebook"].Events = []*api.TaskEvent{{
					Type: api.TaskSetupFailure,
					DisplayMessage: "failed to setup alloc: pre-run hook \"consul\" failed: 1 error occurred:\n\t* failed to derive Consul token for service notebook-1a: " +
						"Post \"http://127.0.0.1:8500/v1/acl/login\": dial tcp 127.0.0.1:8500: connect: connection refused\n\n",
				}}
			},
		},
		{name: "template", file: "bad-template", job: live, state: scheduler.Dead, cause: scheduler.CauseSettings, reason: "The server could not be prepared: a setting or a secret of it is missing. Tell the administrator. Nomad says: Template failed: "},
		{name: "artifact", file: "no-artifact", job: live, state: scheduler.Dead, cause: scheduler.CauseSettings, reason: "Files that the server needs could not be downloaded. Try again, or tell the administrator."},
		{name: "stopped by an operator", file: "operator-stop", job: byOperator, state: scheduler.Dead, cause: scheduler.CauseOperator, reason: "An operator stopped the server in Nomad. Start it again, or ask them why."},
		{name: "stopped by the hub", file: "operator-stop", job: byHub, state: scheduler.Dead, cause: scheduler.CauseStopped, reason: "The server was stopped."},
		{name: "allocation stopped by an operator", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseOperator, reason: "An operator stopped the server in Nomad. Start it again, or ask them why."},
		{
			name: "replaced", file: "operator-stop", job: jobView{id: "a", generation: 1, stopped: true, ending: endingReplace},
			state: scheduler.Dead, cause: scheduler.CauseStopped, reason: "The server was replaced by a newer start of it.",
		},
		{
			name: "purged", file: "operator-stop", job: jobView{id: "a", generation: 1, stopped: true, purged: true},
			state: scheduler.Dead, cause: scheduler.CauseOperator, reason: "The server's job was removed from Nomad. Start the server again.",
		},
		{
			name: "drained", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseDrained, reason: "An operator emptied the server's machine node-1. Start the server again.",
			change: func(_ *testing.T, a *api.Allocation) { a.DesiredDescription = "alloc is being migrated" },
		},
		{
			name: "out of memory", file: "exit-3", job: live, state: scheduler.Dead, cause: scheduler.CauseOutOfMemory,
			reason: "The server was ended because it used more than its 3 GB of memory. Start it with more memory.",
			change: func(t *testing.T, a *api.Allocation) {
				terminatedEvent(t, a).Details["oom_killed"] = "true"
				a.AllocatedResources.Tasks["notebook"].Memory.MemoryMaxMB = 3072
			},
		},
		{
			name: "machine lost", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CauseNodeLost,
			reason: "The server's machine node-1 was lost, and the server with it.",
			change: func(_ *testing.T, a *api.Allocation) { a.ClientStatus = api.AllocClientStatusLost },
		},
		{
			name: "contact lost", file: "operator-stop", job: live, state: scheduler.Running, lost: true,
			reason: "The server's machine node-1 is unreachable. Your work may still be running there.",
			change: func(_ *testing.T, a *api.Allocation) { a.ClientStatus = api.AllocClientStatusUnknown },
		},
		{
			name: "preempted", file: "operator-stop", job: live, state: scheduler.Dead, cause: scheduler.CausePreempted, reason: "The server had to make room for more important work.",
			change: func(_ *testing.T, a *api.Allocation) { a.DesiredStatus = api.AllocDesiredStatusEvict },
		},
		{
			name: "a failed helper task before the server", file: "exit-0", job: live, state: scheduler.Dead, cause: scheduler.CauseExited, reason: "The task prepare beside the server failed. It ended with exit code 3.",
			change: func(t *testing.T, a *api.Allocation) {
				a.TaskStates["prepare"] = recorded(t, "exit-3").TaskStates["notebook"]
			},
		},
		{
			name: "no word of any task", file: "exit-0", job: live, state: scheduler.Dead, reason: "The server failed, and Nomad gives no reason.",
			change: func(_ *testing.T, a *api.Allocation) {
				a.TaskStates, a.ClientStatus, a.ClientDescription = nil, api.AllocClientStatusFailed, "Failed tasks"
			},
		},
		{
			name: "waits for its variable", file: "exit-0", job: live, state: scheduler.Pending, cause: scheduler.CauseSettings, reason: "The server waits for its settings. If it does not go on within a minute, tell the administrator. Nomad says: Missing: nomad.var.block(nomad/jobs/x).",
			change: func(_ *testing.T, a *api.Allocation) {
				a.ClientStatus = api.AllocClientStatusPending
				a.TaskStates["notebook"].Events = []*api.TaskEvent{{Type: "Template", DisplayMessage: "Missing: nomad.var.block(nomad/jobs/x)"}}
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alloc := recorded(t, c.file)
			if c.change != nil {
				c.change(t, alloc)
			}
			got := status(c.job, viewOfAlloc(alloc), why{})
			if diff := cmp.Diff(got, status(c.job, viewOfAlloc(alloc).kept(), why{})); diff != "" {
				t.Errorf("what is kept of the allocation says (-all +kept)\n%s", diff)
			}
			if got.State != c.state || got.Lost != c.lost || got.Cause != c.cause || !strings.HasPrefix(got.Reason, c.reason) || !oneSentence.MatchString(got.Reason) {
				t.Errorf("got %+v, want %s because of %q with the reason %q", got, c.state, c.cause, c.reason)
			}
			if got.Instance != alloc.ID || got.Placement != alloc.CreateIndex || !strings.HasPrefix(got.Address, "127.0.0.1:") {
				t.Errorf("instance, placement, address: %+v", got)
			}
		})
	}
}

// TestOwnership: which generation an allocation is of, where Nomad does not say.
func TestOwnership(t *testing.T) {
	t.Parallel()
	dead := &allocView{id: "x", created: 10, clientStatus: api.AllocClientStatusFailed}
	alive := &allocView{id: "x", created: 10, clientStatus: api.AllocClientStatusRunning}
	cases := map[string]struct {
		job   jobView
		alloc *allocView
		want  bool
	}{
		"placed after the registration":           {jobView{registered: 9}, dead, true},
		"an older generation's":                   {jobView{registered: 11}, dead, false},
		"alive although the job was changed":      {jobView{registered: 11}, alive, true},
		"none":                                    {jobView{registered: 9}, nil, false},
		"stopped by the hub, who noted the index": {newView(map[string]string{metaRegistered: "9"}, true, 20), dead, true},
		"stopped by the hub before its placement": {newView(map[string]string{metaRegistered: "12"}, true, 20), dead, false},
		"stopped by somebody else":                {newView(nil, true, 20), dead, true},
	}
	for name, c := range cases {
		if got := c.job.owns(c.alloc); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBlockedReasons(t *testing.T) {
	t.Parallel()
	asked := map[string]*api.Resources{"notebook": {CPU: new(2000), MemoryMB: new(4096)}, "helper": {CPU: new(500)}}
	cases := map[string]struct {
		metric api.AllocationMetric
		want   string
	}{
		"memory": {
			api.AllocationMetric{NodesEvaluated: 3, NodesExhausted: 3, DimensionExhausted: map[string]int{"memory": 3}, ResourcesExhausted: asked},
			"Waiting for a machine: 4 GB of memory asked, none of 3 nodes has it free.",
		},
		"memory here, processor there": {
			api.AllocationMetric{NodesEvaluated: 5, NodesFiltered: 1, NodesExhausted: 4, DimensionExhausted: map[string]int{"memory": 3, "cpu": 1}, ResourcesExhausted: asked},
			"Waiting for a machine: 2500 MHz of processor, 4 GB of memory asked, none of 4 nodes has it free.",
		},
		"ports": {
			api.AllocationMetric{NodesEvaluated: 1, NodesExhausted: 1, DimensionExhausted: map[string]int{"network: dynamic port selection failed": 1}},
			"Waiting for a machine: a free port asked, the only node does not have it free.",
		},
		"a dimension of a newer Nomad": {
			api.AllocationMetric{NodesEvaluated: 2, NodesExhausted: 2, DimensionExhausted: map[string]int{"devices: no devices match request": 2}},
			"Waiting for a machine: a device asked, none of 2 nodes has it free.",
		},
		"condition": {
			api.AllocationMetric{NodesEvaluated: 2, NodesFiltered: 2, ConstraintFiltered: map[string]int{"missing drivers": 2}},
			"Waiting for a machine: none of 2 nodes has the driver that runs it. An operator must install it, or choose another one.",
		},
		"nobody": {api.AllocationMetric{}, "Waiting for a machine: none is ready that may run notebooks."},
		"quota":  {api.AllocationMetric{NodesEvaluated: 1, QuotaExhausted: []string{"memory exhausted"}}, "Waiting for a machine: the quota is used up (memory exhausted)."},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, blockedReason(map[string]*api.AllocationMetric{"notebook": &c.metric}).reason); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := blockedReason(nil); got != (why{}) {
		t.Errorf("a place was found, and the reason is %+v", got)
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "no image\n\tfound": "No image found.", "Done...": "Done.", "élan": "Élan.", "a\x1b[31mb": "A [31mb.",
		strings.Repeat("ä", 300): "Ä" + strings.Repeat("ä", 199) + "….",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want []string
	}{
		"nothing":       {"", nil},
		"escapes":       {"\x1b[1;31mred\x1b[0m\n\x1b]0;title\x07next\n", []string{"red", "next"}},
		"progress":      {"10%\r50%\r100%\r\ndone", []string{"100%", "done"}},
		"no text":       {"a\xffb\x00c\n", []string{"a\uFFFDbc"}},
		"a cut piece":   {strings.Repeat("x", maxLogBytes) + "\nwhole\n", []string{"whole"}},
		"an empty line": {"a\n\nb\n", []string{"a", "", "b"}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, logLines([]byte(c.text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

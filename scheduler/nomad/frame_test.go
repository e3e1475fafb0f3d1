package nomad

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
)

// TestFrameHoldsWhatIsRead compares what is taken from a line with what encoding/json makes of all of it.
func TestFrameHoldsWhatIsRead(t *testing.T) {
	t.Parallel()
	alloc := api.Allocation{
		ID: `a"\`, JobID: "notebook-a", NodeID: "n", NodeName: "node-1 \u2028", CreateIndex: 7, ModifyIndex: 1 << 60, ModifyTime: 9, ClientStatus: "running",
		ClientDescription: "}],{[", DesiredStatus: "run", DesiredDescription: `\\"`, PreemptedByAllocation: "p", NextAllocation: "x",
		DesiredTransition: api.DesiredTransition{Migrate: new(true)},
		AllocatedResources: &api.AllocatedResources{
			Shared: api.AllocatedSharedResources{Ports: []api.PortMapping{{Label: "http", Value: 80, HostIP: "::1"}}},
			Tasks:  map[string]*api.AllocatedTaskResources{"notebook": {Memory: api.AllocatedMemoryResources{MemoryMB: 5, MemoryMaxMB: 6}}},
		},
		TaskStates: map[string]*api.TaskState{"notebook": {State: "running", Events: []*api.TaskEvent{{Type: "Started", Message: `"`, Details: map[string]string{"a": "b"}}}}},
	}
	job := api.Job{ID: new("notebook-a"), Meta: map[string]string{"k": `{"v":"\\"}`}, Stop: new(true), JobModifyIndex: new(uint64(5)), CreateIndex: new(uint64(4))}
	eval := api.Evaluation{JobID: "notebook-a", Status: "blocked", JobModifyIndex: 4, ModifyTime: -3, FailedTGAllocs: map[string]*api.AllocationMetric{"g": {NodesEvaluated: 2}}}
	node := api.Node{ID: "n", Name: "node-1", DrainStrategy: &api.DrainStrategy{}}
	text, err := json.Marshal(map[string]any{"Index": 12, "Unknown": []any{1, "a", nil, map[string]any{"b": []int{}}}, "Events": []any{
		map[string]any{"Topic": "Allocation", "Type": "AllocationUpdated", "Index": 12, "Payload": map[string]any{"Allocation": alloc}},
		map[string]any{"Topic": "Job", "Type": "JobRegistered", "Index": 11, "Payload": map[string]any{"Job": job, "Allocation": nil}},
		map[string]any{"Topic": "Evaluation", "Payload": map[string]any{"Evaluation": eval}},
		map[string]any{"Topic": "Node", "Payload": map[string]any{"Node": node}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var want frame
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got, err := newFrames(strings.NewReader("\n"+string(text)+"\n"), "notebook-").next()
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Events { // what is read of a machine is all of it; of others, what was given above, and zeros
		if e := want.Events[i].Payload.Evaluation; e != nil {
			want.Events[i].Payload.Evaluation = &api.Evaluation{JobID: e.JobID, ModifyTime: e.ModifyTime, FailedTGAllocs: e.FailedTGAllocs, Status: e.Status, JobModifyIndex: e.JobModifyIndex}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a line was read as (-want +got)\n%s", diff)
	}
}

// TestFrameLeavesOutOthers: nothing of the jobs of others is kept, and the index of the line is.
func TestFrameLeavesOutOthers(t *testing.T) {
	t.Parallel()
	line := `{"Index":5,"Events":[{"Payload":{"Allocation":{"JobID":"web","ID":"a"}}},{"Payload":{"Job":{"ID":"note"}}},
		{"Payload":{"Evaluation":{"JobID":"notebook-a","Status":"pending","FailedTGAllocs":null}}},{"Payload":{"Evaluation":{"JobID":"web","FailedTGAllocs":{"g":{}}}}},
		{"Payload":null},{"Topic":"Deployment","Payload":{"Deployment":{"ID":"x"}}},{}]}`
	got, err := parseFrame([]byte(line), "notebook-")
	if err != nil || got.Index != 5 || len(got.Events) != 0 {
		t.Errorf("read as %+v, %v; want index 5 and no event", got, err)
	}
}

func TestFramesThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"":                                     io.EOF,
		"\n\n":                                 io.EOF,
		`{"Index":5`:                           io.ErrUnexpectedEOF, // the connection was cut
		`{"Index":5` + "\n":                    pull.ErrJSON,
		`{"Index":5,}` + "\n":                  pull.ErrJSON,
		`{"Index" 5}` + "\n":                   pull.ErrJSON,
		`{"Events":[{"Payload":{}}` + "\n":     pull.ErrJSON,
		`{"Events":[1,]}` + "\n":               pull.ErrJSON,
		`{"Events":["a\"]}` + "\n":             pull.ErrJSON,
		`<html>` + "\n":                        pull.ErrJSON,
		strings.Repeat("x", maxFrame+1) + "\n": errFrameTooLong,
	} {
		if _, err := newFrames(strings.NewReader(text), "notebook-").next(); !errors.Is(err, want) {
			t.Errorf("%.40q was read with %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{
		`{"Index":-1}`, `{"Index":"5"}`, `{"Events":[{"Type":5}]}`, `{"Events":[{"Payload":{"Allocation":{"JobID":"notebook-a","TaskStates":[]}}}]}`,
	} {
		if got, err := parseFrame([]byte(text), "notebook-"); err == nil {
			t.Errorf("%s was read as %+v", text, got)
		}
	}
}

// FuzzFields: of each object that encoding/json takes, the same fields are found; nothing else makes it panic.
func FuzzFields(f *testing.F) {
	for _, text := range []string{
		`{"Index":5,"Events":[{"Type":"a","Payload":{"ID":"x\"\\"}}]}`, ` { "a" : [ {} , [] , "]}" ] , "b" : -1.5e3 , "c":null,"d":true } `, `{}`, `[{"a":1},2]`, `{"a":{"b":`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := make(map[string]string)
		err := pull.EachField([]byte(text), func(name, value []byte) error {
			var key string
			if err := json.Unmarshal([]byte(`"`+string(name)+`"`), &key); err != nil {
				return err
			}
			got[key] = string(value)
			return nil
		})
		var all map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &all) != nil || all == nil {
			return
		}
		want := make(map[string]string)
		for name, value := range all {
			want[name] = string(value)
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v, fields (-want +got)\n%s", text, err, diff)
		}
	})
}

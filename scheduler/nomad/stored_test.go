package nomad

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"
)

// TestStoppedJobIsTheSame: the request that stops a job changes nothing of it but what it must, fields included that this package's client has no name for.
func TestStoppedJobIsTheSame(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"ID":"notebook-a","JobModifyIndex":7,"Meta":{"nomadhub_server":"a"},"Stop":false,"TaskGroups":[{"Name":"\"}{"}],"NewInNomad":{"a":[1,null]}}`,
		` { "Meta" : {"nomadhub_server":"a"} , "ID" : "notebook-a" , "JobModifyIndex" : 7 }`,
	} {
		job := &storedJob{text: []byte(text)}
		if err := takeJob(job.text, &job.Job); err != nil {
			t.Fatal(err)
		}
		request, err := stoppedWith(job, map[string]string{"a": `"b"`})
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		var got struct {
			api.JobRegisterRequest

			Job map[string]any
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		want["Stop"], want["Meta"] = true, map[string]any{"a": `"b"`}
		if err := json.Unmarshal(request, &got); err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		if diff := cmp.Diff(want, got.Job); diff != "" || !got.EnforceIndex || got.JobModifyIndex != 7 {
			t.Errorf("the request %s: (-want +got)\n%s", request, diff)
		}
	}
}

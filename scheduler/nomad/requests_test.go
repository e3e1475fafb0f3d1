package nomad

import (
	"slices"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	writesVariable  = "PUT /v1/var/nomad/jobs/notebook-server-0"
	deletesVariable = "DELETE /v1/var/nomad/jobs/notebook-server-0"
	registers       = "PUT /v1/jobs"
	purges          = "DELETE /v1/job/notebook-server-0"
	readsJob        = "GET /v1/job/notebook-server-0"
)

// TestRequests: beside a watch a start and a stop ask nothing, and write what must be written.
func TestRequests(t *testing.T) {
	t.Parallel()
	n, s := newInstant(t)
	spec := specOf(0)
	must(t, s.Start(t.Context(), spec))
	n.want(t, writesVariable, registers)
	must(t, s.Stop(t.Context(), spec.ID, spec.Generation))
	n.want(t, registers, deletesVariable, purges)
}

// want compares the requests since the last call.
func (n *instant) want(t *testing.T, requests ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.requests, requests) {
		t.Errorf("requests\n%q, want\n%q", n.requests, requests)
	}
	n.requests = nil
}

// changed registers the job anew, as somebody else does.
func (n *instant) changed(id, generation string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	job := n.jobs[id]
	job.index, job.generation = n.index.Add(10), generation
	n.tell(id, job)
}

// TestStopReadsWhatAnotherChanged: a job that an operator registered anew, or that a start of another process did, has another index than the one that is remembered; then nothing
// is done to it before it is read.
func TestStopReadsWhatAnotherChanged(t *testing.T) {
	t.Parallel()
	n, s := newInstant(t)
	spec := specOf(0)
	must(t, s.Start(t.Context(), spec))
	n.requests = nil
	n.changed("server-0", "8")
	must(t, s.Stop(t.Context(), spec.ID, spec.Generation))
	n.want(t, registers, readsJob) // of which the first is refused
	if n.jobs["server-0"] == nil {
		t.Error("a newer generation was purged")
	}
	n.changed("server-0", "7")
	must(t, s.Stop(t.Context(), spec.ID, spec.Generation))
	n.want(t, readsJob, registers, deletesVariable, purges)
}

// TestStartLooksWhereThereIsSomething: a variable says that something of the server may run, even if there is no job.
func TestStartLooksWhereThereIsSomething(t *testing.T) {
	t.Parallel()
	n, s := newInstant(t)
	n.variables["server-0"] = 5
	spec := specOf(0)
	must(t, s.Start(t.Context(), spec))
	n.want(t, writesVariable, readsJob, "GET /v1/job/notebook-server-0/allocations", "GET /v1/var/nomad/jobs/notebook-server-0", writesVariable, registers)
}

// TestShellIsOneOfAProfile: what is remembered to end servers is the same for all of a profile, and Nomad gets what it needs of the job.
func TestShellIsOneOfAProfile(t *testing.T) {
	t.Parallel()
	s := parsedScheduler(t, func(o *Options) { o.Region = "east" })
	var made [2]shell
	var job *api.Job
	for i := range made {
		spec := specOf(i)
		spec.Workload.Placement = scheduler.Placement{NodePool: "gpu", Datacenters: []string{"a", "b*"}, Priority: 70}
		var err error
		if job, err = s.compose(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		made[i] = shellOf(job)
		s.written.noteVariable(spec.ID, 7, 1)
		s.written.noteJob(spec.ID, 7, 30, made[i])
	}
	if made[0] != made[1] {
		t.Errorf("%+v and %+v", made[0], made[1])
	}
	started, ok := s.written.takeJob("server-1", 7)
	if !ok {
		t.Fatal("forgotten")
	}
	compareGolden(t, "job-ended.golden.json", s.endedJob("server-1", started))
	if _, again := s.written.takeJob("server-1", 7); again {
		t.Error("handed out twice")
	}
	if _, newer := s.written.takeJob("server-0", 6); newer {
		t.Error("a newer generation is handed out")
	}
}

// TestCopied: starts change jobs of their own.
func TestCopied(t *testing.T) {
	t.Parallel()
	s := parsedScheduler(t, nil)
	first, err := s.compose(t.Context(), fullSpec())
	if err != nil {
		t.Fatal(err)
	}
	first.TaskGroups[0].Tasks[0].Config["args"].([]any)[0] = "changed"
	first.TaskGroups[0].Networks[0].DynamicPorts[0].Label = "changed"
	*first.Priority = 1
	second, err := s.compose(t.Context(), fullSpec())
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "job-full.golden.json", second)
}

package nomad_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/jobspecs"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

func TestMain(m *testing.M) { schedulertest.Main(m) }

// TestRealNomad runs everything that needs a real Nomad on one.
func TestRealNomad(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("suite", func(t *testing.T) { schedulertest.Run(t, c.newHarness) })
}

func notebookJobspec(t *testing.T) string {
	t.Helper()
	text, err := fs.ReadFile(jobspecs.FS, "notebook.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// options returns those of a scheduler of its own, with the product's jobspec and the hub's least token.
func (c *cluster) options(t *testing.T) nomad.Options {
	t.Helper()
	return nomad.Options{
		Client: c.hub, Namespace: namespace, Jobspec: notebookJobspec(t),
		JobPrefix: fmt.Sprintf("notebook-%d-", c.harness.Add(1)),
		Variables: map[string]string{
			"command": c.program, "args": `["ignored ${NOMAD_TASK_NAME}"]`,
			"cpu": "50", "memory": "128", "disk": "60",
		},
		StopTimeout: 2 * time.Second,
	}
}

func open(t *testing.T, options nomad.Options) *nomad.Scheduler {
	t.Helper()
	s, err := nomad.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *cluster) newHarness(t *testing.T) schedulertest.Harness {
	t.Helper()
	options := c.options(t)
	t.Cleanup(func() { c.purge(t, options.JobPrefix) })
	return schedulertest.Harness{
		Scheduler: open(t, options),
		Reopen:    func(t *testing.T) scheduler.Scheduler { return open(t, options) },
		Visible:   func(t *testing.T, id string) string { return c.visible(t, options.JobPrefix+id) },
		Labels:    func(t *testing.T, id string) map[string]string { return c.labels(t, options.JobPrefix+id) },
		Patience:  time.Minute,
	}
}

// purge removes what a failed case left, and fails if a case that passed left something.
func (c *cluster) purge(t *testing.T, prefix string) {
	t.Helper()
	jobs, _, err := c.admin.Jobs().List(&api.QueryOptions{Prefix: prefix})
	if err != nil {
		t.Error(err)
	}
	for _, job := range jobs {
		t.Errorf("the job %s is left", job.ID)
		if _, _, err := c.admin.Jobs().Deregister(job.ID, true, nil); err != nil {
			t.Error(err)
		}
	}
	variables, _, err := c.admin.Variables().PrefixList("nomad/jobs/"+prefix, nil)
	if err != nil {
		t.Error(err)
	}
	for _, variable := range variables {
		t.Errorf("the variable %s is left", variable.Path)
		if _, err := c.admin.Variables().Delete(variable.Path, nil); err != nil {
			t.Error(err)
		}
	}
}

// visible returns all that Nomad shows of a job to somebody who may read jobs but not variables.
func (c *cluster) visible(t *testing.T, jobID string) string {
	t.Helper()
	var all strings.Builder
	add := func(what any, err error) {
		if err != nil {
			t.Error(err)
		}
		text, err := json.Marshal(what)
		if err != nil {
			t.Error(err)
		}
		all.Write(text)
	}
	job, _, err := c.admin.Jobs().Info(jobID, nil)
	add(job, err)
	versions, _, _, err := c.admin.Jobs().Versions(jobID, true, nil)
	add(versions, err)
	evals, _, err := c.admin.Jobs().Evaluations(jobID, nil)
	add(evals, err)
	allocs, _, err := c.admin.Jobs().Allocations(jobID, true, nil)
	add(allocs, err)
	for _, stub := range allocs {
		alloc, _, err := c.admin.Allocations().Info(stub.ID, nil)
		add(alloc, err)
	}
	return all.String()
}

func (c *cluster) labels(t *testing.T, jobID string) map[string]string {
	t.Helper()
	job, _, err := c.admin.Jobs().Info(jobID, nil)
	if err != nil {
		t.Fatal(err)
	}
	labels := make(map[string]string)
	for key, value := range job.Meta {
		if name, ok := strings.CutPrefix(key, "nomadhub_label_"); ok {
			labels[name] = value
		}
	}
	return labels
}

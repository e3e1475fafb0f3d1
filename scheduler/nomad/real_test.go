package nomad_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/jobspecs"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// TestMain is also the programs that the tests have Nomad run.
func TestMain(m *testing.M) {
	if plan := os.Getenv(attackVariable); plan != "" {
		os.Exit(attack(plan))
	}
	if len(os.Args) > 3 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, standIn(os.Args[3:]))
		os.Exit(1)
	}
	schedulertest.Main(m)
}

// TestRealNomad runs everything that needs a real Nomad on one.
func TestRealNomad(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("suite", func(t *testing.T) { schedulertest.Run(t, c.newHarness) })
	t.Run("suite beside a watch", func(t *testing.T) { schedulertest.Run(t, c.newWatchedHarness) })
	t.Run("failures", c.testFailures)
	t.Run("operator", c.testOperator)
	t.Run("policy", c.testPolicyIsLeast)
	t.Run("rest", func(t *testing.T) {
		t.Run("no room", c.testNoRoom)
		t.Run("the jobspec is valid and parsed as recorded", c.testJobspec)
		t.Run("a jobspec that is wrong is told before any start", c.testCheck)
		t.Run("Consul knows whose the server is", c.testConsul)
		t.Run("servers move between namespaces", c.testNamespaces)
	})
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
	return c.harnessOf(t, options)
}

// newWatchedHarness is a scheduler whose watch runs, as in the hub, so that calls are spared questions that the event stream has answered.
func (c *cluster) newWatchedHarness(t *testing.T) schedulertest.Harness {
	t.Helper()
	h := c.newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		begin := sync.OnceFunc(func() { close(begun) })
		for event, err := range h.Scheduler.Watch(ctx) {
			if err == nil && event.Resync {
				begin()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case <-begun:
	case <-time.After(h.Patience):
		t.Fatal("the watch did not begin")
	}
	return h
}

func (c *cluster) harnessOf(t *testing.T, options nomad.Options) schedulertest.Harness {
	t.Helper()
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

// testJobspec holds the product's jobspec against Nomad's own tools, and the recorded parse against Nomad's parser.
func (c *cluster) testJobspec(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notebook.nomad.hcl")
	if err := os.WriteFile(path, []byte(notebookJobspec(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"fmt", "-check", path}, {"job", "validate", path}} {
		cmd := exec.CommandContext(t.Context(), c.nomad, args...)
		cmd.Env = append(os.Environ(), "NOMAD_ADDR="+c.admin.Address(), "NOMAD_TOKEN="+c.token, "NOMAD_NAMESPACE="+namespace)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("nomad %s: %v\n%s", args, err, out)
		}
	}
	options := c.options(t)
	options.Variables = nil
	job, err := nomad.Parse(open(t, options), t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nomad.CompareGolden(t, "notebook.parsed.json", job)
}

func (c *cluster) testCheck(t *testing.T) {
	t.Parallel()
	if err := open(t, c.options(t)).Check(t.Context()); err != nil {
		t.Errorf("the product's jobspec: %v", err)
	}
	spoil := map[string]func(*nomad.Options){
		"no HCL":       func(o *nomad.Options) { o.Jobspec, o.Variables = "job {", nil },
		"a wrong type": func(o *nomad.Options) { o.Variables["cpu"] = "many" },
		"a mode that does not exist": func(o *nomad.Options) {
			o.Jobspec = strings.Replace(o.Jobspec, `mode     = "fail"`, `mode     = "pray"`, 1)
		},
	}
	for name, change := range spoil {
		options := c.options(t)
		change(&options)
		s := open(t, options)
		for what, err := range map[string]error{
			"check": s.Check(t.Context()), "start": s.Start(t.Context(), scheduler.Spec{ID: "a", Generation: 1}),
		} {
			rejected, ok := errors.AsType[*scheduler.RejectedError](err)
			if !ok {
				t.Errorf("%s with %s: %v, want a rejection", what, name, err)
				continue
			}
			t.Logf("%s: %s", name, rejected.Reason)
		}
		c.purge(t, options.JobPrefix)
	}
}

// testConsul looks at the registration that the hub's routes come from.
func (c *cluster) testConsul(t *testing.T) {
	t.Parallel()
	options := c.options(t)
	options.Variables["args"] = "[]"
	s := open(t, options)
	c.start(t, s, scheduler.Spec{
		ID: "a", Generation: 3, Service: "notebook-042", URLVariable: schedulertest.URLVariable,
		URLPath: "/user/ada%40example/", HealthPath: "/user/ada%40example/api",
		Env: map[string]string{"SCHEDULERTEST_BEHAVIOUR": "serve"},
	})
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	await(t, "Consul shows the server as healthy", func() error {
		entries, _, err := c.consul.Client.Health().Service("notebook-042", "", true, nil)
		if err != nil || len(entries) != 1 {
			return fmt.Errorf("%d entries: %w", len(entries), cmp.Or(err, errors.New("not one entry")))
		}
		got := entries[0].Service
		if address := net.JoinHostPort(got.Address, strconv.Itoa(got.Port)); address != status.Address {
			t.Errorf("Consul has the address %s, Nomad %s", address, status.Address)
		}
		for key, want := range map[string]string{"nomadhub_server": "a", "nomadhub_generation": "3", "nomadhub_allocation": status.Instance} {
			if got.Meta[key] != want {
				t.Errorf("%s=%q in Consul, want %q", key, got.Meta[key], want)
			}
		}
		return nil
	})
	c.stop(t, s, "a")
}

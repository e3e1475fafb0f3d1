package nomad_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// failures are servers that fail, each in another way. What Nomad says of their allocations is recorded with -update in
// testdata/allocs, for the table test that needs no Nomad.
var failures = []struct {
	name      string
	command   string
	args      []string
	variables map[string]string
	jobspec   func(string) string
	cause     scheduler.Cause
	reason    string // part of the sentence
	log       string // part of the log's end
}{
	{name: "exit-3", command: "/bin/sh", args: []string{"-c", "echo no kernel >&2; exit 3"}, cause: scheduler.CauseExited, reason: "The server ended with exit code 3.", log: "no kernel"},
	{name: "exit-0", command: "/bin/true", cause: scheduler.CauseExited, reason: "The server ended by itself (exit code 0)."},
	{name: "signal-9", command: "/bin/sh", args: []string{"-c", "kill -9 $$"}, cause: scheduler.CauseKilled, reason: "The server was killed (signal 9)"},
	{name: "signal-11", command: "/bin/sh", args: []string{"-c", "kill -11 $$"}, cause: scheduler.CauseExited, reason: "The server was ended by signal 11."},
	{name: "no-program", command: "/no/such/program", cause: scheduler.CauseMisconfigured, reason: "The server's program was not found on its machine, or may not be run there (exit code 127).", log: "/no/such/program"},
	{name: "no-account", command: "/bin/true", variables: map[string]string{"user": "no-such-account"}, cause: scheduler.CauseMisconfigured, reason: "no-such-account"},
	{
		name: "no-artifact", command: "/bin/true", cause: scheduler.CauseSettings, reason: "Files that the server needs could not be downloaded",
		jobspec: inTask(`artifact { source = "http://127.0.0.1:1/notebooks.tar.gz" }`),
	},
	{
		name: "bad-template", command: "/bin/true", cause: scheduler.CauseSettings, reason: "The server could not be prepared",
		jobspec: inTask(`template {
        data        = "{{ \"x\" | parseInt }}"
        destination = "local/x"
      }`),
	},
}

// inTask returns a change of the jobspec that adds a block to its task.
func inTask(block string) func(string) string {
	return func(text string) string { return strings.Replace(text, "logs {", block+"\n\n      logs {", 1) }
}

func (c *cluster) testFailures(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			options := c.options(t)
			args, err := json.Marshal(f.args)
			if err != nil {
				t.Fatal(err)
			}
			options.Variables["command"], options.Variables["args"] = f.command, strings.Replace(string(args), "null", "[]", 1)
			maps.Copy(options.Variables, f.variables)
			if f.jobspec != nil {
				options.Jobspec = f.jobspec(options.Jobspec)
			}
			s := open(t, options)
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
			status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
			if !strings.Contains(status.Reason, f.reason) || status.Cause != f.cause {
				t.Errorf("cause %q, reason %q, want %q, %q", status.Cause, status.Reason, f.cause, f.reason)
			}
			if f.log != "" {
				await(t, "the log is written", func() error { return logContains(t, s, f.log) })
			}
			c.record(t, f.name, status.Instance)
			c.stop(t, s, "a")
		})
	}
}

func logContains(t *testing.T, s *nomad.Scheduler, want string) error {
	t.Helper()
	lines, err := s.LogTail(t.Context(), "a", 20)
	if err == nil && !strings.Contains(strings.Join(lines, "\n"), want) {
		err = errors.New(strings.Join(lines, "\n"))
	}
	return err
}

func (c *cluster) start(t *testing.T, s *nomad.Scheduler, spec scheduler.Spec) {
	t.Helper()
	if err := s.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) stop(t *testing.T, s *nomad.Scheduler, id string) {
	t.Helper()
	if err := s.Stop(t.Context(), id, math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Status(t.Context(), id); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("status after stop: %+v, %v", status, err)
	}
}

func awaitStatus(t *testing.T, s *nomad.Scheduler, id string, want func(scheduler.Status) bool) scheduler.Status {
	t.Helper()
	var status scheduler.Status
	await(t, "the status is as wanted", func() (err error) {
		status, err = s.Status(t.Context(), id)
		if err == nil && !want(status) {
			text, _ := json.Marshal(status)
			err = errors.New(string(text))
		}
		return err
	})
	return status
}

// record writes what Nomad says of an allocation, without the job and the machine's name.
func (c *cluster) record(t *testing.T, name, allocID string) {
	t.Helper()
	if !*nomad.Update {
		return
	}
	alloc, _, err := c.admin.Allocations().Info(allocID, nil)
	if err != nil {
		t.Fatal(err)
	}
	alloc.Job, alloc.NodeName, alloc.Metrics = nil, "node-1", nil
	text, err := json.MarshalIndent(alloc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join("testdata", "allocs"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "allocs", name+".json"), append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// testNoRoom asks for more than the cluster has.
func (c *cluster) testNoRoom(t *testing.T) {
	t.Parallel()
	s := open(t, c.options(t))
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Resources: scheduler.Resources{MemoryMB: 4 << 20, MemoryMaxMB: 4 << 20}})
	status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.Blocked })
	want := "Waiting for a machine: 4096 GB of memory asked, the only node does not have it free."
	if status.Reason != want || status.State != scheduler.Pending {
		t.Errorf("status %+v, want the reason %q", status, want)
	}
	listed, err := s.List(t.Context())
	if err != nil || len(listed) != 1 || listed[0] != status {
		t.Errorf("List says %+v, %v; Status %+v", listed, err, status)
	}
	if lines, err := s.LogTail(t.Context(), "a", 10); err != nil || len(lines) != 0 {
		t.Errorf("log of a server without a place: %q, %v", lines, err)
	}
	c.stop(t, s, "a")
}

// testOperator does to running servers what operators do.
func (c *cluster) testOperator(t *testing.T) {
	actions := []struct {
		name   string
		do     func(t *testing.T, jobID string, status scheduler.Status) error
		reason string // "": the server is forgotten
	}{
		{"stops the job", func(_ *testing.T, jobID string, _ scheduler.Status) error {
			_, _, err := c.admin.Jobs().Deregister(jobID, false, nil)
			return err
		}, "An operator stopped the server in Nomad."},
		{"purges the job", func(_ *testing.T, jobID string, _ scheduler.Status) error {
			_, _, err := c.admin.Jobs().Deregister(jobID, true, nil)
			return err
		}, ""},
	}
	for _, action := range actions {
		t.Run(action.name, func(t *testing.T) {
			t.Parallel()
			options := c.options(t)
			options.Variables["command"], options.Variables["args"] = "/bin/sleep", `["600"]`
			s := open(t, options)
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1})
			running := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
			if err := action.do(t, options.JobPrefix+"a", running); err != nil {
				t.Fatal(err)
			}
			if action.reason == "" {
				await(t, "the server is forgotten", func() error {
					status, err := s.Status(t.Context(), "a")
					if errors.Is(err, scheduler.ErrNotFound) {
						return nil
					}
					if err == nil && status.Instance != running.Instance {
						t.Errorf("a purged server became %+v", status)
					}
					return cmp.Or(err, errors.New("still there"))
				})
				if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
					t.Errorf("List after a purge: %+v, %v", all, err)
				}
			} else {
				dead := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Dead })
				if !strings.Contains(dead.Reason, action.reason) || dead.Instance != running.Instance || dead.Cause != scheduler.CauseOperator {
					t.Errorf("dead: %+v, want the reason %q", dead, action.reason)
				}
				c.record(t, "operator-stop", dead.Instance)
			}
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 2})
			awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running && s.Generation == 2 })
			c.stop(t, s, "a")
			c.purge(t, options.JobPrefix) // fails if job or variable is left
		})
	}
}

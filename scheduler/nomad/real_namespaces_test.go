package nomad_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// otherNamespace is one that profiles may choose beside the hub's own.
const otherNamespace = "notebooks-gpu"

// namespaces is one hub's scheduler over two namespaces of a real Nomad, with the least policy for both.
type namespaces struct {
	*cluster
	*mux.Scheduler

	prefix string
	other  *nomad.Scheduler
}

// overNamespaces opens it with a token of those rules.
func (c *cluster) overNamespaces(t *testing.T, options nomad.Options, rules string) *namespaces {
	t.Helper()
	options.Variables["command"], options.Variables["args"] = "/bin/sh", `["-c", "echo hello; exec sleep 600"]`
	options.Client = c.withPolicy(t, options.JobPrefix+fmt.Sprint(len(rules)), rules)
	there := options
	there.Namespace = otherNamespace
	n := &namespaces{cluster: c, prefix: options.JobPrefix, other: open(t, there)}
	own := open(t, options)
	var err error
	n.Scheduler, err = mux.New(mux.Options{VolumeID: own.VolumeID, Places: []mux.Place{
		{Namespace: namespace, Scheduler: own}, {Namespace: otherNamespace, Scheduler: n.other},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *namespaces) spec(where string, generation int64) scheduler.Spec {
	spec := scheduler.Spec{ID: "a", Generation: generation, Secrets: map[string]string{"SECRET": "x"}}
	spec.Workload.Placement.Namespace = where
	return spec
}

// requireOnlyIn looks with all rights where jobs and variables of the server are.
func (n *namespaces) requireOnlyIn(t *testing.T, where string) {
	t.Helper()
	for _, each := range []string{namespace, otherNamespace} {
		q := &api.QueryOptions{Namespace: each, Prefix: n.prefix}
		jobs, _, err := n.admin.Jobs().List(q)
		if err != nil {
			t.Fatal(err)
		}
		variables, _, err := n.admin.Variables().PrefixList("nomad/jobs/"+n.prefix, q)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if each == where {
			want = 1
		}
		if len(jobs) != want || len(variables) != want {
			t.Errorf("in the namespace %s are %d jobs and %d variables, want %d", each, len(jobs), len(variables), want)
		}
	}
}

func (n *namespaces) awaitRuns(t *testing.T, generation int64) {
	t.Helper()
	await(t, fmt.Sprintf("generation %d runs", generation), func() error {
		status, err := n.Status(t.Context(), "a")
		if err == nil && (status.Generation != generation || status.State != scheduler.Running) {
			err = fmt.Errorf("it is %+v", status)
		}
		return err
	})
}

// testNamespaces moves a server between two namespaces, under the least policy for both.
func (c *cluster) testNamespaces(t *testing.T) {
	t.Parallel()
	if _, err := c.admin.Namespaces().Register(&api.Namespace{Name: otherNamespace}, nil); err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, name := range []string{"testdata/policy.hcl", "testdata/policy-namespace.hcl"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, string(text))
	}
	options := c.options(t)
	n, second := c.overNamespaces(t, options, strings.Join(rules, "\n")), c.overNamespaces(t, options, strings.Join(rules, "\n"))
	if without := c.overNamespaces(t, options, rules[0]); without.other.Start(t.Context(), n.spec("", 1)) == nil {
		t.Error("the rules for the further namespace are not needed")
	}
	n.testMove(t)
	n.testVolume(t)
	n.testTwoHubs(t, second)
	if err := n.Stop(t.Context(), "a", 9); err != nil {
		t.Error(err)
	}
	n.requireOnlyIn(t, "neither")
	if all, err := n.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("left are %+v, %v", all, err)
	}
}

// testMove starts the next generation in the other namespace, and is told by one watch of both.
func (n *namespaces) testMove(t *testing.T) {
	t.Helper()
	placed := make(map[int64]string)
	for event, err := range n.Watch(t.Context()) {
		switch {
		case err != nil:
			t.Fatal(err)
		case event.Resync:
			if err := n.Start(t.Context(), n.spec("", 1)); err != nil {
				t.Fatal(err)
			}
		case event.Status == nil || event.Status.State != scheduler.Running || placed[event.Generation] != "":
		case event.Generation == 1:
			placed[1] = event.Status.Instance
			n.requireOnlyIn(t, namespace)
			if err := n.Start(t.Context(), n.spec(otherNamespace, 2)); err != nil {
				t.Fatal(err)
			}
		default:
			placed[2] = event.Status.Instance
		}
		if placed[2] != "" {
			break
		}
	}
	n.requireOnlyIn(t, otherNamespace)
	before, _, err := n.admin.Jobs().Allocations(n.prefix+"a", true, &api.QueryOptions{Namespace: namespace})
	for _, alloc := range before {
		if alloc.ClientStatus != api.AllocClientStatusComplete {
			t.Errorf("generation 1 is %s", alloc.ClientStatus)
		}
	}
	if err != nil || placed[1] == placed[2] {
		t.Errorf("from %s to %s, %v", placed[1], placed[2], err)
	}
	n.awaitRuns(t, 2)
	if all, err := n.List(t.Context()); err != nil || len(all) != 1 || all[0].Generation != 2 || all[0].Instance != placed[2] {
		t.Errorf("listed %+v, %v", all, err)
	}
	await(t, "the log is there", func() error {
		lines, err := n.LogTail(t.Context(), "a", 5)
		if err == nil && (len(lines) != 1 || lines[0] != "hello") {
			err = fmt.Errorf("log %q", lines)
		}
		return err
	})
	if err := n.Start(t.Context(), n.spec("", 1)); !errors.Is(err, scheduler.ErrStale) {
		t.Errorf("an old start: %v", err)
	}
}

// testVolume keeps a volume in the namespace where it was made.
func (n *namespaces) testVolume(t *testing.T) {
	t.Helper()
	home := scheduler.Volume{ID: "v", Kind: scheduler.MountDynamic, Placement: scheduler.Placement{Namespace: otherNamespace}}
	state, err := n.EnsureVolume(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	spec := n.spec("", 3)
	spec.Workload.Driver = "exec"
	spec.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountDynamic, Source: state.Name, Path: "/home/x"}}
	if err := n.Start(t.Context(), spec); !isRejected(err, "kept in the namespace") {
		t.Errorf("a start beside its files: %v", err)
	}
	home.Placement.Namespace = ""
	if _, err := n.EnsureVolume(t.Context(), home); !isRejected(err, "kept in the namespace") {
		t.Errorf("the same volume elsewhere: %v", err)
	}
	n.awaitRuns(t, 2)
	if err := n.DeleteVolume(t.Context(), scheduler.MountDynamic, "v"); err != nil {
		t.Error(err)
	}
	if left, err := n.Volumes(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left are %+v, %v", left, err)
	}
}

// testTwoHubs has two hubs start generations in both namespaces at the same instant. The newest is left, alone.
func (n *namespaces) testTwoHubs(t *testing.T, second *namespaces) {
	t.Helper()
	var starts sync.WaitGroup
	for hub, spec := range map[*namespaces]scheduler.Spec{n: n.spec("", 4), second: n.spec(otherNamespace, 5)} {
		starts.Go(func() {
			if err := hub.Start(t.Context(), spec); err != nil && !errors.Is(err, scheduler.ErrStale) {
				t.Errorf("generation %d: %v", spec.Generation, err)
			}
		})
	}
	starts.Wait()
	n.awaitRuns(t, 5)
	n.requireOnlyIn(t, otherNamespace)
}

func TestVolumeIDOfASource(t *testing.T) {
	t.Parallel()
	s := open(t, nomad.Options{Client: client(t, "http://127.0.0.1:1", ""), Jobspec: `job "x" {}`, JobPrefix: "notebook-x-"})
	for source, want := range map[string]string{"notebook-x-abc": "abc", "datasets": "", "notebook-x-": "", "notebook-x-A/b": "", "notebook-y": ""} {
		if id := s.VolumeID(source); id != want {
			t.Errorf("%q is our volume %q, want %q", source, id, want)
		}
	}
}

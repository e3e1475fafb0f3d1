package nomad_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/scheduler"
)

// testForecasts asks before a start whether it would go well.
func (c *workloadCluster) testForecasts(t *testing.T) {
	t.Parallel()
	exec := func(change func(*scheduler.Workload)) scheduler.Spec {
		w := shell("exec", "sleep 600")
		change(&w)
		return scheduler.Spec{ID: "a", Generation: 1, Workload: w}
	}
	resources := func(r scheduler.Resources) scheduler.Spec {
		return scheduler.Spec{ID: "a", Generation: 1, Resources: r}
	}
	cases := map[string]struct {
		spec     scheduler.Spec
		verdict  scheduler.Verdict
		resource string
		reason   string
	}{
		"room":                   {scheduler.Spec{}, scheduler.FitsNow, "", ""},
		"more memory than any":   {resources(scheduler.Resources{MemoryMB: 4 << 20}), scheduler.FitsNever, "memory", "No machine of the cluster has 4096 GB of memory."},
		"more MHz than any":      {resources(scheduler.Resources{CPU: 10_000_000}), scheduler.FitsNever, "cpu", "No machine of the cluster has 10000000 MHz of processor."},
		"more cores than any":    {resources(scheduler.Resources{Cores: 1000}), scheduler.FitsNever, "cpu", "No machine of the cluster has 1000 processor cores."},
		"more disk than any":     {resources(scheduler.Resources{DiskMB: 1 << 29}), scheduler.FitsNever, "disk", "No machine of the cluster has 524288 GB of disk."},
		"a device that none has": {resources(scheduler.Resources{Devices: []scheduler.Device{{Name: "nvidia/gpu", Count: 1}}}), scheduler.FitsNever, "nvidia/gpu", "No machine of the cluster has 1 of the device nvidia/gpu."},
		"a driver that none has": {
			exec(func(w *scheduler.Workload) { *w = scheduler.Workload{Driver: "podman", Image: "x"} }),
			scheduler.FitsNever, "driver", "No machine of the cluster has the driver podman.",
		},
		"an empty pool": {exec(func(w *scheduler.Workload) { w.Placement.NodePool = emptyPool }), scheduler.FitsNever, "", "There is no machine in pool gpu that may run it."},
		"another datacenter": {
			exec(func(w *scheduler.Workload) { w.Placement.Datacenters = []string{"moon-*"} }),
			scheduler.FitsNever, "", "There is no machine of the cluster that may run it.",
		},
		"a condition": {
			exec(func(w *scheduler.Workload) {
				w.Placement.Constraints = []scheduler.Constraint{{Attribute: "meta.rack", Operator: "=", Value: "b"}}
			}),
			scheduler.FitsNever, "", "It can never start: the only node does not fulfil the job's condition: meta.rack = b.",
		},
		"a volume that none has": {
			exec(func(w *scheduler.Workload) {
				w.Mounts = []scheduler.Mount{{Name: "x", Kind: scheduler.MountHost, Source: "notebook-none", Path: "/x"}}
			}),
			scheduler.FitsNever, "volume", "It can never start: the only node does not have its volume, or it is in use.",
		},
		"a volume that one has": {
			exec(func(w *scheduler.Workload) {
				w.Mounts = []scheduler.Mount{{Name: "x", Kind: scheduler.MountHost, Source: dataVolume, Path: "/x"}}
			}),
			scheduler.FitsNow, "", "",
		},
	}
	options := c.options(t)
	s := open(t, options)
	for name, k := range cases {
		got, err := s.Plan(t.Context(), k.spec)
		if err != nil || got.Verdict != k.verdict || got.Resource != k.resource || !strings.HasPrefix(got.Reason, k.reason) || (got.Reason == "") != (k.reason == "") || got.Pool == "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	nowhere := exec(func(w *scheduler.Workload) { w.Placement.NodePool = "nowhere" })
	if _, err := s.Plan(t.Context(), nowhere); !isRejected(err, "nowhere") {
		t.Errorf("a pool that does not exist: %v", err)
	}
	if err := s.Start(t.Context(), nowhere); !isRejected(err, "nowhere") {
		t.Errorf("start in a pool that does not exist: %v", err)
	}
	c.purge(t, options.JobPrefix) // fails if anything was made
}

func isRejected(err error, with string) bool {
	rejected, ok := errors.AsType[*scheduler.RejectedError](err)
	return ok && strings.Contains(rejected.Reason, with)
}

// testForecastOfRunning plans a change of a server that runs: it needs no second place, and goes on undisturbed.
func (c *workloadCluster) testForecastOfRunning(t *testing.T) {
	t.Parallel()
	s := open(t, c.options(t))
	spec := scheduler.Spec{ID: "a", Generation: 1, Workload: shell("raw_exec", "sleep 600")}
	c.start(t, s, spec)
	running := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	spec.Generation, spec.Resources.MemoryMB = 2, 200
	if got, err := s.Plan(t.Context(), spec); err != nil || got.Verdict != scheduler.FitsNow {
		t.Errorf("restart with more memory: %+v, %v", got, err)
	}
	spec.Resources.MemoryMB = 4 << 20
	if got, err := s.Plan(t.Context(), spec); err != nil || got.Verdict != scheduler.FitsNever {
		t.Errorf("restart with too much memory: %+v, %v", got, err)
	}
	if now, err := s.Status(t.Context(), "a"); err != nil || now.Instance != running.Instance || now.State != scheduler.Running || now.Generation != 1 {
		t.Errorf("after the plans: %+v, %v", now, err)
	}
	c.stop(t, s, "a")
}

// testForecastBlind plans with a token that may not see machines: what fits is told, "never" only where Nomad itself says so.
func (c *workloadCluster) testForecastBlind(t *testing.T) {
	t.Parallel()
	policy, err := os.ReadFile("testdata/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	blind := strings.Replace(string(policy), "node {\n  policy = \"read\"\n}", "", 1)
	if blind == string(policy) {
		t.Fatal("the policy gives no right to see machines")
	}
	options := c.options(t)
	options.Client = c.withPolicy(t, "blind", blind)
	s := open(t, options)
	for name, k := range map[string]struct {
		spec    scheduler.Spec
		verdict scheduler.Verdict
	}{
		"room":      {scheduler.Spec{}, scheduler.FitsNow},
		"no room":   {scheduler.Spec{Resources: scheduler.Resources{MemoryMB: 4 << 20}}, scheduler.FitsLater},
		"no driver": {scheduler.Spec{Workload: scheduler.Workload{Driver: "podman", Image: "x"}}, scheduler.FitsNever},
	} {
		if got, err := s.Plan(t.Context(), k.spec); err != nil || got.Verdict != k.verdict {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	cores := scheduler.Spec{Resources: scheduler.Resources{CPUGuarantee: 0.5}}
	if _, err := s.Plan(t.Context(), cores); !isRejected(err, "how fast a processor core is") {
		t.Errorf("cores without knowing how fast: %v", err)
	}
	options.MHzPerCore = 2000
	if got, err := open(t, options).Plan(t.Context(), cores); err != nil || got.Verdict != scheduler.FitsNow {
		t.Errorf("cores by the operator's number: %+v, %v", got, err)
	}
	if told, err := s.Advise(t.Context(), scheduler.Spec{}); err != nil || len(told) == 0 {
		t.Errorf("advice: %q, %v", told, err)
	}
}

// testObstacles starts what cannot be placed, each for another cause, and looks at what is told meanwhile.
func (c *workloadCluster) testObstacles(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*scheduler.Spec)
		cause  scheduler.Cause
		reason string
	}{
		"no driver": {
			func(s *scheduler.Spec) { s.Workload = scheduler.Workload{Driver: "podman", Image: "x"} },
			scheduler.CauseDriver, "Waiting for a machine: the only node does not have the driver that runs it. An operator must install it",
		},
		"a condition": {
			func(s *scheduler.Spec) {
				s.Workload.Placement.Constraints = []scheduler.Constraint{{Attribute: "${attr.cpu.arch}", Operator: "=", Value: "z80"}}
			},
			scheduler.CauseConstraint, "Waiting for a machine: the only node does not fulfil the job's condition: attr.cpu.arch = z80.",
		},
		"a volume": {
			func(s *scheduler.Spec) {
				s.Workload = shell("exec", "sleep 600")
				s.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountDynamic, Source: "notebook-none", Path: "/home"}}
			},
			scheduler.CauseVolume, "Waiting for a machine: the only node does not have its volume",
		},
		"a CSI volume": {
			func(s *scheduler.Spec) {
				s.Workload = shell("exec", "sleep 600")
				s.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountCSI, Source: "none", Path: "/home"}}
			},
			scheduler.CauseVolume, "Waiting for a machine: its volume cannot be used on the only node.",
		},
		"a device": {
			func(s *scheduler.Spec) { s.Resources.Devices = []scheduler.Device{{Name: "nvidia/gpu", Count: 1}} },
			scheduler.CauseConstraint, "Waiting for a machine: the only node does not have the device that it asks for.",
		},
		"no memory": {
			func(s *scheduler.Spec) { s.Resources.MemoryMB = 4 << 20 },
			scheduler.CauseExhausted, "Waiting for a machine: 4096 GB of memory asked, the only node does not have it free.",
		},
		"no cores": {
			func(s *scheduler.Spec) { s.Resources.Cores = 500 },
			scheduler.CauseExhausted, "Waiting for a machine: whole processor cores asked, the only node does not have it free.",
		},
		"an empty pool": {
			func(s *scheduler.Spec) { s.Workload.Placement.NodePool = emptyPool },
			scheduler.CauseConstraint, "Waiting for a machine: none is ready that may run notebooks in pool gpu.",
		},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, c.options(t))
			spec := scheduler.Spec{ID: "a", Generation: 1}
			k.change(&spec)
			c.start(t, s, spec)
			status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.Blocked })
			if status.Cause != k.cause || !strings.HasPrefix(status.Reason, k.reason) || status.State != scheduler.Pending {
				t.Errorf("%+v, want %q with %q", status, k.cause, k.reason)
			}
			c.stop(t, s, "a")
		})
	}
}

// testPortTaken lets two servers ask for the same port of the machine.
func (c *workloadCluster) testPortTaken(t *testing.T) {
	t.Parallel()
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	options := c.options(t)
	options.Jobspecs = map[string]string{"fixed": strings.Replace(options.Jobspec, `port "http" {}`, fmt.Sprintf("port \"http\" {\n static = %d\n }", ports[0]), 1)}
	s := open(t, options)
	w := shell("raw_exec", "sleep 600")
	w.Template = "fixed"
	// The machine's loopback interface has two addresses, each with that port.
	for _, id := range []string{"a", "b"} {
		c.start(t, s, scheduler.Spec{ID: id, Generation: 1, Workload: w})
		running := awaitStatus(t, s, id, func(s scheduler.Status) bool { return s.State == scheduler.Running })
		if want := fmt.Sprintf(":%d", ports[0]); !strings.HasSuffix(running.Address, want) {
			t.Errorf("address %s, want %s", running.Address, want)
		}
	}
	c.start(t, s, scheduler.Spec{ID: "c", Generation: 1, Workload: w})
	third := awaitStatus(t, s, "c", func(s scheduler.Status) bool { return s.Blocked })
	if want := fmt.Sprintf("Waiting for a machine: port %d asked, the only node does not have it free.", ports[0]); third.Cause != scheduler.CausePort || third.Reason != want {
		t.Errorf("%+v, want %q", third, want)
	}
	c.stop(t, s, "a")
	awaitStatus(t, s, "c", func(s scheduler.Status) bool { return s.State == scheduler.Running }) // it goes on by itself
	c.stop(t, s, "b")
	c.stop(t, s, "c")
}

// testMissingSettings: a variable and a secret of Vault that a template of the operator's reads are not there, and come later.
func (c *workloadCluster) testMissingSettings(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ block, says string }{
		"variable": {`template {
        data        = "{{ with nomadVar \"nomad/jobs\" }}{{ .word }}{{ end }}"
        destination = "local/word"
      }`, "Missing: nomad.var"},
		"secret": {`vault {}
      template {
        data        = "{{ with secret \"secret/data/notebooks/{{ env \\\"NOMAD_JOB_ID\\\" }}/none\" }}{{ .Data.data.word }}{{ end }}"
        destination = "local/word"
      }`, "Missing: vault.read"},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := c.options(t)
			block := strings.ReplaceAll(k.block, `{{ env \\\"NOMAD_JOB_ID\\\" }}`, options.JobPrefix+"a")
			options.Jobspec = inTask(block)(options.Jobspec)
			s := open(t, options)
			c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: shell("raw_exec", "sleep 600")})
			status := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.Reason != "" })
			if status.State != scheduler.Pending || status.Cause != scheduler.CauseSettings || !strings.Contains(status.Reason, "waits for its settings") || !strings.Contains(status.Reason, k.says) {
				t.Errorf("%+v, want %q", status, k.says)
			}
			c.stop(t, s, "a")
		})
	}
}

// testAllocationStopped: an operator ends the run and not the job.
func (c *workloadCluster) testAllocationStopped(t *testing.T) {
	t.Parallel()
	s := open(t, c.options(t))
	c.start(t, s, scheduler.Spec{ID: "a", Generation: 1, Workload: shell("raw_exec", "sleep 600")})
	running := awaitStatus(t, s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running })
	alloc, _, err := c.admin.Allocations().Info(running.Instance, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.admin.Allocations().Stop(alloc, nil); err != nil {
		t.Fatal(err)
	}
	// Nomad replaces it at once: the server is not dead but at another place.
	moved := awaitStatus(t, s, "a", func(s scheduler.Status) bool {
		return s.Instance != "" && s.Instance != running.Instance && s.State == scheduler.Running
	})
	if moved.Generation != 1 {
		t.Errorf("moved: %+v", moved)
	}
	c.stop(t, s, "a")
}

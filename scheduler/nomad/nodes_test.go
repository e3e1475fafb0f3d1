package nomad

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// machine is a node as Nomad lists it.
func machine(name, pool string, mhz, cores int, ready bool) *api.NodeListStub {
	stub := &api.NodeListStub{
		ID: name, Name: name, NodePool: pool, Datacenter: "dc1", Status: api.NodeStatusReady, SchedulingEligibility: api.NodeSchedulingEligible,
		Drivers:       map[string]*api.DriverInfo{"raw_exec": {Detected: true, Healthy: true}, "docker": {Detected: true}, "java": nil},
		NodeResources: &api.NodeResources{Cpu: api.NodeCpuResources{CpuShares: int64(mhz * cores), TotalCpuCores: uint16(cores)}}, //nolint:gosec // G115: small
	}
	stub.NodeResources.Memory.MemoryMB, stub.NodeResources.Disk.DiskMB = 4096, 10000
	if !ready {
		stub.Status = api.NodeStatusDown
	}
	return stub
}

func (w *wire) nodes(stubs ...*api.NodeListStub) { w.mux.HandleFunc("GET /v1/nodes", reply(stubs)) }

func TestNodes(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	a := machine("a", "gpu", 2000, 8, true)
	a.Drain, a.SchedulingEligibility, a.NodeClass = true, api.NodeSchedulingIneligible, "large"
	a.ReservedResources = &api.NodeReservedResources{
		Cpu: api.NodeReservedCpuResources{CpuShares: 500}, Memory: api.NodeReservedMemoryResources{MemoryMB: 96}, Disk: api.NodeReservedDiskResources{DiskMB: 1000},
	}
	a.NodeResources.Devices = []*api.NodeDeviceResource{
		{Vendor: "nvidia", Type: "gpu", Name: "T4", Instances: []*api.NodeDevice{{Healthy: true}, {Healthy: true}, {}, nil}}, nil,
	}
	w.nodes(machine("b", "default", 3000, 2, true), a)
	got, err := s.Nodes(t.Context())
	want := []scheduler.Node{
		{
			ID: "a", Name: "a", Pool: "gpu", Datacenter: "dc1", Class: "large", Draining: true, Drivers: []string{"raw_exec"},
			CPU: 15500, MHzPerCore: 2000, MemoryMB: 4000, DiskMB: 9000, Devices: map[string]int{"nvidia/gpu/T4": 2},
		},
		{ID: "b", Name: "b", Pool: "default", Datacenter: "dc1", Ready: true, Drivers: []string{"raw_exec"}, CPU: 6000, MHzPerCore: 3000, MemoryMB: 4096, DiskMB: 10000},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestCoresBecomeMHz: by the slowest machine that takes work where the server may run, and with one list for many starts.
func TestCoresBecomeMHz(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.nodes(machine("a", "default", 3000, 4, true), machine("b", "default", 2500, 4, true), machine("c", "default", 1000, 4, false), machine("d", "gpu", 1500, 4, true), machine("e", "down", 1200, 4, false))
	for pool, want := range map[string]int{"": 1250, "gpu": 750, "down": 600, "empty": 750, "all": 750} {
		spec := scheduler.Spec{ID: "a", Generation: 1, Resources: scheduler.Resources{CPUGuarantee: 0.5}}
		spec.Workload.Placement.NodePool = pool
		job, err := s.compose(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", pool, err)
			continue
		}
		if got := value(job.TaskGroups[0].Tasks[0].Resources.CPU); got != want {
			t.Errorf("pool %q: %d MHz, want %d", pool, got, want)
		}
	}
	if n := w.count("GET /v1/nodes"); n != 1 {
		t.Errorf("the machines were listed %d times", n)
	}
}

func TestCoresWithoutMachines(t *testing.T) {
	t.Parallel()
	spec := scheduler.Spec{ID: "a", Generation: 1, Resources: scheduler.Resources{CPUGuarantee: 0.5}}
	w, s := newWire(t)
	w.mux.HandleFunc("GET /v1/nodes", fail(http.StatusForbidden, "Permission denied"))
	_, err := s.compose(t.Context(), spec)
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, "read nodes") {
		t.Errorf("without the right: %v", err)
	}
	w, s = newWire(t)
	w.nodes()
	if _, err := s.compose(t.Context(), spec); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("without machines: %v", err)
	}
	if _, err := s.compose(t.Context(), specA(1)); err != nil || w.count("GET /v1/nodes") != 1 {
		t.Errorf("a Spec without cores asks for machines: %v", err)
	}
}

// TestForecasts tells "not now" from "never" by what machines have in all.
func TestForecasts(t *testing.T) {
	t.Parallel()
	ready := scheduler.Node{Pool: "default", Datacenter: "dc1", Ready: true, Drivers: []string{"raw_exec"}, CPU: 8000, MHzPerCore: 2000, MemoryMB: 8192, DiskMB: 50000}
	down := ready
	down.Ready, down.Devices = false, map[string]int{"nvidia/gpu/T4": 2}
	memory := obstacle{why: why{reason: "2 GB of memory asked, none of 2 nodes has it free."}, resource: "memory", nodes: 2}
	condition := obstacle{why: why{reason: "none of 2 nodes fulfils the job's condition."}, filtered: true, nodes: 2}
	cases := map[string]struct {
		ask     scheduler.Resources
		found   obstacle
		nodes   []scheduler.Node
		blind   bool
		verdict scheduler.Verdict
		reason  string
	}{
		"no room now":                  {scheduler.Resources{}, memory, []scheduler.Node{ready}, false, scheduler.FitsLater, "It would wait: 2 GB of memory asked"},
		"too much":                     {scheduler.Resources{MemoryMB: 9000}, memory, []scheduler.Node{ready}, false, scheduler.FitsNever, "No machine of the cluster has 8.8 GB of memory."},
		"too much, and nobody knows":   {scheduler.Resources{MemoryMB: 9000}, memory, nil, true, scheduler.FitsLater, "It would wait: "},
		"a condition":                  {scheduler.Resources{}, condition, []scheduler.Node{ready}, false, scheduler.FitsNever, "It can never start: "},
		"a condition, blindly":         {scheduler.Resources{}, condition, nil, true, scheduler.FitsNever, "It can never start: "},
		"a condition, one is away":     {scheduler.Resources{}, condition, []scheduler.Node{ready, down}, false, scheduler.FitsLater, "It would wait: "},
		"no machine":                   {scheduler.Resources{}, condition, nil, false, scheduler.FitsNever, "There is no machine of the cluster that may run it."},
		"the device is on one away":    {gpus("nvidia/gpu", 2), condition, []scheduler.Node{ready, down}, false, scheduler.FitsLater, "It would wait: "},
		"more devices than any has":    {gpus("gpu", 3), condition, []scheduler.Node{ready, down}, false, scheduler.FitsNever, "No machine of the cluster has 3 of the device gpu."},
		"a device of another model":    {gpus("nvidia/gpu/A100", 1), condition, []scheduler.Node{down}, false, scheduler.FitsNever, "No machine of the cluster has 1 of the device nvidia/gpu/A100."},
		"too many cores":               {scheduler.Resources{Cores: 5}, memory, []scheduler.Node{ready}, false, scheduler.FitsNever, "No machine of the cluster has 5 processor cores."},
		"memory here, processor there": {scheduler.Resources{MemoryMB: 8000, CPU: 9000}, memory, []scheduler.Node{ready, {Pool: "default", Datacenter: "dc1", Drivers: []string{"raw_exec"}, CPU: 20000, MemoryMB: 1024, DiskMB: 50000}}, false, scheduler.FitsNever, "No machine of the cluster has 7.8 GB of memory and 9000 MHz of processor together."},
	}
	for name, c := range cases {
		job, _, err := composed(t, func(s *scheduler.Spec) { s.Resources = c.ask })
		if err != nil {
			t.Fatal(err)
		}
		got := forecast(job, c.found, "default", c.nodes, !c.blind)
		if got.Verdict != c.verdict || !strings.HasPrefix(got.Reason, c.reason) {
			t.Errorf("%s: %+v, want %s with %q", name, got, c.verdict, c.reason)
		}
	}
}

func gpus(name string, n int) scheduler.Resources {
	return scheduler.Resources{Devices: []scheduler.Device{{Name: name, Count: n}}}
}

// TestDemandCountsWhatRunsAtTheSameTime: what runs before or after the server needs no room beside it.
func TestDemandCountsWhatRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	job, _, err := composed(t, func(s *scheduler.Spec) {
		s.Resources = scheduler.Resources{CPU: 100, MemoryMB: 1000}
		own := scheduler.Resources{CPU: 10, MemoryMB: 100}
		s.Workload.Tasks = []scheduler.Task{
			{Name: "before", Hook: scheduler.HookPrestart, Command: "x", Resources: scheduler.Resources{CPU: 9000, MemoryMB: 9000}},
			{Name: "beside", Hook: scheduler.HookPrestart, Sidecar: true, Command: "x", Resources: own},
			{Name: "beside2", Hook: scheduler.HookPoststart, Sidecar: true, Command: "x", Resources: own},
			{Name: "after", Hook: scheduler.HookPoststop, Command: "x", Resources: scheduler.Resources{CPU: 9000, MemoryMB: 9000}},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := demandOf(job); got.cpu != 120 || got.memory != 1200 || got.disk != 300 || len(got.drivers) != 1 {
		t.Errorf("demand %+v", got)
	}
}

// TestForecastWithoutPlans: some versions of Nomad make none for a hub whose token is a workload identity. What machines have in all is known all the same.
func TestForecastWithoutPlans(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.mux.HandleFunc("PUT /v1/job/notebook-a/plan", fail(500, "acl token lookup failed: index error: UUID must be 36 characters"))
	w.mux.HandleFunc("PUT /v1/validate/job", reply(api.JobValidateResponse{}))
	w.nodes(machine("a", "default", 2000, 4, true))
	if got, err := s.Plan(t.Context(), specA(1)); !errors.Is(err, scheduler.ErrUnavailable) || !strings.Contains(err.Error(), "nomad_creds") {
		t.Errorf("what may fit: %+v, %v", got, err)
	}
	large := specA(1)
	large.Resources.MemoryMB = 5000
	if got, err := s.Plan(t.Context(), large); err != nil || got.Verdict != scheduler.FitsNever || got.Resource != "memory" || got.Reason != "No machine of the cluster has 4.9 GB of memory." {
		t.Errorf("what can never fit: %+v, %v", got, err)
	}
	if told, err := s.Advise(t.Context(), specA(1)); err != nil || !strings.Contains(strings.Join(told, " "), "does not isolate") {
		t.Errorf("advice: %q, %v", told, err)
	}
}

// TestAdviceOnStickyDisks: who takes them for a place where files stay is told that they are none.
func TestAdviceOnStickyDisks(t *testing.T) {
	t.Parallel()
	for name, warned := range map[string]bool{"home": true, "data": true, "pip-cache": false, "scratch": false} {
		w, s := newWire(t)
		w.mux.HandleFunc("PUT /v1/job/notebook-a/plan", reply(api.JobPlanResponse{}))
		w.nodes(machine("a", "default", 2000, 4, true))
		spec := specA(1)
		spec.Workload.Driver = "exec"
		spec.Workload.Mounts = []scheduler.Mount{{Name: name, Kind: scheduler.MountSticky, Path: "/alloc/data"}}
		told, err := s.Advise(t.Context(), spec)
		if got := strings.Contains(strings.Join(told, " "), "it is no home"); err != nil || got != warned {
			t.Errorf("%s: %q, %v", name, told, err)
		}
	}
}

func TestPlanOfWhatNomadRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		plan     http.HandlerFunc
		validate http.HandlerFunc
		rejected string // "": ErrUnavailable
	}{
		"no leader":             {fail(500, "No cluster leader"), fail(500, "No cluster leader"), ""},
		"a token that is over":  {fail(403, "Permission denied"), fail(403, "Permission denied"), ""},
		"a job that is wrong":   {fail(500, "1 error occurred"), reply(api.JobValidateResponse{ValidationErrors: []string{"Job priority must be between [1, 100]"}}), "priority"},
		"a request that is odd": {fail(400, "Job must be specified"), nil, "Job must be specified."},
	}
	for name, c := range cases {
		w, s := newWire(t)
		w.mux.HandleFunc("PUT /v1/job/notebook-a/plan", c.plan)
		if c.validate != nil {
			w.mux.HandleFunc("PUT /v1/validate/job", c.validate)
		}
		_, err := s.Plan(t.Context(), specA(1))
		rejected, ok := errors.AsType[*scheduler.RejectedError](err)
		if c.rejected == "" && (ok || !errors.Is(err, scheduler.ErrUnavailable)) || c.rejected != "" && (!ok || !strings.Contains(rejected.Reason, c.rejected)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

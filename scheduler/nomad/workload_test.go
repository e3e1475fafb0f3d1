package nomad

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// hostile is text that would mean something in HCL, in a template, to a shell or in JSON, if any of them ever read it.
const hostile = "\"; ${attr.kernel.name} {{ key \"x\" }} %{ if true } \\ ' \n $(id)"

// fullWorkload has something in each field that the driver can do.
func fullWorkload(driver string) scheduler.Spec {
	s := fullSpec()
	s.Resources = scheduler.Resources{
		CPUGuarantee: 0.5, CPULimit: 2, MemoryMB: 1024, MemoryMaxMB: 4096, DiskMB: 500,
		Devices: []scheduler.Device{{
			Name: "nvidia/gpu/Tesla T4", Count: 2,
			Constraints: []scheduler.Constraint{{Attribute: "device.attr.memory", Operator: ">=", Value: "8 GiB"}},
			Affinities:  []scheduler.Affinity{{Constraint: scheduler.Constraint{Attribute: "${device.model}", Value: "A100"}, Weight: 50}},
		}},
	}
	s.Workload = scheduler.Workload{
		Driver: driver, Command: "start-notebook.py", Args: []string{"--debug", hostile}, User: "1000:100", WorkDir: "/home/jovyan",
		Config: map[string]any{"extra": hostile, "ulimit": map[string]any{"nofile": "1024"}},
		Placement: scheduler.Placement{
			NodePool: "gpu", Datacenters: []string{"dc*"}, Priority: 60,
			Constraints: []scheduler.Constraint{{Attribute: "${attr.cpu.arch}", Operator: "=", Value: "amd64"}, {Attribute: "meta.gpu", Operator: "is_set"}},
			Affinities:  []scheduler.Affinity{{Constraint: scheduler.Constraint{Attribute: "node.class", Operator: "=", Value: "large"}, Weight: -20}},
			Spreads:     []scheduler.Spread{{Attribute: "node.datacenter", Weight: 100, Targets: map[string]int{"dc1": 70, "dc2": 30}}},
		},
		Network: scheduler.Network{Mode: "bridge", Port: 8888, HostNetwork: "private", Ports: map[string]int{"dask": 8787, "app": 0}},
		Tasks: []scheduler.Task{
			{
				Name: "prepare", Hook: scheduler.HookPrestart, Command: "/bin/chown", Args: []string{"1000:100", "/home"}, User: "root",
				Env: map[string]string{"A": "b"}, Resources: scheduler.Resources{CPUGuarantee: 0.05, MemoryMB: 32},
			},
			{Name: "proxy", Hook: scheduler.HookPoststart, Sidecar: true, Command: "squid", Resources: scheduler.Resources{CPU: 20, MemoryMB: 64, MemoryMaxMB: 128}},
		},
		StopSignal: "SIGINT", StopTimeout: time.Minute, PullTimeout: 20 * time.Minute,
		Restart:    &scheduler.Restart{Attempts: 2, Interval: 10 * time.Minute, Delay: 15 * time.Second},
		Reschedule: &scheduler.Reschedule{Attempts: 1, Interval: time.Hour},
		Disconnect: &scheduler.Disconnect{LostAfter: 6 * time.Hour},
	}
	w := &s.Workload
	if driver == driverRawExec {
		return s
	}
	w.Network.DNS = []string{"192.0.2.1"}
	w.Mounts = []scheduler.Mount{
		{Name: "home", Kind: scheduler.MountDynamic, Source: "home-u1", Path: "/home/jovyan"},
		{Name: "data", Kind: scheduler.MountHost, Source: "datasets", Path: "/data", ReadOnly: true},
		{Name: "team", Kind: scheduler.MountCSI, Source: "team", Path: "/team", AccessMode: "multi-node-multi-writer"},
		{Name: "papers", Kind: scheduler.MountCSI, Source: "papers", Path: "/papers", ReadOnly: true},
		{Name: "scratch", Kind: scheduler.MountSticky, Path: ownDisk},
	}
	w.Tasks[0].Mounts = map[string]string{"home": "/mnt/home"}
	if driver == driverExec {
		return s
	}
	w.Image = "registry.example.org/jupyter/base-notebook:2026-01-05"
	w.Tasks[0].Image, w.Tasks[1].Image = "busybox:1", "squid"
	w.Mounts[4].Path = "/scratch"
	if driver == driverDocker {
		w.Config["mount"] = []any{map[string]any{"type": "tmpfs", "target": "/tmp"}}
		w.Mounts = append(w.Mounts, scheduler.Mount{Name: "cache", Kind: scheduler.MountDocker, Source: "pip-cache", Path: "/home/jovyan/.cache"})
	}
	return s
}

func mhz2000(o *Options) { o.MHzPerCore = 2000 }

// TestGoldenWorkload holds the whole job that comes of a full workload for each driver.
func TestGoldenWorkload(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{driverDocker, driverPodman, driverExec, driverRawExec} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			spec := fullWorkload(driver)
			if err := spec.Validate(); err != nil {
				t.Fatal(err)
			}
			job, err := parsedScheduler(t, mhz2000).compose(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, "workload-"+driver+".golden.json", job)
		})
	}
}

// composed makes a job of a Spec that does not differ from the least one but by the change.
func composed(t *testing.T, change func(*scheduler.Spec)) (*api.Job, *api.Task, error) {
	t.Helper()
	spec := scheduler.Spec{ID: "a", Generation: 1, URLVariable: "URL", URLPath: "/"}
	change(&spec)
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	job, err := parsedScheduler(t, mhz2000).compose(t.Context(), spec)
	if err != nil {
		return nil, nil, err
	}
	return job, job.TaskGroups[0].Tasks[0], nil
}

func TestAnEmptyWorkloadLeavesTheTemplate(t *testing.T) {
	t.Parallel()
	job, _, err := composed(t, func(*scheduler.Spec) {})
	if err != nil {
		t.Fatal(err)
	}
	template, err := parsedScheduler(t, nil).template(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	task, own := job.TaskGroups[0].Tasks[0], template.TaskGroups[0].Tasks[0]
	if diff := cmp.Diff(own.Config, task.Config); diff != "" {
		t.Errorf("the task's options (-template +job):\n%s", diff)
	}
	if diff := cmp.Diff(template.TaskGroups[0].Networks, job.TaskGroups[0].Networks); diff != "" {
		t.Errorf("the network (-template +job):\n%s", diff)
	}
}

func TestCommandsReplaceWhatTheTemplateRuns(t *testing.T) {
	t.Parallel()
	shell := []any{"-c", `umask 077 && mkdir -p "$HOME" && cd "$HOME" && exec "$@"`, "notebook"}
	cases := map[string]struct {
		workload scheduler.Workload
		command  any
		args     any
	}{
		"arguments alone": {scheduler.Workload{Args: []string{"--debug"}}, "/bin/sh", append(shell[:3:3], "jupyterhub-singleuser", "--debug")},
		"no arguments":    {scheduler.Workload{Args: []string{}}, "/bin/sh", append(shell[:3:3], "jupyterhub-singleuser")},
		"a command":       {scheduler.Workload{Command: "lab"}, "/bin/sh", append(shell[:3:3], "lab")},
		"both":            {scheduler.Workload{Command: "lab", Args: []string{"-x"}}, "/bin/sh", append(shell[:3:3], "lab", "-x")},
		"under exec":      {scheduler.Workload{Driver: driverExec, Command: "lab"}, "/bin/sh", append(shell[:3:3], "lab")},
		"the image's own": {scheduler.Workload{Driver: driverDocker, Image: "x"}, nil, nil},
		"in an image":     {scheduler.Workload{Driver: driverDocker, Image: "x", Command: "lab", Args: []string{"-x"}}, "lab", []any{"-x"}},
	}
	for name, c := range cases {
		_, task, err := composed(t, func(s *scheduler.Spec) { s.Workload = c.workload })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff([]any{c.command, c.args}, []any{task.Config["command"], task.Config["args"]}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestContainersTakeNothingOfTheMachineFromTheTemplate(t *testing.T) {
	t.Parallel()
	_, task, err := composed(t, func(s *scheduler.Spec) { s.Workload.Driver, s.Workload.Image = driverDocker, "x" })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"URL": "http://0.0.0.0:${NOMAD_ALLOC_PORT_http}/"}
	if diff := cmp.Diff(want, task.Env); diff != "" || task.User != "" {
		t.Errorf("user %q, environment (-want +got):\n%s", task.User, diff)
	}
	if diff := cmp.Diff(map[string]any{"image": "x", "ports": []any{"http"}}, task.Config); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestLimitsOfTheProcessor(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		driver string
		ask    scheduler.Resources
		cpu    int // MHz; 0: whole cores
		hard   any
	}{
		"a guarantee":                                {driverRawExec, scheduler.Resources{CPUGuarantee: 0.5}, 1000, nil},
		"a guarantee that is hardly any":             {driverRawExec, scheduler.Resources{CPUGuarantee: 0.0001}, 1, nil},
		"a limit that nobody holds":                  {driverExec, scheduler.Resources{CPUGuarantee: 0.5, CPULimit: 2}, 1000, nil},
		"a limit on a container is reserved":         {driverDocker, scheduler.Resources{CPUGuarantee: 0.5, CPULimit: 2}, 4000, true},
		"a limit alone":                              {driverPodman, scheduler.Resources{CPULimit: 1.5}, 3000, true},
		"whole cores are a limit":                    {driverDocker, scheduler.Resources{Cores: 2, CPULimit: 2}, 0, nil},
		"MHz below a limit":                          {driverDocker, scheduler.Resources{CPU: 500, CPULimit: 1}, 2000, true},
		"MHz without a limit stay what they were":    {driverDocker, scheduler.Resources{CPU: 500}, 500, nil},
		"nothing asked leaves what the template has": {driverDocker, scheduler.Resources{}, 200, nil},
	}
	for name, c := range cases {
		_, task, err := composed(t, func(s *scheduler.Spec) {
			s.Resources, s.Workload.Driver = c.ask, c.driver
			if c.driver == driverDocker || c.driver == driverPodman {
				s.Workload.Image = "x"
			}
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := value(task.Resources.CPU); got != c.cpu || task.Config["cpu_hard_limit"] != c.hard || (c.cpu == 0) != (value(task.Resources.Cores) > 0) {
			t.Errorf("%s: cpu %d, cores %v, hard %v; want %d, %v", name, got, task.Resources.Cores, task.Config["cpu_hard_limit"], c.cpu, c.hard)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		driver string
		ask    scheduler.Network
		mode   string
		engine any // the container engine's network
		ports  any
		url    string // the host in it
	}{
		"a container with a port inside":       {driverDocker, scheduler.Network{Port: 8888}, "", nil, []any{"http"}, "0.0.0.0"},
		"a container on its machine's network": {driverDocker, scheduler.Network{Mode: "host"}, "host", "host", nil, "${NOMAD_IP_http}"},
		"a container in a network of Nomad's":  {driverDocker, scheduler.Network{Mode: "bridge", Port: 8888}, "bridge", nil, nil, "0.0.0.0"},
		"a container in a network of Docker's": {driverDocker, scheduler.Network{Mode: "lab", Ports: map[string]int{"dask": 8787}}, "host", "lab", []any{"http", "dask"}, "0.0.0.0"},
		"a process in a network of Nomad's":    {driverExec, scheduler.Network{Mode: "cni/lab", Port: 8888}, "cni/lab", nil, nil, "0.0.0.0"},
		"a process":                            {driverRawExec, scheduler.Network{Mode: "host"}, "host", nil, nil, "${NOMAD_IP_http}"},
	}
	for name, c := range cases {
		job, task, err := composed(t, func(s *scheduler.Spec) {
			s.Workload.Driver, s.Workload.Network = c.driver, c.ask
			if c.driver == driverDocker {
				s.Workload.Image = "x"
			}
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := []any{job.TaskGroups[0].Networks[0].Mode, task.Config["network_mode"], task.Config["ports"], task.Env["URL"]}
		want := []any{c.mode, c.engine, c.ports, "http://" + c.url + ":${NOMAD_ALLOC_PORT_http}/"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRefusesWhatADriverCannotDo: better no server than one without what its profile says.
func TestRefusesWhatADriverCannotDo(t *testing.T) {
	t.Parallel()
	home := []scheduler.Mount{{Name: "home", Kind: scheduler.MountDynamic, Source: "x", Path: "/home/x"}}
	cases := map[string]struct {
		change func(*scheduler.Spec)
		reason string
	}{
		"an image without containers":     {func(s *scheduler.Spec) { s.Workload.Image = "x" }, "docker or podman"},
		"a container without an image":    {func(s *scheduler.Spec) { s.Workload.Driver = driverDocker }, "No image"},
		"a process without a command":     {func(s *scheduler.Spec) { s.Workload.Template = "bare" }, "No command"},
		"an unknown jobspec":              {func(s *scheduler.Spec) { s.Workload.Template = "nope" }, `no jobspec named "nope"`},
		"a command for an unknown driver": {func(s *scheduler.Spec) { s.Workload.Driver, s.Workload.Command = "qemu", "x" }, "does not know"},
		"a volume for raw_exec":           {func(s *scheduler.Spec) { s.Workload.Mounts = home }, "shows no volumes"},
		"a Docker volume for exec": {func(s *scheduler.Spec) {
			s.Workload.Driver = driverExec
			s.Workload.Mounts = []scheduler.Mount{{Name: "c", Kind: scheduler.MountDocker, Source: "x", Path: "/c"}}
		}, "Docker engine"},
		"the own disk elsewhere": {func(s *scheduler.Spec) {
			s.Workload.Driver = driverExec
			s.Workload.Mounts = []scheduler.Mount{{Name: "c", Kind: scheduler.MountSticky, Path: "/c"}}
		}, "/alloc/data"},
		"an engine's network for a process": {func(s *scheduler.Spec) { s.Workload.Network.Mode = "lab" }, "no containers"},
		"a port inside for a process":       {func(s *scheduler.Spec) { s.Workload.Network.Port = 8888 }, "port inside"},
		"a port inside on the machine's network": {func(s *scheduler.Spec) {
			s.Workload = scheduler.Workload{Driver: driverDocker, Image: "x", Network: scheduler.Network{Mode: "host", Port: 8888}}
		}, "port inside"},
		"DNS for raw_exec":  {func(s *scheduler.Spec) { s.Workload.Network.DNS = []string{"192.0.2.1"} }, "DNS"},
		"another namespace": {func(s *scheduler.Spec) { s.Workload.Placement.Namespace = "other" }, `"notebooks"`},
		"another region":    {func(s *scheduler.Spec) { s.Workload.Placement.Region = "other" }, "region"},
		"MHz above the limit": {func(s *scheduler.Spec) {
			s.Resources = scheduler.Resources{CPU: 9000, CPULimit: 1}
			s.Workload.Driver, s.Workload.Image = driverDocker, "x"
		}, "below"},
		"a task without image": {func(s *scheduler.Spec) {
			s.Workload.Tasks = []scheduler.Task{{Name: "a", Hook: "prestart", Driver: driverDocker}}
		}, `In the task "a"`},
	}
	for name, c := range cases {
		s := parsedScheduler(t, func(o *Options) { o.MHzPerCore, o.Jobspecs = 2000, map[string]string{"bare": "parsed already"} })
		(*s.templates.Load())["bare"].parsed.Store(&api.Job{TaskGroups: []*api.TaskGroup{{
			Networks: []*api.NetworkResource{{DynamicPorts: []api.Port{{Label: "http"}}}}, Tasks: []*api.Task{{Name: "notebook", Driver: "exec"}},
		}}})
		spec := scheduler.Spec{ID: "a", Generation: 1}
		c.change(&spec)
		_, err := s.compose(t.Context(), spec)
		rejected, ok := errors.AsType[*scheduler.RejectedError](err)
		if !ok || !strings.Contains(rejected.Reason, c.reason) || !strings.HasSuffix(rejected.Reason, ".") {
			t.Errorf("%s: %v, want a rejection with %q", name, err, c.reason)
		}
	}
}

func TestJobspecsByName(t *testing.T) {
	t.Parallel()
	s := parsedScheduler(t, func(o *Options) {
		o.Jobspec = `variable "cpu" {}`
		o.Jobspecs = map[string]string{"gpu": `variable "cpu" {}` + "\n" + `variable "model" {}`}
		o.Variables = map[string]string{"cpu": "1", "model": "x"}
	})
	before := *s.templates.Load()
	if diff := cmp.Diff(map[string]string{"cpu": "1"}, before[""].variables); diff != "" {
		t.Errorf("variables of the default one (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"cpu": "1", "model": "x"}, before["gpu"].variables); diff != "" {
		t.Errorf("variables of the other (-want +got):\n%s", diff)
	}
	if err := s.SetJobspecs(map[string]string{"gpu": before["gpu"].text, "big": "job {}"}); err != nil {
		t.Fatal(err)
	}
	if after := *s.templates.Load(); after[""] != before[""] || after["gpu"] != before["gpu"] || after["big"] == nil {
		t.Error("a jobspec that is as before is parsed anew, or a new one is missing")
	}
	for name, bad := range map[string]map[string]string{
		"a variable that none declares": {"gpu": "job {}"},
		"an empty one":                  {"gpu": before["gpu"].text, "empty": " "},
		"one without a name":            {"": "job {}"},
	} {
		if err := s.SetJobspecs(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if (*s.templates.Load())["big"] == nil {
			t.Errorf("%s: refused, and the former ones are gone", name)
		}
	}
}

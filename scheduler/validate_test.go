package scheduler_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

func least() scheduler.Spec { return scheduler.Spec{ID: "a", Generation: 1} }

// full has something in every field of a Workload, all of it possible at once.
func full() scheduler.Spec {
	s := least()
	s.Resources = scheduler.Resources{
		CPUGuarantee: 0.5, CPULimit: 2, MemoryMB: 1024, MemoryMaxMB: 4096, DiskMB: 500,
		Devices: []scheduler.Device{{
			Name: "nvidia/gpu/Tesla T4", Count: 1,
			Constraints: []scheduler.Constraint{{Attribute: "device.attr.memory", Operator: ">=", Value: "8 GiB"}},
			Affinities:  []scheduler.Affinity{{Constraint: scheduler.Constraint{Attribute: "device.model", Operator: "=", Value: "A100"}, Weight: 50}},
		}},
	}
	s.Workload = scheduler.Workload{
		Template: "gpu", Driver: "docker", Image: "registry.example.org/jupyter/base-notebook:2026-01-05@sha256:0123", Command: "start-notebook.py",
		Args: []string{"--debug", `"; ${attr.kernel.name}`}, User: "1000:100", WorkDir: "/home/jovyan",
		Config: map[string]any{
			"shm_size": 1 << 30, "security_opt": []string{"no-new-privileges"}, "ulimit": map[string]any{"nofile": "1024"},
			"mount": []any{map[string]any{"type": "tmpfs", "target": "/scratch", "tmpfs_options": map[string]any{"size": 1.5}}}, "init": true,
		},
		Placement: scheduler.Placement{
			Region: "global", Namespace: "notebooks", NodePool: "gpu", Datacenters: []string{"dc*"}, Priority: 60,
			Constraints: []scheduler.Constraint{{Attribute: "${attr.cpu.arch}", Operator: "=", Value: "amd64"}, {Attribute: "meta.gpu", Operator: "is_set"}},
			Affinities:  []scheduler.Affinity{{Constraint: scheduler.Constraint{Attribute: "node.class", Operator: "=", Value: "large"}, Weight: -20}},
			Spreads:     []scheduler.Spread{{Attribute: "node.datacenter", Weight: 100, Targets: map[string]int{"dc1": 70, "dc2": 30}}},
		},
		Network: scheduler.Network{Mode: "bridge", Port: 8888, HostNetwork: "private", Ports: map[string]int{"dask": 8787, "app": 0}, DNS: []string{"192.0.2.1"}},
		Mounts: []scheduler.Mount{
			{Name: "home", Kind: scheduler.MountDynamic, Source: "home-u1", Path: "/home/jovyan", AccessMode: "single-node-writer"},
			{Name: "data", Kind: scheduler.MountHost, Source: "datasets", Path: "/data", ReadOnly: true},
			{Name: "team", Kind: scheduler.MountCSI, Source: "team[0]", Path: "/team", AccessMode: "multi-node-multi-writer", AttachmentMode: "file-system"},
			{Name: "scratch", Kind: scheduler.MountSticky, Path: "/scratch2"},
			{Name: "cache", Kind: scheduler.MountDocker, Source: "pip-cache", Path: "/home/jovyan/.cache"},
		},
		Tasks: []scheduler.Task{
			{
				Name: "prepare", Hook: scheduler.HookPrestart, Driver: "docker", Image: "busybox:1", Command: "/bin/chown",
				Args: []string{"1000:100", "/home"}, User: "root", Env: map[string]string{"A": "b"},
				Resources: scheduler.Resources{CPU: 50, MemoryMB: 32}, Mounts: map[string]string{"home": "/home/x"},
			},
			{Name: "proxy", Hook: scheduler.HookPoststart, Sidecar: true, Driver: "docker", Image: "squid", Resources: scheduler.Resources{MemoryMB: 64}},
		},
		StopSignal: "SIGINT", StopTimeout: time.Minute, PullTimeout: 20 * time.Minute,
		Restart:    &scheduler.Restart{Attempts: 2, Interval: 10 * time.Minute, Delay: 15 * time.Second},
		Reschedule: &scheduler.Reschedule{Attempts: 1, Interval: time.Hour},
		Disconnect: &scheduler.Disconnect{LostAfter: 6 * time.Hour},
	}
	return s
}

func TestValidAccepts(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]scheduler.Spec{"least": least(), "full": full()} {
		if err := spec.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestValidateRefuses changes one thing at a time in a Spec that has everything, into what no scheduler can ever do.
func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	type change = func(*scheduler.Spec)
	cases := map[string]struct {
		change change
		reason string // part of the sentence
	}{
		"a server's ID with a slash":      {func(s *scheduler.Spec) { s.ID = "../a" }, "ID"},
		"negative processor":              {func(s *scheduler.Spec) { s.Resources = scheduler.Resources{CPU: -1} }, "less than nothing"},
		"negative cores":                  {func(s *scheduler.Spec) { s.Resources = scheduler.Resources{Cores: -1} }, "less than nothing"},
		"a guarantee that is no number":   {func(s *scheduler.Spec) { s.Resources.CPUGuarantee = math.NaN() }, "less than nothing"},
		"a limit without end":             {func(s *scheduler.Spec) { s.Resources.CPULimit = math.Inf(1) }, "less than nothing"},
		"MHz and cores":                   {func(s *scheduler.Spec) { s.Resources = scheduler.Resources{CPU: 100, Cores: 1} }, "more than one way"},
		"MHz and a guarantee":             {func(s *scheduler.Spec) { s.Resources.CPU = 100 }, "more than one way"},
		"a limit below the guarantee":     {func(s *scheduler.Spec) { s.Resources.CPULimit = 0.25 }, "below"},
		"more cores than there are":       {func(s *scheduler.Spec) { s.Resources = scheduler.Resources{Cores: 1 << 40} }, "more than"},
		"negative memory":                 {func(s *scheduler.Spec) { s.Resources.MemoryMB = -1 }, "less than nothing"},
		"negative disk":                   {func(s *scheduler.Spec) { s.Resources.DiskMB = -1 }, "less than nothing"},
		"memory beyond counting":          {func(s *scheduler.Spec) { s.Resources.MemoryMaxMB = math.MaxInt64 }, "more than"},
		"a memory limit below the rest":   {func(s *scheduler.Spec) { s.Resources.MemoryMaxMB = 1 }, "below"},
		"no device":                       {func(s *scheduler.Spec) { s.Resources.Devices[0].Count = 0 }, "at least 1"},
		"a device's name":                 {func(s *scheduler.Spec) { s.Resources.Devices[0].Name = "a/b/c/d" }, "named"},
		"a device twice":                  {func(s *scheduler.Spec) { d := s.Resources.Devices; s.Resources.Devices = append(d, d[0]) }, "twice"},
		"a device's condition":            {func(s *scheduler.Spec) { s.Resources.Devices[0].Constraints[0].Operator = "like" }, "operator"},
		"a jobspec's name that is a path": {func(s *scheduler.Spec) { s.Workload.Template = "../x" }, "jobspec"},
		"a driver's name":                 {func(s *scheduler.Spec) { s.Workload.Driver = "Docker!" }, "driver"},
		"an image with a variable":        {func(s *scheduler.Spec) { s.Workload.Image = "x:${NOMAD_ALLOC_ID}" }, "image"},
		"an image with a space":           {func(s *scheduler.Spec) { s.Workload.Image = "a b" }, "image"},
		"an image with a template":        {func(s *scheduler.Spec) { s.Workload.Image = "{{ key `x` }}" }, "image"},
		"an account with a variable":      {func(s *scheduler.Spec) { s.Workload.User = "${env.USER}" }, "account"},
		"a folder to begin in with ..":    {func(s *scheduler.Spec) { s.Workload.WorkDir = "/home/../root" }, "folder"},
		"an argument that is no text":     {func(s *scheduler.Spec) { s.Workload.Args = []string{"\xff"} }, "argument"},
		"a command with a zero":           {func(s *scheduler.Spec) { s.Workload.Command = "a\x00b" }, "command"},
		"an option that is a function":    {func(s *scheduler.Spec) { s.Workload.Config["x"] = func() {} }, "kind"},
		"an option that is no number":     {func(s *scheduler.Spec) { s.Workload.Config["x"] = math.NaN() }, "number"},
		"options too deep":                {func(s *scheduler.Spec) { s.Workload.Config["x"] = deep(20) }, "deep"},
		"a signal":                        {func(s *scheduler.Spec) { s.Workload.StopSignal = "TERM" }, "signal"},
		"a negative time to stop":         {func(s *scheduler.Spec) { s.Workload.StopTimeout = -1 }, "time"},
		"a pull without end":              {func(s *scheduler.Spec) { s.Workload.PullTimeout = math.MaxInt64 }, "time"},
		"negative attempts":               {func(s *scheduler.Spec) { s.Workload.Restart.Attempts = -1 }, "attempts"},
		"both ways after lost contact":    {func(s *scheduler.Spec) { s.Workload.Disconnect.StopAfter = 1 }, "choose one"},
		"rescheduled with and without":    {func(s *scheduler.Spec) { s.Workload.Reschedule.Unlimited = true }, "without end"},
		"a region":                        {func(s *scheduler.Spec) { s.Workload.Placement.Region = "a b" }, "region"},
		"a namespace that means all":      {func(s *scheduler.Spec) { s.Workload.Placement.Namespace = "*" }, "namespace"},
		"a pool with a variable":          {func(s *scheduler.Spec) { s.Workload.Placement.NodePool = "${x}" }, "node pool"},
		"a datacenter":                    {func(s *scheduler.Spec) { s.Workload.Placement.Datacenters = []string{"dc 1"} }, "datacenter"},
		"a priority":                      {func(s *scheduler.Spec) { s.Workload.Placement.Priority = 101 }, "priority"},
		"a condition without attribute":   {func(s *scheduler.Spec) { s.Workload.Placement.Constraints[0].Attribute = "" }, "attribute"},
		"a condition without value":       {func(s *scheduler.Spec) { s.Workload.Placement.Constraints[0].Value = "" }, "compare"},
		"a wish without weight":           {func(s *scheduler.Spec) { s.Workload.Placement.Affinities[0].Weight = 0 }, "weight"},
		"a wish's operator":               {func(s *scheduler.Spec) { s.Workload.Placement.Affinities[0].Operator = "distinct_hosts" }, "wishes"},
		"a spread's shares":               {func(s *scheduler.Spec) { s.Workload.Placement.Spreads[0].Targets["dc3"] = 1 }, "percent"},
		"a spread's weight":               {func(s *scheduler.Spec) { s.Workload.Placement.Spreads[0].Weight = 0 }, "weight"},
		"no network":                      {func(s *scheduler.Spec) { s.Workload.Network.Mode = "none" }, "reached"},
		"a network with a variable":       {func(s *scheduler.Spec) { s.Workload.Network.Mode = "container:${x}" }, "network mode"},
		"a port":                          {func(s *scheduler.Spec) { s.Workload.Network.Port = 70000 }, "no port"},
		"the server's port again":         {func(s *scheduler.Spec) { s.Workload.Network.Ports["http"] = 1 }, "own"},
		"a port's label":                  {func(s *scheduler.Spec) { s.Workload.Network.Ports["a-b"] = 1 }, "label"},
		"a DNS server's name":             {func(s *scheduler.Spec) { s.Workload.Network.DNS = []string{"dns.example"} }, "DNS"},
		"a mount's name":                  {func(s *scheduler.Spec) { s.Workload.Mounts[0].Name = "A/b" }, "name"},
		"two mounts of a name":            {func(s *scheduler.Spec) { s.Workload.Mounts[1].Name = "home" }, "two mounts"},
		"two mounts at a path":            {func(s *scheduler.Spec) { s.Workload.Mounts[1].Path = "/home/jovyan" }, "Two mounts"},
		"a mount of an unknown kind":      {func(s *scheduler.Spec) { s.Workload.Mounts[0].Kind = "nfs" }, "kind"},
		"a mount of a path outside":       {func(s *scheduler.Spec) { s.Workload.Mounts[0].Source = "../../etc" }, "volume"},
		"a mount of an absolute path":     {func(s *scheduler.Spec) { s.Workload.Mounts[4].Source = "/etc" }, "volume"},
		"a mount of a variable":           {func(s *scheduler.Spec) { s.Workload.Mounts[0].Source = "${env.HOME}" }, "volume"},
		"a mount that climbs":             {func(s *scheduler.Spec) { s.Workload.Mounts[0].Path = "/home/../etc" }, "path"},
		"a mount at a relative path":      {func(s *scheduler.Spec) { s.Workload.Mounts[0].Path = "home" }, "path"},
		"a mount at a variable":           {func(s *scheduler.Spec) { s.Workload.Mounts[0].Path = "/${x}" }, "path"},
		"a mount over the secrets":        {func(s *scheduler.Spec) { s.Workload.Mounts[0].Path = "/secrets" }, "system"},
		"a mount over everything":         {func(s *scheduler.Spec) { s.Workload.Mounts[0].Path = "/" }, "system"},
		"a mount's access mode":           {func(s *scheduler.Spec) { s.Workload.Mounts[0].AccessMode = "rw" }, "access mode"},
		"a source for the own disk":       {func(s *scheduler.Spec) { s.Workload.Mounts[3].Source = "x" }, "own disk"},
		"a task named like the server's":  {func(s *scheduler.Spec) { s.Workload.Tasks[0].Name = scheduler.ServerTask }, "two tasks"},
		"two tasks of a name":             {func(s *scheduler.Spec) { s.Workload.Tasks[1].Name = "prepare" }, "two tasks"},
		"a task's name":                   {func(s *scheduler.Spec) { s.Workload.Tasks[0].Name = "a b" }, "name"},
		"a hook":                          {func(s *scheduler.Spec) { s.Workload.Tasks[0].Hook = "prestop" }, "hook"},
		"a sidecar after the end":         {func(s *scheduler.Spec) { s.Workload.Tasks[1].Hook = scheduler.HookPoststop }, "after"},
		"a task's mount":                  {func(s *scheduler.Spec) { s.Workload.Tasks[0].Mounts["nope"] = "/x" }, "no mount"},
		"a task's path":                   {func(s *scheduler.Spec) { s.Workload.Tasks[0].Mounts["home"] = "../x" }, "path"},
		"a task's environment":            {func(s *scheduler.Spec) { s.Workload.Tasks[0].Env["A B"] = "x" }, "environment"},
		"a task's resources":              {func(s *scheduler.Spec) { s.Workload.Tasks[0].Resources.MemoryMB = -5 }, "less than nothing"},
		"a task's disk":                   {func(s *scheduler.Spec) { s.Workload.Tasks[0].Resources.DiskMB = 5 }, "disk"},
	}
	for name, c := range cases {
		spec := full()
		c.change(&spec)
		rejected, ok := errors.AsType[*scheduler.RejectedError](spec.Validate())
		if !ok {
			t.Errorf("%s: not rejected", name)
			continue
		}
		if !strings.Contains(rejected.Reason, c.reason) || !strings.HasSuffix(rejected.Reason, ".") {
			t.Errorf("%s: the reason is %q, want one with %q", name, rejected.Reason, c.reason)
		}
	}
}

func deep(n int) any {
	var v any = "x"
	for range n {
		v = map[string]any{"a": v}
	}
	return v
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// planned is a scheduler of a cluster whose machines have 8 GB and no device.
type planned struct {
	*schedulertest.Fake
	away bool
}

func (p planned) Plan(_ context.Context, spec scheduler.Spec) (scheduler.Forecast, error) {
	switch {
	case p.away:
		return scheduler.Forecast{}, fmt.Errorf("ask Nomad: %w", scheduler.ErrUnavailable)
	case spec.Workload.Placement.Namespace == "gone":
		return scheduler.Forecast{}, &scheduler.RejectedError{Reason: "There is no namespace gone."}
	case len(spec.Resources.Devices) > 0:
		return scheduler.Forecast{Verdict: scheduler.FitsNever, Reason: "No machine has nvidia/gpu.", Resource: "nvidia/gpu"}, nil
	case spec.Resources.MemoryMB > 8<<10:
		return scheduler.Forecast{Verdict: scheduler.FitsLater, Reason: "It waits for memory.", Resource: "memory"}, nil
	}
	return scheduler.Forecast{Verdict: scheduler.FitsNow}, spec.Validate()
}

func (p planned) Advise(_ context.Context, spec scheduler.Spec) ([]string, error) {
	if spec.Resources.MemoryMaxMB > spec.Resources.MemoryMB {
		return []string{"Memory oversubscription is off."}, nil
	}
	return nil, nil
}

func loadText(t *testing.T, text string) config.Config {
	t.Helper()
	cfg, err := config.Load(config.Default(t.TempDir()), []string{write(t, "hub.hcl", text)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestCheckAsksTheCluster(t *testing.T) {
	t.Parallel()
	const offered = `
notebook {
  memory = 512
}
profile "small" {}
profile "large" {
  mem_guarantee = "16G"
}
profile "burst" {
  mem_guarantee = "1G"
  mem_limit     = "2G"
  volume "home" {
    kind = "dynamic"
    path = "/home/jovyan"
  }
  task "prepare" {
    hook    = "prestart"
    command = "true"
    mounts  = { home = "/home" }
  }
}
`
	for name, test := range map[string]struct {
		text   string
		sched  scheduler.Scheduler
		prints []string
		fails  string
	}{
		"fits and waits": {offered, planned{Fake: schedulertest.NewFake()}, []string{
			`Profile "small": fits now.`, `Profile "large": would wait at this moment. It waits for memory.`, `Profile "burst": fits now.`,
			`Mind (Profile "burst"): Memory oversubscription is off.`,
		}, ""},
		"a choice that can never run": {`
profile "lab" {
  option "gpu" {
    type = "bool"
    allow { groups = ["ml"] }
    set {
      device "nvidia/gpu" {}
    }
  }
}`, planned{Fake: schedulertest.NewFake()}, []string{`Profile "lab": fits now.`, `Profile "lab" with gpu = true for members of ml: can never run. No machine has nvidia/gpu.`}, "1 of what profiles and services"},
		"what the cluster refuses": {`
profile "lab" {
  override {
    groups    = ["x"]
    namespace = "gone"
  }
}`, planned{Fake: schedulertest.NewFake()}, []string{`Profile "lab" for members of x: can never run. There is no namespace gone.`}, "1 of what"},
		"a mistake that shows for some": {"profile \"lab\" {\n  node_pool = user.groups[0]\n}", planned{Fake: schedulertest.NewFake()}, []string{`Profile "lab": has a mistake.`, "line 2"}, "1 of what"},
		"services": {`
service "culler" {
  command = ["culler"]
}
service "vast" {
  command    = ["vast"]
  memory     = 16384
  memory_max = 32768
}
service "elsewhere" {
  url = "http://127.0.0.1:9"
}`, planned{Fake: schedulertest.NewFake()}, []string{
			`Service "culler": fits now.`, `Service "vast": would wait at this moment. It waits for memory.`, `Mind (Service "vast"): Memory oversubscription is off.`,
		}, ""},
		"no profiles":             {"", planned{Fake: schedulertest.NewFake()}, []string{"Servers: fits now."}, ""},
		"the cluster is away":     {offered, planned{Fake: schedulertest.NewFake(), away: true}, []string{"The cluster could not be asked", "-offline"}, ""},
		"servers on this machine": {offered, schedulertest.NewFake(), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := loadText(t, test.text)
			set, _, err := decodeProfiles(cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = checkCluster(t.Context(), &out, append(aboutProfiles(*cfg.Notebook, set, test.sched), aboutServices(cfg.Services, test.sched)...))
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("ends with %v", err)
			}
			for _, part := range test.prints {
				if !strings.Contains(out.String(), part) {
					t.Errorf("said\n%sand not %q", out.String(), part)
				}
			}
			if errors.Is(err, scheduler.ErrUnavailable) {
				t.Error("a cluster that is away fails the check")
			}
		})
	}
}

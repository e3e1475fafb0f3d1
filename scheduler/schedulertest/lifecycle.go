package schedulertest

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

func lifecycle(t *testing.T, b *bench) {
	if all, err := b.Scheduler.List(b.context(t)); err != nil || len(all) != 0 {
		t.Fatalf("a new scheduler lists %v, %v", all, err)
	}
	if _, err := b.Scheduler.Status(b.context(t), "lab1"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Fatalf("status of the unknown: %v", err)
	}
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	status, env := b.awaitServing(t, spec)

	if status.ID != spec.ID || status.Generation != 1 || status.Blocked || status.Lost || status.Placement == 0 {
		t.Errorf("status of a running server: %+v", status)
	}
	// The host in the URL is where the server binds, which need not be where it is reached; path and port are the same, unless a port is mapped.
	port := status.Address[strings.LastIndex(status.Address, ":"):]
	if b.OwnNetwork {
		port = ""
	}
	if got := env[URLVariable]; !strings.HasPrefix(got, "http://") || !strings.HasSuffix(got, port+spec.URLPath) {
		t.Errorf("%s=%q, want http://HOST%s%s", URLVariable, got, port, spec.URLPath)
	}
	if listed := b.requireOne(t); listed != status {
		t.Errorf("List says %+v, Status %+v", listed, status)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
	b.stop(t, spec.ID)
}

func rejectsInvalid(t *testing.T, b *bench) {
	spoil := map[string]func(*scheduler.Spec){
		"no ID":                func(s *scheduler.Spec) { s.ID = "" },
		"an ID that is a path": func(s *scheduler.Spec) { s.ID = "../lab" },
		"an ID that is a rule": func(s *scheduler.Spec) { s.ID = "*" },
		"no generation":        func(s *scheduler.Spec) { s.Generation = 0 },
		"a name with a space":  func(s *scheduler.Spec) { s.Env["A B"] = "x" },
		"a name with a line":   func(s *scheduler.Spec) { s.Secrets = map[string]string{"A\nB": "x"} },
		"a NUL in a value":     func(s *scheduler.Spec) { s.Env["A"] = "x\x00y" },
		"no text in a value":   func(s *scheduler.Spec) { s.Env["A"] = "\xff" },
		"too much":             func(s *scheduler.Spec) { s.Env["A"] = strings.Repeat("x", 1<<20) },
		"a path with a brace":  func(s *scheduler.Spec) { s.URLPath = "/${attr.kernel.name}/" },
		"less than no memory":  func(s *scheduler.Spec) { s.Resources.MemoryMB = -1 },
		"a limit below":        func(s *scheduler.Spec) { s.Resources = scheduler.Resources{MemoryMB: 200, MemoryMaxMB: 100} },
		"less than no core":    func(s *scheduler.Spec) { s.Resources.CPUGuarantee = -1 },
		"no device":            func(s *scheduler.Spec) { s.Resources.Devices = []scheduler.Device{{Name: "nvidia/gpu"}} },
		"an image of a space":  func(s *scheduler.Spec) { s.Workload.Image = "a b" },
		"an unknown hook":      func(s *scheduler.Spec) { s.Workload.Tasks = []scheduler.Task{{Name: "a", Hook: "before"}} },
		"a task of its name": func(s *scheduler.Spec) {
			s.Workload.Tasks = []scheduler.Task{{Name: scheduler.ServerTask, Hook: scheduler.HookPrestart}}
		},
		"a mount that climbs": func(s *scheduler.Spec) {
			s.Workload.Mounts = []scheduler.Mount{{Name: "a", Kind: scheduler.MountHost, Source: "a", Path: "/a/../etc"}}
		},
		"a mount over secrets": func(s *scheduler.Spec) {
			s.Workload.Mounts = []scheduler.Mount{{Name: "a", Kind: scheduler.MountHost, Source: "a", Path: "/secrets"}}
		},
	}
	for name, change := range spoil {
		spec := b.spec("lab1", serve)
		change(&spec)
		err := b.Scheduler.Start(b.context(t), spec)
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok {
			t.Errorf("%s: got %v, want a *RejectedError", name, err)
		} else {
			requireSentence(t, rejected.Reason)
		}
	}
	if all, err := b.Scheduler.List(b.context(t)); err != nil || len(all) != 0 {
		t.Errorf("rejected servers are listed: %v, %v", all, err)
	}
}

func stopUnknown(t *testing.T, b *bench) {
	b.stop(t, "never-was")
	b.requireGone(t, "never-was", "")
}

func stopDuringStart(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, "")

	spec.Generation = 2
	b.start(t, spec)
	status, _ := b.awaitServing(t, spec)
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
}

// startStopStorm lets starts and stops of one server race. Each call ends well or says that it was overtaken; after the last stop
// nothing is left.
func startStopStorm(t *testing.T, b *bench) {
	var all sync.WaitGroup
	for generation := range int64(4) {
		all.Go(func() {
			spec := b.spec("lab1", serve)
			spec.Generation = generation + 1
			if err := b.Scheduler.Start(b.context(t), spec); err != nil && !errors.Is(err, scheduler.ErrStale) && !errors.Is(err, scheduler.ErrUnavailable) {
				t.Errorf("start of generation %d: %v", spec.Generation, err)
			}
		})
		all.Go(func() {
			if err := b.Scheduler.Stop(b.context(t), "lab1", generation+1); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	all.Wait()
	b.stop(t, "lab1")
	b.requireGone(t, "lab1", "")
}

// stopOfOlder lets a stop come late: what was started since goes on.
func stopOfOlder(t *testing.T, b *bench) {
	spec := b.spec("lab1", serve)
	spec.Generation = 3
	b.start(t, spec)
	before, _ := b.awaitServing(t, spec)
	if err := b.Scheduler.Stop(b.context(t), spec.ID, 2); err != nil {
		t.Errorf("a late stop: %v", err)
	}
	after, env := b.awaitServing(t, spec)
	if after != before || len(env) == 0 {
		t.Errorf("a late stop changed %+v to %+v", before, after)
	}
	if err := b.Scheduler.Stop(b.context(t), spec.ID, 3); err != nil {
		t.Errorf("stop: %v", err)
	}
	b.requireGone(t, spec.ID, before.Address)
}

func stubbornStops(t *testing.T, b *bench) {
	spec := b.spec("lab1", stubborn)
	b.start(t, spec)
	status, _ := b.awaitServing(t, spec)
	b.await(t, "the server's child runs", func() bool { return b.starts(t) == 2 })
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
	b.requireNoProcess(t)
}

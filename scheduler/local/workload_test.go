package local

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestRefusesWhatAProcessCannotHave: better no server than one without what its profile says.
func TestRefusesWhatAProcessCannotHave(t *testing.T) {
	t.Parallel()
	s := open(t, shellOptions(t, "exit 0"))
	cases := map[string]func(*scheduler.Spec){
		"jobspec": func(s *scheduler.Spec) { s.Workload.Template = "gpu" },
		"driver":  func(s *scheduler.Spec) { s.Workload.Driver = "docker" },
		"image":   func(s *scheduler.Spec) { s.Workload.Image = "registry.example.org/jupyter/base-notebook" },
		"account": func(s *scheduler.Spec) { s.Workload.User = "jovyan" },
		"options": func(s *scheduler.Spec) { s.Workload.Config = map[string]any{"shm_size": 1} },
		"machine": func(s *scheduler.Spec) { s.Workload.Placement.NodePool = "gpu" },
		"network": func(s *scheduler.Spec) { s.Workload.Network.Port = 8888 },
		"mounts": func(s *scheduler.Spec) {
			s.Workload.Mounts = []scheduler.Mount{{Name: "a", Kind: "host", Source: "a", Path: "/a"}}
		},
		"tasks": func(s *scheduler.Spec) {
			s.Workload.Tasks = []scheduler.Task{{Name: "a", Hook: "prestart", Command: "true"}}
		},
		"restarts":  func(s *scheduler.Spec) { s.Workload.Restart = &scheduler.Restart{Attempts: 1} },
		"after a":   func(s *scheduler.Spec) { s.Workload.Reschedule = &scheduler.Reschedule{Unlimited: true} },
		"cores":     func(s *scheduler.Spec) { s.Resources.Cores = 2 },
		"devices":   func(s *scheduler.Spec) { s.Resources.Devices = []scheduler.Device{{Name: "nvidia/gpu", Count: 1}} },
		"SIGBOGUS1": func(s *scheduler.Spec) { s.Workload.StopSignal = "SIGBOGUS1" },
	}
	for what, change := range cases {
		asked := spec("lab1")
		change(&asked)
		rejected, ok := errors.AsType[*scheduler.RejectedError](s.Start(t.Context(), asked))
		if !ok || !strings.Contains(rejected.Reason, what) || !strings.HasSuffix(rejected.Reason, ".") {
			t.Errorf("%s: %v", what, rejected)
		}
		if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%s: left %+v, %v", what, all, err)
		}
	}
}

func TestAWorkloadsCommandReplacesTheOperators(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		workload scheduler.Workload
		said     string
	}{
		"nothing":   {scheduler.Workload{}, "operator"},
		"arguments": {scheduler.Workload{Args: []string{"-c", `echo "said $0"; exit 0`, "profile ${x}"}}, "profile ${x}"},
		"command":   {scheduler.Workload{Driver: "raw_exec", Command: "echo", Args: []string{"said", "from echo"}}, "from echo"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, shellOptions(t, "echo said operator"))
			asked := spec("lab1")
			asked.Workload = c.workload
			// Nobody is held to these here.
			asked.Resources = scheduler.Resources{CPUGuarantee: 0.5, CPULimit: 1, MemoryMB: 64, MemoryMaxMB: 128, DiskMB: 10}
			start(t, s, asked)
			if said := awaitLine(t, s, "lab1", "said "); said != c.said {
				t.Errorf("the server said %q, want %q", said, c.said)
			}
			if dead := awaitDead(t, s, "lab1"); dead.Cause != scheduler.CauseExited {
				t.Errorf("cause %q", dead.Cause)
			}
		})
	}
}

func TestAProgramThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	s := open(t, shellOptions(t, "exit 0"))
	asked := spec("lab1")
	asked.Workload.Command = "no-such-program"
	rejected, ok := errors.AsType[*scheduler.RejectedError](s.Start(t.Context(), asked))
	if !ok || !strings.Contains(rejected.Reason, `"no-such-program"`) {
		t.Errorf("got %v", rejected)
	}
}

func TestAWorkloadsFolderIsWhereItBegins(t *testing.T) {
	t.Parallel()
	s := open(t, shellOptions(t, "echo said $(pwd) $HOME"))
	asked := spec("lab1")
	asked.Workload.WorkDir = "/usr"
	start(t, s, asked)
	home, err := s.opts.Home(asked)
	if err != nil {
		t.Fatal(err)
	}
	if said := awaitLine(t, s, "lab1", "said "); said != "/usr "+home {
		t.Errorf("the server said %q", said)
	}
	awaitDead(t, s, "lab1")
	asked.Generation, asked.Workload.WorkDir = 2, "/no/such/folder"
	if _, ok := errors.AsType[*scheduler.RejectedError](s.Start(t.Context(), asked)); !ok {
		t.Error("a folder that is missing is not refused")
	}
}

// TestManners: a profile's signal and time are kept over a restart of the hub.
func TestManners(t *testing.T) {
	t.Parallel()
	opts := shellOptions(t, "trap 'echo said usr1' USR1; trap 'echo said int' INT; echo ready; while :; do sleep 0.05; done")
	opts.InterruptGrace = time.Hour
	s := open(t, opts)
	asked := spec("lab1")
	asked.Workload.StopSignal, asked.Workload.StopTimeout = "SIGUSR1", 200*time.Millisecond
	start(t, s, asked)
	awaitLine(t, s, "lab1", "ready")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, opts)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(t.Context(), "lab1", math.MaxInt64) }()
	if said := awaitLine(t, s, "lab1", "said "); said != "usr1" {
		t.Errorf("the server was asked by %q", said)
	}
	if err := <-stopped; err != nil { // after StopTimeout and TerminateGrace, and not after an hour
		t.Error(err)
	}
	if _, err := loadRecord(filepath.Join(opts.Dir, "lab1")); err == nil {
		t.Error("the stopped server is still remembered")
	}
}

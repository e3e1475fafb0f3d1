package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// machines is a cluster of two machines: the stack's own, and one that a test takes away.
type machines struct {
	*cluster
	near   string // ID of the stack's own
	prefix string // of the server's job
	far    *stack.Node
	s      *nomad.Scheduler
	dir    string // where the server counts

	mu   sync.Mutex
	told []string // what Watch said
}

func startMachines(t *testing.T) *machines {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client that runs notebooks as another account must be root")
	}
	m := &machines{}
	t.Cleanup(func() { // after the stack's own, which stops the jobs
		if m.far != nil {
			if err := m.far.Stop(); err != nil {
				t.Errorf("stop the far machine: %v", err)
			}
		}
	})
	s := stack.NewOwn(t, stack.Options{})
	m.cluster = &cluster{consul: s.Consul, token: s.Nomad.Token, nomad: stack.Program(t, "nomad")}
	m.admin = client(t, s.Nomad.Address, m.token)
	m.hub = client(t, s.Nomad.Address, m.hubToken(t))
	nodes, _, err := m.admin.Nodes().List(nil)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%d machines: %v", len(nodes), err)
	}
	m.near = nodes[0].ID
	if err := os.MkdirAll(filepath.Join(s.Dir, "far"), 0o711); err != nil { //nolint:gosec // tasks of other accounts pass through
		t.Fatal(err)
	}
	if m.far, err = s.AddNode(t.Context(), stack.NodeOptions{Name: "far"}); err != nil {
		t.Fatal(err)
	}
	m.dir = openDir(t)
	if err := os.Chmod(m.dir, 0o777); err != nil { //nolint:gosec // the server runs as another account
		t.Fatal(err)
	}
	options := m.options(t)
	options.Variables = map[string]string{
		"cpu": "50", "memory": "64", "disk": "60", "command": "/bin/sh",
		"args": fmt.Sprintf(`["-c", "i=0; while :; do i=$((i+1)); echo $$ $i > %[1]s/next; mv %[1]s/next %[1]s/counter; sleep 0.1; done"]`, m.dir),
	}
	m.s, m.prefix = open(t, options), options.JobPrefix
	m.watch(t)
	return m
}

// watch remembers all sentences that are told.
func (m *machines) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for event, err := range m.s.Watch(ctx) {
			if err != nil {
				t.Logf("watch: %v", err)
			}
			if event.Message != "" {
				m.mu.Lock()
				m.told = append(m.told, event.Message)
				m.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
}

// awaitTold waits until a sentence with that part was told, and forgets all that was told up to then.
func (m *machines) awaitTold(t *testing.T, part string) {
	t.Helper()
	await(t, fmt.Sprintf("%q is told", part), func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		at := slices.IndexFunc(m.told, func(text string) bool { return strings.Contains(text, part) })
		if at < 0 {
			return fmt.Errorf("told so far: %q", m.told)
		}
		m.told = m.told[at+1:]
		return nil
	})
}

// count returns the process ID of the server and how far it has counted.
func (m *machines) count(t *testing.T) (pid, n int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "counter"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &pid, &n); err != nil {
		t.Fatalf("counter %q: %v", text, err)
	}
	return pid, n
}

// awaitGoesOn waits until the same process has counted further.
func (m *machines) awaitGoesOn(t *testing.T, pid int) {
	t.Helper()
	_, before := m.count(t)
	await(t, "the server counts on", func() error {
		now, n := m.count(t)
		if now != pid {
			t.Fatalf("the server's process was %d and is %d", pid, now)
		}
		if n < before+5 {
			return fmt.Errorf("counted from %d to %d", before, n)
		}
		return nil
	})
}

// startOn starts the next generation on one of the two machines.
func (m *machines) startOn(t *testing.T, generation int64, node, other string) scheduler.Status {
	t.Helper()
	m.eligible(t, other, false)
	m.eligible(t, node, true)
	m.start(t, m.s, scheduler.Spec{ID: "a", Generation: generation})
	status := m.awaitRunning(t, generation)
	m.eligible(t, other, true)
	return status
}

func (m *machines) awaitRunning(t *testing.T, generation int64) scheduler.Status {
	t.Helper()
	status := awaitStatus(t, m.s, "a", func(s scheduler.Status) bool {
		return s.State == scheduler.Running && s.Generation == generation && !s.Lost && !s.Began.IsZero()
	})
	// What the counter says may be of the generation before, whose process has ended.
	await(t, "the server counts", func() error {
		text, err := os.ReadFile(filepath.Join(m.dir, "counter"))
		if err != nil {
			return err
		}
		pid, _, _ := strings.Cut(string(text), " ")
		_, err = os.Stat(filepath.Join("/proc", pid, "stat"))
		return err
	})
	return status
}

func (m *machines) eligible(t *testing.T, node string, eligible bool) {
	t.Helper()
	if _, err := m.admin.Nodes().ToggleEligibility(node, eligible, nil); err != nil {
		t.Fatal(err)
	}
}

func (m *machines) drain(t *testing.T, spec *api.DrainSpec) {
	t.Helper()
	if _, err := m.admin.Nodes().UpdateDrain(m.far.ID, spec, false, nil); err != nil {
		t.Fatal(err)
	}
}

// oneAllocation fails if the server's job has another allocation than that one.
func (m *machines) oneAllocation(t *testing.T, status scheduler.Status) {
	t.Helper()
	events, err := m.s.History(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, event := range events {
		if strings.HasPrefix(event.Message, "A machine was found") && event.Generation == status.Generation {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the server got %d places: %+v", found, events)
	}
}

// TestF10MachinesComeAndGo takes a server's machine away in every way that a single computer allows, and empties it.
func TestF10MachinesComeAndGo(t *testing.T) {
	t.Parallel()
	m := startMachines(t)
	var generation int64
	losses := []struct {
		name       string
		lose, back func() error
	}{
		{"killed", m.far.Kill, func() error { return m.far.Start(t.Context()) }},
		{"frozen", m.far.Freeze, m.far.Thaw},
	}
	for _, loss := range losses {
		generation++
		if !t.Run(loss.name, func(t *testing.T) { m.loseAndFind(t, generation, loss.lose, loss.back) }) { //nolint:paralleltest // there is one machine to lose
			t.FailNow()
		}
	}
	m.moveInADrain(t, generation+1)
	m.driveOut(t, generation+3)
	m.loseForGood(t, generation+4)
}

// loseAndFind loses the server's machine and gets it back, and wants the same process.
func (m *machines) loseAndFind(t *testing.T, generation int64, lose, back func() error) {
	before := m.startOn(t, generation, m.far.ID, m.near)
	if before.Node != "far" {
		t.Fatalf("the server is on %q", before.Node)
	}
	pid, _ := m.count(t)
	if err := lose(); err != nil {
		t.Fatal(err)
	}
	lost := awaitStatus(t, m.s, "a", func(s scheduler.Status) bool { return s.Lost })
	if lost.State != scheduler.Running || lost.Instance != before.Instance || lost.Address != before.Address || !strings.Contains(lost.Reason, "Your work may still be running there.") {
		t.Errorf("lost: %+v", lost)
	}
	m.awaitTold(t, "far is unreachable")
	m.awaitGoesOn(t, pid)
	if all, err := m.s.List(t.Context()); err != nil || len(all) != 1 || !all[0].Lost {
		t.Errorf("List: %+v, %v", all, err)
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	after := awaitStatus(t, m.s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running && !s.Lost })
	if after.Instance != before.Instance || after.Address != before.Address || after.Generation != generation {
		t.Errorf("before %+v, after %+v", before, after)
	}
	m.awaitTold(t, "far is back, with the same kernels")
	m.awaitGoesOn(t, pid)
	m.oneAllocation(t, after)
}

// moveInADrain wants a drain to leave the server alone, until its owner moves it.
func (m *machines) moveInADrain(t *testing.T, generation int64) {
	before := m.startOn(t, generation, m.far.ID, m.near)
	pid, _ := m.count(t)
	m.drain(t, &api.DrainSpec{Deadline: time.Hour})
	drained := awaitStatus(t, m.s, "a", func(s scheduler.Status) bool { return s.Drained })
	if left := time.Until(drained.LeaveBy); left < 30*time.Minute || left > time.Hour || drained.Instance != before.Instance {
		t.Errorf("in a drain: %+v", drained)
	}
	m.awaitTold(t, "far is being emptied by "+drained.LeaveBy.Format("15:04 MST"))
	// Whoever looks without having watched knows it, too.
	other := m.options(t)
	other.JobPrefix = m.prefix
	if all, err := open(t, other).List(t.Context()); err != nil || len(all) != 1 || !all[0].Drained {
		t.Errorf("another scheduler's List: %+v, %v", all, err)
	}
	m.awaitDrainer(t)
	m.awaitGoesOn(t, pid)
	m.oneAllocation(t, before)

	m.start(t, m.s, scheduler.Spec{ID: "a", Generation: generation + 1})
	moved := m.awaitRunning(t, generation+1)
	if moved.Node == "far" || moved.Drained || moved.Instance == before.Instance {
		t.Errorf("moved: %+v", moved)
	}
	m.drain(t, nil)
}

// loseForGood wants a stop to wait for a machine that cannot be reached, until an operator says that it will not come back.
func (m *machines) loseForGood(t *testing.T, generation int64) {
	m.startOn(t, generation, m.far.ID, m.near)
	if err := m.far.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, m.s, "a", func(s scheduler.Status) bool { return s.Lost })
	stopped := make(chan error, 1)
	go func() { stopped <- m.s.Stop(t.Context(), "a", generation) }()
	await(t, "the stop has begun", func() error {
		job, _, err := m.admin.Jobs().Info(m.prefix+"a", nil)
		if err == nil && !*job.Stop {
			err = errors.New("not yet")
		}
		return err
	})
	if status, err := m.s.Status(t.Context(), "a"); err != nil || !status.Lost || status.State != scheduler.Running {
		t.Errorf("while the stop waits: %+v, %v", status, err)
	}
	select {
	case err := <-stopped:
		t.Fatalf("the stop ended with %v while nobody knows whether the server has", err)
	default:
	}
	if _, _, err := m.admin.Nodes().Purge(m.far.ID, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Errorf("stop: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("the stop still waits although the machine was removed")
	}
	if status, err := m.s.Status(t.Context(), "a"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("after the stop: %+v, %v", status, err)
	}
	if all, err := m.s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("List after the stop: %+v, %v", all, err)
	}
}

// awaitDrainer waits until Nomad has dealt with the drain: it has moved another job that may be moved at once.
func (m *machines) awaitDrainer(t *testing.T) {
	t.Helper()
	job := &api.Job{
		ID: new("movable"), Name: new("movable"), Datacenters: []string{"*"}, Namespace: new(namespace), Type: new(api.JobTypeService),
		TaskGroups: []*api.TaskGroup{{
			Name: new("g"), Count: new(1), Migrate: &api.MigrateStrategy{MaxParallel: new(1), MinHealthyTime: new(time.Millisecond)},
			Tasks: []*api.Task{{Name: "t", Driver: "raw_exec", Config: map[string]any{"command": "/bin/sleep", "args": []string{"600"}}}},
		}},
	}
	m.drain(t, nil)
	m.eligible(t, m.near, false)
	m.eligible(t, m.far.ID, true)
	if _, _, err := m.admin.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	placed := func(node string, status string) error {
		allocs, _, err := m.admin.Jobs().Allocations("movable", false, nil)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(allocs, func(a *api.AllocationListStub) bool {
			healthy := a.DeploymentStatus != nil && a.DeploymentStatus.Healthy != nil && *a.DeploymentStatus.Healthy
			return a.NodeID == node && a.ClientStatus == status && (healthy || status != api.AllocClientStatusRunning)
		}) {
			return fmt.Errorf("not yet among %d allocations", len(allocs))
		}
		return nil
	}
	await(t, "the movable job runs", func() error { return placed(m.far.ID, api.AllocClientStatusRunning) })
	m.eligible(t, m.near, true)
	m.drain(t, &api.DrainSpec{Deadline: time.Hour})
	await(t, "the movable job was moved", func() error { return placed(m.far.ID, api.AllocClientStatusComplete) })
	if _, _, err := m.admin.Jobs().Deregister("movable", true, nil); err != nil {
		t.Fatal(err)
	}
}

// driveOut wants the deadline of a drain to move the server.
func (m *machines) driveOut(t *testing.T, generation int64) {
	before := m.startOn(t, generation, m.far.ID, m.near)
	m.drain(t, &api.DrainSpec{Deadline: 2 * time.Second})
	after := awaitStatus(t, m.s, "a", func(s scheduler.Status) bool { return s.State == scheduler.Running && s.Instance != before.Instance })
	if after.Node == "far" || after.Generation != generation || after.Placement <= before.Placement {
		t.Errorf("before %+v, after %+v", before, after)
	}
	m.awaitTold(t, "The server is started on another one.")
	events, err := m.s.History(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events, func(e scheduler.Event) bool { return e.Status != nil && e.Status.Cause == scheduler.CauseDrained }) {
		t.Errorf("the history does not say that the machine was emptied: %+v", events)
	}
	m.drain(t, nil)
}

package nomad_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// regions are two Nomads of one federation, of one machine each, and a hub's scheduler that knows the address of the first.
type regions struct {
	*mux.Scheduler

	near, far *agent
	prefix    string
}

// TestRealRegions runs servers in two regions through one address. One region goes away and comes back.
func TestRealRegions(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client must be root")
	}
	near := startRegion(t, "near", "", nil)
	far := startRegion(t, "far", near.gossip, nil)
	near.awaitReady()
	far.awaitReady()
	await(t, "the regions know each other", func() error {
		known, err := near.client.Regions().List()
		if err == nil && len(known) != 2 {
			err = fmt.Errorf("there are %q", known)
		}
		return err
	})
	for _, r := range []*region{near, far} {
		if _, err := near.client.Namespaces().Register(&api.Namespace{Name: namespace}, &api.WriteOptions{Region: r.name}); err != nil {
			t.Fatal(err)
		}
	}
	r := &regions{near: near.agent, far: far.agent, prefix: "notebook-r-"}
	r.Scheduler = r.open(t)
	r.testBoth(t)
	r.testOneAway(t)
}

// region is a Nomad server and client in one process.
type region struct {
	*agent
	name, gossip string
}

// startRegion starts a region that joins the one whose gossip goes to an address; "" for the first one. More options of the client are merged into its own.
func startRegion(t *testing.T, name, join string, more map[string]any) *region {
	t.Helper()
	ports, err := freeport.Find(3)
	if err != nil {
		t.Fatal(err)
	}
	first, last := taskPorts(t)
	dir := openDir(t)
	at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	a := &agent{
		t: t, program: stack.Program(t, "nomad"), config: filepath.Join(dir, "agent.json"), log: filepath.Join(dir, "log"),
		address: "http://" + at(ports[0]), rpc: at(ports[1]),
	}
	server := map[string]any{"enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1}
	if join != "" {
		server["server_join"] = map[string]any{"retry_join": []string{join}, "retry_interval": "1s"}
	}
	machine := map[string]any{
		"enabled": true, "network_interface": "lo", "cpu_total_compute": 8000, "min_dynamic_port": first, "max_dynamic_port": last,
		"gc_disk_usage_threshold": 99, "gc_inode_usage_threshold": 99, // whatever the disk of the machine that tests
		"options": map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
	}
	maps.Copy(machine, more)
	text, err := json.Marshal(map[string]any{
		"name": name, "region": name, "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "disable_update_check": true,
		"ports":     map[string]any{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"advertise": map[string]any{"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
		"server":    server,
		"telemetry": map[string]any{"publish_allocation_metrics": true},
		"client":    machine,
		"plugin":    map[string]any{"raw_exec": map[string]any{"config": map[string]any{"enabled": true}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	a.client = client(t, a.address, "")
	a.start()
	t.Cleanup(a.kill)
	t.Cleanup(func() { endJobs(t, a) })
	return &region{a, name, at(ports[2])}
}

func (r *region) awaitReady() {
	r.t.Helper()
	await(r.t, "the server has a leader", r.hasLeader)
	await(r.t, "the server can encrypt", r.hasKey)
	awaitFor(r.t, "the machine is ready", 2*time.Minute, func() error {
		nodes, _, err := r.agent.client.Nodes().List(nil)
		if err == nil && (len(nodes) != 1 || nodes[0].Status != api.NodeStatusReady) {
			err = fmt.Errorf("machines %+v", nodes)
		}
		return err
	})
}

// endJobs ends what a failed test left: tasks outlive the Nomad client that began them.
func endJobs(t *testing.T, a *agent) {
	t.Helper()
	select {
	case <-a.ended:
		a.start()
	default:
	}
	awaitFor(t, "no task runs", 2*time.Minute, func() error {
		jobs, _, err := a.client.Jobs().List(&api.QueryOptions{Namespace: namespace})
		for _, job := range jobs {
			t.Errorf("the job %s is left", job.ID)
			_, _, err = a.client.Jobs().Deregister(job.ID, true, nil)
		}
		if err != nil {
			return err
		}
		allocs, _, err := a.client.Allocations().List(&api.QueryOptions{Namespace: namespace})
		for _, alloc := range allocs {
			if alloc.ClientStatus == api.AllocClientStatusRunning || alloc.ClientStatus == api.AllocClientStatusPending {
				err = fmt.Errorf("%s is %s", alloc.ID, alloc.ClientStatus)
			}
		}
		return err
	})
}

// taskPorts are some ports for the tasks of one machine, one after the other.
func taskPorts(t *testing.T) (first, last int) {
	t.Helper()
	const n = 8
	ports, err := freeport.Find(5 * n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(ports) - n + 1 {
		if ports[i+n-1] == ports[i]+n-1 {
			return ports[i], ports[i+n-1]
		}
	}
	t.Fatalf("no %d of the ports %d follow one another", n, ports)
	return 0, 0
}

// open returns a scheduler as a hub opens it: both regions by the address of one.
func (r *regions) open(t *testing.T) *mux.Scheduler {
	t.Helper()
	var places []mux.Place
	var first *nomad.Scheduler
	for _, name := range []string{"near", "far"} {
		s := open(t, nomad.Options{
			Client: client(t, r.near.address, ""), Namespace: namespace, Region: name, Jobspec: notebookJobspec(t), JobPrefix: r.prefix,
			Variables: map[string]string{
				"command": "/bin/sh", "args": `["-c", "echo hello from $NOMAD_REGION; exec sleep 600"]`, "service_provider": "nomad",
				"cpu": "50", "memory": "64", "disk": "60",
			},
			StopTimeout: 2 * time.Second,
		})
		if first == nil {
			first = s
		}
		places = append(places, mux.Place{Region: name, Namespace: namespace, Scheduler: s})
	}
	s, err := mux.New(mux.Options{Places: places, VolumeID: first.VolumeID})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func inRegion(id, name string, generation int64) scheduler.Spec {
	spec := scheduler.Spec{ID: id, Generation: generation, Secrets: map[string]string{"SECRET": "x"}}
	spec.Workload.Placement.Region = name
	return spec
}

// awaitRuns waits until a server runs and returns how.
func (r *regions) awaitRuns(t *testing.T, s scheduler.Scheduler, id string) (status scheduler.Status) {
	t.Helper()
	awaitFor(t, id+" runs", 2*time.Minute, func() (err error) {
		status, err = s.Status(t.Context(), id)
		if err == nil && status.State != scheduler.Running {
			err = fmt.Errorf("it is %+v", status)
		}
		return err
	})
	return status
}

// testBoth does what a hub does with a server, in each region.
func (r *regions) testBoth(t *testing.T) {
	t.Helper()
	var told sync.Map
	ran := make(chan string, 100)
	var watching sync.WaitGroup
	started := make(chan struct{})
	watching.Go(func() {
		for event, err := range r.Watch(t.Context()) {
			if err != nil {
				t.Logf("watch: %v", err)
			}
			if event.Resync {
				select {
				case <-started:
				default:
					close(started)
				}
			}
			if event.Status != nil && event.Status.State == scheduler.Running {
				if _, before := told.LoadOrStore(event.ID, true); !before {
					ran <- event.ID
				}
			}
		}
	})
	t.Cleanup(watching.Wait)
	<-started
	for id, name := range map[string]string{"n": "near", "f": "far"} {
		spec := inRegion(id, name, 1)
		if forecast, err := r.Plan(t.Context(), spec); err != nil || forecast.Verdict != scheduler.FitsNow {
			t.Errorf("plan in %s: %+v, %v", name, forecast, err)
		}
		if err := r.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	heard := []string{<-ran, <-ran}
	slices.Sort(heard)
	if !slices.Equal(heard, []string{"f", "n"}) {
		t.Errorf("the watch told of %q", heard)
	}
	for id, name := range map[string]string{"n": "near", "f": "far"} {
		if status := r.awaitRuns(t, r, id); status.Node != name || status.Address == "" {
			t.Errorf("%s runs as %+v", id, status)
		}
		await(t, "the log is there", func() error {
			log, err := r.Log(t.Context(), id, scheduler.LogQuery{})
			if err != nil {
				return err
			}
			defer log.Close()
			text, err := io.ReadAll(log)
			if err == nil && string(text) != "hello from "+name+"\n" {
				err = fmt.Errorf("it says %q", text)
			}
			return err
		})
		await(t, "its use is measured", func() error { _, err := r.Usage(t.Context(), id); return err })
	}
	if all, err := r.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("listed %+v, %v", all, err)
	}
	if nodes, err := r.Nodes(t.Context()); err != nil || len(nodes) != 2 {
		t.Errorf("machines %+v, %v", nodes, err)
	}
}

// testOneAway kills the far region's Nomad. What runs there goes on, and so does everything in the near one.
func (r *regions) testOneAway(t *testing.T) {
	t.Helper()
	before := r.awaitRuns(t, r, "f")
	r.far.kill()
	restarted := r.open(t) // knows nothing of before
	for name, s := range map[string]*mux.Scheduler{"the hub": r.Scheduler, "a hub that was restarted": restarted} {
		if status, err := s.Status(t.Context(), "n"); err != nil || status.State != scheduler.Running {
			t.Errorf("%s: a server of the near region is %+v, %v", name, status, err)
		}
		if err := s.Start(t.Context(), inRegion("new", "near", 1)); err != nil {
			t.Fatalf("%s: a start in the near region: %v", name, err)
		}
		r.awaitRuns(t, s, "new")
		if err := s.Stop(t.Context(), "new", 1); err != nil {
			t.Errorf("%s: a stop in the near region: %v", name, err)
		}
		err := s.Start(t.Context(), inRegion("lost", "far", 1))
		away, ok := errors.AsType[*scheduler.AwayError](err)
		if !ok || !strings.Contains(away.Reason, `of the region "far" cannot be reached at this moment.`) {
			t.Errorf("%s: a start in the far region: %v", name, err)
		}
		if status, err := s.Status(t.Context(), "f"); !errors.Is(err, scheduler.ErrUnavailable) {
			t.Errorf("%s: a server of the far region is %+v, %v", name, status, err)
		}
	}
	r.far.start()
	if after := r.awaitRuns(t, restarted, "f"); after.Instance != before.Instance {
		t.Errorf("it ran as %s, and runs as %s", before.Instance, after.Instance)
	}
	for _, id := range []string{"n", "f"} {
		awaitFor(t, id+" is stopped", 2*time.Minute, func() error { return r.Stop(t.Context(), id, 1) })
		if status, err := r.Status(t.Context(), id); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("after its stop %s is %+v, %v", id, status, err)
		}
	}
}

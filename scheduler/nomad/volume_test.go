package nomad

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// csiWire is a Nomad that keeps CSI volumes, in the form in which it answers.
type csiWire struct {
	t       *testing.T
	mu      sync.Mutex
	volumes map[string]map[string]any
	asked   api.CSIVolume // what the last volume was made from
	secrets string        // what came as such with the last deletion
}

func recordedCSI(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("testdata/volumes/csi.json")
	if err != nil {
		t.Fatal(err)
	}
	var volume map[string]any
	if err := json.Unmarshal(text, &volume); err != nil {
		t.Fatal(err)
	}
	return volume
}

func newCSIWire(t *testing.T) (*csiWire, *wire, *Scheduler) {
	t.Helper()
	w, s := newWire(t)
	c := &csiWire{t: t, volumes: map[string]map[string]any{}}
	w.mux.HandleFunc("GET /v1/volume/csi/{id}", c.get)
	w.mux.HandleFunc("PUT /v1/volume/csi/{id}/create", c.create)
	w.mux.HandleFunc("DELETE /v1/volume/csi/{id}/delete", c.delete)
	w.mux.HandleFunc("GET /v1/volumes", c.list)
	return c, w, s
}

func (c *csiWire) get(rw http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.volumes[r.PathValue("id")]; v != nil {
		reply(v)(rw, r)
		return
	}
	http.Error(rw, "volume not found", http.StatusNotFound)
}

// create does as Nomad does: of one ID there is one volume, however often it is made.
func (c *csiWire) create(rw http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var request api.CSIVolumeCreateRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Volumes) != 1 {
		c.t.Errorf("asked to make %+v, %v", request, err)
	}
	id := r.PathValue("id")
	c.asked = *request.Volumes[0]
	if c.volumes[id] == nil {
		v := recordedCSI(c.t)
		v["ID"], v["Name"] = id, id
		c.volumes[id] = v
	}
	reply(map[string]any{"Volumes": []any{c.volumes[id]}, "Warnings": ""})(rw, r)
}

func (c *csiWire) delete(rw http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets = r.Header.Get("X-Nomad-Csi-Secrets")
	if c.volumes[r.PathValue("id")] == nil {
		http.Error(rw, "volume not found: "+r.PathValue("id"), http.StatusInternalServerError)
		return
	}
	delete(c.volumes, r.PathValue("id"))
}

func (c *csiWire) list(rw http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stubs := []any{}
	if r.URL.Query().Get("type") == "csi" {
		for _, v := range c.volumes {
			stubs = append(stubs, v)
		}
	}
	reply(stubs)(rw, r)
}

func TestCSIVolumesPassTheSuite(t *testing.T) {
	t.Parallel()
	schedulertest.RunVolumes(t, func(t *testing.T) schedulertest.VolumeHarness {
		_, _, s := newCSIWire(t)
		return schedulertest.VolumeHarness{
			Keeper: s,
			Reopen: func(*testing.T) scheduler.VolumeKeeper { return s },
			Volume: func(id string) scheduler.Volume {
				return scheduler.Volume{ID: id, Kind: scheduler.MountCSI, Plugin: "ebs"}
			},
		}
	})
}

func TestCSIVolumeIsMadeAsAsked(t *testing.T) {
	t.Parallel()
	c, _, s := newCSIWire(t)
	state, err := s.EnsureVolume(t.Context(), scheduler.Volume{
		ID: "home", Kind: scheduler.MountCSI, Plugin: "ebs", MinMB: 5 << 10, MaxMB: 10 << 10, Parameters: map[string]string{"type": "fast"},
		Secrets: map[string]string{"key": "s3cret"}, AccessMode: "multi-node-multi-writer",
	})
	want := scheduler.VolumeState{ID: "home", Kind: scheduler.MountCSI, Name: "notebook-home", Ready: true, CapacityMB: 10 << 10}
	if err != nil || state != want {
		t.Errorf("got %+v, %v, want %+v", state, err, want)
	}
	asked := c.asked
	if asked.PluginID != "ebs" || asked.RequestedCapacityMin != 5<<30 || asked.RequestedCapacityMax != 10<<30 || asked.Parameters["type"] != "fast" ||
		asked.Secrets["key"] != "s3cret" || len(asked.RequestedCapabilities) != 1 ||
		asked.RequestedCapabilities[0].AccessMode != "multi-node-multi-writer" || asked.RequestedCapabilities[0].AttachmentMode != "file-system" {
		t.Errorf("asked for %+v", asked)
	}
}

func TestCSIVolumeInUseOrNotReady(t *testing.T) {
	t.Parallel()
	c, w, s := newCSIWire(t)
	v := recordedCSI(t)
	v["Schedulable"], v["NodesHealthy"] = false, 0
	v["Allocations"] = []any{
		map[string]any{"ID": "1", "JobID": "notebook-a", "ClientStatus": "unknown"}, // on a lost machine: it may still write
		map[string]any{"ID": "2", "JobID": "notebook-b", "ClientStatus": "complete"},
	}
	c.volumes["notebook-home"] = v
	state, err := s.VolumeByID(t.Context(), scheduler.MountCSI, "home")
	if err != nil || state.Ready || !state.InUse || !strings.Contains(state.Reason, `of the CSI plugin "ebs", of which no machine is healthy`) {
		t.Errorf("got %+v, %v", state, err)
	}
	err = s.DeleteVolume(t.Context(), scheduler.MountCSI, "home")
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || rejected.Reason != "The volume is in use by notebook-a. Stop what uses it first." {
		t.Errorf("deleting it: %v", err)
	}
	if n := w.count("DELETE /v1/volume/csi/notebook-home/delete"); n != 0 {
		t.Errorf("Nomad was asked to delete it %d times", n)
	}
}

// TestF50CSIRefusals goes through what Nomad and plugins say.
func TestF50CSIRefusals(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		`no CSI plugin named: "ebs" could be found`:                                         `the cluster has no CSI plugin "ebs"`,
		"plugin has no controller":                                                          `the CSI plugin "ebs" makes no volumes`,
		"plugin does not support creating volumes":                                          `the CSI plugin "ebs" makes no volumes`,
		"controller create volume: rpc error: code = ResourceExhausted desc = pool is full": "the storage has no room of that size left",
		"controller create volume: rpc error: code = Internal desc = key s3cret is wrong":   "The storage says: Key *** is wrong.",
	} {
		w, s := newWire(t)
		w.mux.HandleFunc("PUT /v1/volume/csi/notebook-home/create", fail(http.StatusInternalServerError, says))
		_, err := s.EnsureVolume(t.Context(), scheduler.Volume{ID: "home", Kind: scheduler.MountCSI, Plugin: "ebs", Secrets: map[string]string{"key": "s3cret"}})
		rejected, ok := errors.AsType[*scheduler.RejectedError](err)
		if !ok || !strings.Contains(rejected.Reason, want) {
			t.Errorf("%s: got %v, want a *RejectedError that says %q", says, err, want)
			continue
		}
		if strings.Contains(rejected.Reason+rejected.Err.Error(), "s3cret") {
			t.Errorf("a secret is told: %v, %v", rejected.Reason, rejected.Err)
		}
	}
}

// hostWire is a Nomad with one machine that is ready, and that makes the dynamic volumes that a test allows.
type hostWire struct {
	mu      sync.Mutex
	index   uint64
	volumes []*api.HostVolume
	deleted []string
	before  func(name string) // runs before a volume is made
}

func newHostWire(t *testing.T) (*hostWire, *wire, *Scheduler) {
	t.Helper()
	w, s := newWire(t)
	h := &hostWire{index: 100}
	node := &api.Node{ID: "n1", Name: "one", Status: "ready", SchedulingEligibility: "eligible"}
	w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{{ID: "n1", Name: "one", Status: "ready", SchedulingEligibility: "eligible"}}))
	w.mux.HandleFunc("GET /v1/node/n1", reply(node))
	w.mux.HandleFunc("GET /v1/node/n2", reply(&api.Node{ID: "n2", Name: "two", Status: "down"}))
	w.mux.HandleFunc("GET /v1/volumes", func(rw http.ResponseWriter, r *http.Request) { h.list(rw, r) })
	w.mux.HandleFunc("GET /v1/volume/host/{id}", h.get)
	w.mux.HandleFunc("PUT /v1/volume/host/create", h.create)
	w.mux.HandleFunc("DELETE /v1/volume/host/{id}", h.delete)
	return h, w, s
}

func (h *hostWire) add(id, name, node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index++
	h.volumes = append(h.volumes, &api.HostVolume{ID: id, Name: name, NodeID: node, State: "ready", CreateIndex: h.index})
}

func (h *hostWire) list(rw http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stubs := []*api.HostVolumeStub{}
	for _, v := range h.volumes {
		if strings.HasPrefix(v.Name, r.URL.Query().Get("prefix")) {
			stubs = append(stubs, &api.HostVolumeStub{ID: v.ID, Name: v.Name, NodeID: v.NodeID, State: v.State, CreateIndex: v.CreateIndex, ModifyIndex: v.ModifyIndex})
		}
	}
	slices.Reverse(stubs)
	reply(stubs)(rw, r)
}

func (h *hostWire) get(rw http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.volumes {
		if v.ID == r.PathValue("id") {
			reply(v)(rw, r)
			return
		}
	}
	http.Error(rw, "volume not found", http.StatusNotFound)
}

func (h *hostWire) create(rw http.ResponseWriter, r *http.Request) {
	var request api.HostVolumeCreateRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		panic(err)
	}
	if h.before != nil {
		h.before(request.Volume.Name)
	}
	h.add("ours", request.Volume.Name, "n1")
	reply(map[string]any{"Volume": map[string]any{"ID": "ours"}})(rw, r)
}

func (h *hostWire) delete(rw http.ResponseWriter, r *http.Request) {
	defer reply(map[string]any{})(rw, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deleted = append(h.deleted, r.PathValue("id"))
	h.volumes = slices.DeleteFunc(h.volumes, func(v *api.HostVolume) bool { return v.ID == r.PathValue("id") })
}

func dynamic() scheduler.Volume { return scheduler.Volume{ID: "home", Kind: scheduler.MountDynamic} }

func TestASecondVolumeGivesWayToTheFirst(t *testing.T) {
	t.Parallel()
	h, _, s := newHostWire(t)
	h.before = func(name string) { h.add("theirs", name, "n1") } // another hub was faster by a moment
	h.add("longer", "notebook-home-2", "n1")
	state, err := s.EnsureVolume(t.Context(), dynamic())
	if err != nil || state.Name != "notebook-home" || !state.Ready {
		t.Errorf("got %+v, %v", state, err)
	}
	if !slices.Equal(h.deleted, []string{"ours"}) || len(h.volumes) != 2 {
		t.Errorf("deleted %v; left %d", h.deleted, len(h.volumes))
	}
}

func TestAMachineThatRefusesTheNameHasTheVolume(t *testing.T) {
	t.Parallel()
	h, w, s := newHostWire(t)
	h.before = func(name string) {
		h.add("theirs", name, "n1")
		panic(http.ErrAbortHandler)
	}
	_, err := s.EnsureVolume(t.Context(), dynamic()) // the answer is lost on the way
	if !errors.Is(err, scheduler.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	state, err := s.EnsureVolume(t.Context(), dynamic())
	if err != nil || !state.Ready || w.count("PUT /v1/volume/host/create") != 1 {
		t.Errorf("asked again: %+v, %v; made %d times", state, err, w.count("PUT /v1/volume/host/create"))
	}
}

func TestHostVolumeRefusals(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		`could not place volume "x": no node meets constraints: 0 nodes had existing volume, 0 nodes filtered, 1 nodes were infeasible`: "none of the 1 machines meets its conditions",
		"rpc error: invalid value for \"mode\": strconv.ParseUint: parsing \"rwx\"":                                                     "a parameter that it does not take",
		"rpc error: error creating directory: mkdir /x: permission denied":                                                              "does not let Nomad write there",
		"rpc error: error creating directory: mkdir /x: no space left on device":                                                        "the disk of its machine is full",
		"volume creation would exceed the quota limit":                                                                                  "quota of storage is used up",
		"something else": "Something else.",
	} {
		w, s := newWire(t)
		w.mux.HandleFunc("GET /v1/volumes", reply([]any{}))
		w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{{ID: "n1", Status: "ready", SchedulingEligibility: "eligible"}}))
		w.mux.HandleFunc("PUT /v1/volume/host/create", fail(http.StatusInternalServerError, says))
		_, err := s.EnsureVolume(t.Context(), dynamic())
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, want) {
			t.Errorf("%s: got %v, want a *RejectedError that says %q", says, err, want)
		}
	}
}

func TestADisturbedClusterRefusesNothing(t *testing.T) {
	t.Parallel()
	for _, says := range []string{"No cluster leader", "No path to node", "rpc error: failed to get conn: dial tcp", "rpc error: EOF"} {
		w, s := newWire(t)
		w.mux.HandleFunc("GET /v1/volumes", reply([]any{}))
		w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{{ID: "n1", Status: "ready", SchedulingEligibility: "eligible"}}))
		w.mux.HandleFunc("PUT /v1/volume/host/create", fail(http.StatusInternalServerError, says))
		w.mux.HandleFunc("PUT /v1/volume/csi/notebook-home/create", fail(http.StatusInternalServerError, says))
		csi := dynamic()
		csi.Kind, csi.Plugin = scheduler.MountCSI, "ebs"
		for _, v := range []scheduler.Volume{dynamic(), csi} {
			if _, err := s.EnsureVolume(t.Context(), v); !errors.Is(err, scheduler.ErrUnavailable) {
				t.Errorf("%s, %s: got %v, want ErrUnavailable", v.Kind, says, err)
			}
		}
	}
}

func TestAVolumeOnALostMachineIsNeitherReplacedNorDeleted(t *testing.T) {
	t.Parallel()
	h, w, s := newHostWire(t)
	h.add("theirs", "notebook-home", "n2")
	state, err := s.EnsureVolume(t.Context(), dynamic())
	want := "The server's files are on the machine two, which is not reachable. The server waits for it; nothing is lost."
	if err != nil || state.Ready || state.Node != "two" || state.Reason != want {
		t.Errorf("got %+v, %v, want the reason %q", state, err, want)
	}
	w.mux.HandleFunc("DELETE /v1/volume/host/theirs", fail(http.StatusInternalServerError, "volume cannot be removed from unknown node without force=true"))
	if err := s.DeleteVolume(t.Context(), scheduler.MountDynamic, "home"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("deleting it: %v, want ErrUnavailable", err)
	}
	if n := w.count("PUT /v1/volume/host/create"); n != 0 {
		t.Errorf("%d were made", n)
	}
}

// TestAJobIsLookedAtAgain once for each change of its volume or machine, and not while either is away.
func TestAJobIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		node      string // where the volume is; n2 is down
		evaluated uint64 // when Nomad looked last
		want      int
	}{
		"the volume changed since": {"n1", 50, 1},
		"it was looked at since":   {"n1", 500, 0},
		"its machine is away":      {"n2", 50, 0},
	} {
		h, w, s := newHostWire(t)
		h.add("v", "notebook-home", test.node)
		h.volumes[0].ModifyIndex = 101
		job := jobA("1", 12)
		job.TaskGroups = []*api.TaskGroup{{Volumes: map[string]*api.VolumeRequest{"home": {Type: "host", Source: "notebook-home"}}}}
		metric := &api.AllocationMetric{NodesEvaluated: 1, NodesFiltered: 1, ConstraintFiltered: map[string]int{"missing compatible host volumes": 1}}
		w.mux.HandleFunc("GET /v1/job/notebook-a", reply(job))
		w.mux.HandleFunc("GET /v1/job/notebook-a/allocations", reply([]any{}))
		w.mux.HandleFunc("GET /v1/job/notebook-a/evaluations", reply([]*api.Evaluation{{
			ID: "e", Status: api.EvalStatusBlocked, CreateIndex: test.evaluated, FailedTGAllocs: map[string]*api.AllocationMetric{"notebook": metric},
		}}))
		w.mux.HandleFunc("PUT /v1/job/notebook-a/evaluate", reply(map[string]any{"EvalID": "f"}))
		status, err := s.Status(t.Context(), "a")
		if err != nil || !status.Blocked || status.Cause != scheduler.CauseVolume {
			t.Errorf("%s: the status is %+v, %v", name, status, err)
		}
		if n := w.count("PUT /v1/job/notebook-a/evaluate"); n != test.want {
			t.Errorf("%s: Nomad was asked to look again %d times, want %d", name, n, test.want)
		}
	}
}

func TestRankSharesVolumesByMemory(t *testing.T) {
	t.Parallel()
	nodes := make([]*api.NodeListStub, 3)
	for i, memory := range []int64{1000, 2000, 5000} {
		nodes[i] = &api.NodeListStub{ID: fmt.Sprintf("node-%d", i), NodeResources: &api.NodeResources{Memory: api.NodeMemoryResources{MemoryMB: memory}}}
	}
	first := func(id string, of []*api.NodeListStub) int {
		best := 0
		for i := range of {
			if rank(id, of[i]) > rank(id, of[best]) {
				best = i
			}
		}
		return best
	}
	const many = 8000
	var got [3]int
	moved := 0
	for i := range many {
		id := fmt.Sprintf("0196e0c4-%04x-7000-8000-%012x", i, i*i)
		with, without := first(id, nodes), first(id, nodes[:2])
		got[with]++
		if with < 2 && with != without {
			moved++
		}
	}
	for i, want := range []int{1000, 2000, 5000} {
		if d := got[i] - want; d*d > 200*200 {
			t.Errorf("the machines have %v of %d volumes", got, many)
			break
		}
	}
	if moved > 0 {
		t.Errorf("%d volumes changed between two machines because a third came", moved)
	}
}

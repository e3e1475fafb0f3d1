package nomad

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// jobStore is the part of Nomad's API that keeps whole jobs.
type jobStore struct {
	mu         sync.Mutex
	jobs       map[string]*api.Job
	registered int
	allocs     map[string][]*api.AllocationListStub
}

func (j *jobStore) mount(t *testing.T, w *wire) {
	t.Helper()
	w.mux.HandleFunc("GET /v1/jobs", func(rw http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		stubs := []*api.JobListStub{}
		for id, job := range j.jobs {
			if strings.HasPrefix(id, r.FormValue("prefix")) {
				stubs = append(stubs, &api.JobListStub{ID: id, Meta: job.Meta})
			}
		}
		reply(stubs)(rw, r)
	})
	register := func(rw http.ResponseWriter, r *http.Request) {
		var request api.JobRegisterRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.jobs[*request.Job.ID] = request.Job
		j.registered++
		reply(api.JobRegisterResponse{})(rw, r)
	}
	w.mux.HandleFunc("PUT /v1/jobs", register)
	w.mux.HandleFunc("GET /v1/job/{id}", func(rw http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		reply(j.jobs[r.PathValue("id")])(rw, r)
	})
	w.mux.HandleFunc("GET /v1/job/{id}/allocations", func(rw http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		reply(j.allocs[r.PathValue("id")])(rw, r)
	})
	w.mux.HandleFunc("DELETE /v1/job/{id}", func(rw http.ResponseWriter, r *http.Request) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if r.FormValue("purge") != "true" {
			t.Error("a job that keeps images was not purged")
		}
		delete(j.jobs, r.PathValue("id"))
		reply(api.JobDeregisterResponse{})(rw, r)
	})
}

func TestWarm(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	store := &jobStore{jobs: map[string]*api.Job{"notebook-warm_old": {}, "notebook-somebody": {}}, allocs: map[string][]*api.AllocationListStub{}}
	store.mount(t, w)
	images := []scheduler.WarmImage{
		{Driver: "docker", Image: "lab:2"}, {Driver: "docker", Image: "lab:1"}, {Driver: "docker", Image: "lab:1"}, {Driver: "podman", Image: "lab:1", Pool: "gpu"},
	}
	for range 2 { // the second time changes nothing
		if err := s.Warm(t.Context(), images); err != nil {
			t.Fatal(err)
		}
	}
	if store.registered != 2 {
		t.Errorf("%d registrations for two pools", store.registered)
	}
	if store.jobs["notebook-warm_old"] != nil || store.jobs["notebook-somebody"] == nil {
		t.Error("the job of a pool without images is there still, or another's is gone")
	}
	job := store.jobs["notebook-warm_default"]
	if job == nil || *job.Type != "system" || len(job.TaskGroups) != 2 || *job.NodePool != "default" || *job.Priority >= 50 {
		t.Fatalf("job of the default pool: %+v", job)
	}
	task := job.TaskGroups[0].Tasks[0]
	if task.Driver != "docker" || task.Config["image"] != "lab:1" {
		t.Errorf("first task: %s %v", task.Driver, task.Config)
	}

	first, second := *job.TaskGroups[0].Name, *job.TaskGroups[1].Name
	store.mu.Lock()
	store.allocs["notebook-warm_default"] = []*api.AllocationListStub{
		{NodeID: "n1", TaskGroup: first, DesiredStatus: "run", ClientStatus: "running"},
		{NodeID: "n2", TaskGroup: first, DesiredStatus: "run", ClientStatus: "pending"},
		{NodeID: "n3", TaskGroup: first, DesiredStatus: "stop", ClientStatus: "running"},
		{NodeID: "n2", TaskGroup: second, DesiredStatus: "run", ClientStatus: "failed"},
		{NodeID: "n2", TaskGroup: second, DesiredStatus: "run", ClientStatus: "running"},
	}
	store.mu.Unlock()
	got, err := s.Warmth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[scheduler.WarmImage][2]int{
		{Driver: "docker", Image: "lab:1", Pool: "default"}: {1, 2},
		{Driver: "docker", Image: "lab:2", Pool: "default"}: {1, 1},
		{Driver: "podman", Image: "lab:1", Pool: "gpu"}:     {0, 0},
	}
	counts := map[scheduler.WarmImage][2]int{}
	for _, warmth := range got {
		counts[warmth.WarmImage] = [2]int{warmth.Ready, warmth.Nodes}
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}

	if err := s.Warm(t.Context(), nil); err != nil || len(store.jobs) != 1 {
		t.Errorf("without images %d jobs are left, %v", len(store.jobs), err)
	}
}

package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// wire is a Nomad of which a test says what it answers; what the test says nothing of is 404.
type wire struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	seen []string
}

func newWire(t *testing.T) (*wire, *Scheduler) {
	t.Helper()
	w := &wire{mux: http.NewServeMux()}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		rw.Header().Set("X-Nomad-Index", "10")
		w.mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	client, err := api.NewClient(&api.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return w, parsedScheduler(t, func(o *Options) {
		o.Client, o.StreamSilence = client, 200*time.Millisecond
	})
}

func (w *wire) count(request string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.seen {
		if seen == request {
			n++
		}
	}
	return n
}

func reply(value any) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(rw).Encode(value); err != nil {
			panic(err)
		}
	}
}

func fail(code int, text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, text, code) }
}

// storeVariable answers for the variable like Nomad does, its compare-and-set included.
func (w *wire) storeVariable() {
	var mu sync.Mutex
	var stored *api.Variable
	w.mux.HandleFunc("/v1/var/nomad/jobs/notebook-a", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		index := uint64(0)
		if stored != nil {
			index = stored.ModifyIndex
		}
		if r.Method != http.MethodGet && r.URL.Query().Get("cas") != fmt.Sprint(index) {
			rw.WriteHeader(http.StatusConflict)
			reply(stored)(rw, r)
			return
		}
		switch r.Method {
		case http.MethodPut:
			stored = new(api.Variable)
			if err := json.NewDecoder(r.Body).Decode(stored); err != nil {
				panic(err)
			}
			stored.ModifyIndex = index + 1
		case http.MethodDelete:
			stored = nil
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		if stored == nil {
			http.NotFound(rw, r)
			return
		}
		reply(stored)(rw, r)
	})
}

func specA(generation int64) scheduler.Spec {
	return scheduler.Spec{ID: "a", Generation: generation, Env: map[string]string{"A": "b"}}
}

func jobA(generation string, index uint64) *api.Job {
	return &api.Job{
		ID: new("notebook-a"), JobModifyIndex: &index,
		Meta: map[string]string{metaServer: "a", metaGeneration: generation},
	}
}

func TestStartDecidesAnewAfterALostCheckAndSet(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.storeVariable()
	var registered bool
	w.mux.HandleFunc("GET /v1/job/notebook-a", func(rw http.ResponseWriter, r *http.Request) {
		if !registered {
			http.Error(rw, "job not found", http.StatusNotFound)
			return
		}
		reply(jobA("3", 12))(rw, r) // another hub was faster, with a newer generation
	})
	w.mux.HandleFunc("PUT /v1/jobs", func(rw http.ResponseWriter, r *http.Request) {
		var request api.JobRegisterRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || !request.EnforceIndex || request.JobModifyIndex != 0 {
			t.Errorf("registered without check-and-set over none: %+v, %v", request, err)
		}
		registered = true
		http.Error(rw, api.RegisterEnforceIndexErrPrefix+" 0: job already exists", http.StatusInternalServerError)
	})
	if err := s.Start(t.Context(), specA(2)); !errors.Is(err, scheduler.ErrStale) {
		t.Errorf("start: %v, want ErrStale", err)
	}
	if n := w.count("PUT /v1/jobs"); n != 1 {
		t.Errorf("registered %d times", n)
	}
}

// Who gives a start up, as a stop does, is told so when it is known whether the variable was written: what is written after the stop would be left for ever.
func TestAStartThatIsGivenUpLeavesNoWriteUnderWay(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	const untilItWouldBeCut = 50 * time.Millisecond
	w.mux.HandleFunc("GET /v1/var/nomad/jobs/notebook-a", http.NotFound)
	w.mux.HandleFunc("PUT /v1/var/nomad/jobs/notebook-a", func(rw http.ResponseWriter, r *http.Request) {
		giveUp()
		select {
		case <-r.Context().Done():
			t.Error("the write was cut")
		case <-time.After(untilItWouldBeCut):
		}
		reply(api.Variable{ModifyIndex: 5})(rw, r)
	})
	if err := s.Start(ctx, specA(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want that it was given up", err)
	}
	if n := w.count("PUT /v1/jobs"); n != 0 {
		t.Error("a start that was given up went on")
	}
	if err := s.Start(ctx, specA(1)); !errors.Is(err, context.Canceled) || w.count("PUT /v1/var/nomad/jobs/notebook-a") != 1 {
		t.Errorf("one that is given up before it begins: %v", err)
	}
}

func TestStartSeesANewerGenerationInTheVariable(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.mux.HandleFunc("GET /v1/var/nomad/jobs/notebook-a", reply(api.Variable{ModifyIndex: 5, Items: api.VariableItems{generationItem: "9"}}))
	if err := s.Start(t.Context(), specA(2)); !errors.Is(err, scheduler.ErrStale) {
		t.Errorf("start: %v, want ErrStale", err)
	}
	if n := w.count("PUT /v1/jobs"); n != 0 {
		t.Errorf("a stale start registered %d times", n)
	}
}

func TestStartGivesUpWhereEveryRoundIsLost(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.storeVariable()
	w.mux.HandleFunc("PUT /v1/jobs", fail(http.StatusInternalServerError, api.RegisterEnforceIndexErrPrefix+" 0: job already exists"))
	if err := s.Start(t.Context(), specA(1)); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("start: %v, want ErrUnavailable", err)
	}
}

func TestErrorsOfNomad(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		register http.HandlerFunc
		validate http.HandlerFunc
		rejected string // in the reason; else ErrUnavailable is wanted
	}{
		"no leader":        {register: fail(500, "No cluster leader"), validate: fail(500, "No cluster leader")},
		"a proxy's answer": {register: fail(502, "bad gateway"), validate: fail(502, "bad gateway")},
		"token refused":    {register: fail(403, "Permission denied"), validate: fail(403, "Permission denied")},
		"too many":         {register: fail(429, "slow down"), validate: fail(429, "slow down")},
		"its own trouble":  {register: fail(500, "raft: timed out"), validate: reply(api.JobValidateResponse{})},
		"a job that it will never take": {
			register: fail(500, "1 error occurred"), rejected: "Missing job datacenters",
			validate: reply(api.JobValidateResponse{ValidationErrors: []string{"Missing job datacenters"}}),
		},
		"a request that it does not understand": {register: fail(400, "job has no ID"), rejected: "Job has no ID."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := newWire(t)
			w.storeVariable()
			w.mux.HandleFunc("PUT /v1/jobs", c.register)
			if c.validate != nil {
				w.mux.HandleFunc("PUT /v1/validate/job", c.validate)
			}
			err := s.Start(t.Context(), specA(1))
			rejected, ok := errors.AsType[*scheduler.RejectedError](err)
			switch {
			case c.rejected == "" && (ok || !errors.Is(err, scheduler.ErrUnavailable)):
				t.Errorf("got %v, want ErrUnavailable", err)
			case c.rejected != "" && (!ok || !strings.Contains(rejected.Reason, c.rejected)):
				t.Errorf("got %v, want a rejection with %q", err, c.rejected)
			}
			if variable, err := s.readVariable(t.Context(), "a"); err != nil || (c.rejected != "") != (variable == nil) {
				t.Errorf("variable after the failure: %v, %v; it stays for the next try, except after a rejection", variable, err)
			}
		})
	}
}

func TestNoConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	s := parsedScheduler(t, nil) // its address refuses connections
	if err := s.Start(t.Context(), specA(1)); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("start: %v", err)
	}
	if err := s.Stop(t.Context(), "a", 1); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("stop: %v", err)
	}
	if _, err := s.Status(t.Context(), "a"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("status: %v", err)
	}
	if _, err := s.List(t.Context()); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
}

// TestAForeignJobIsLeftAlone: a job with the name of one of ours, but without our metadata, is neither stopped nor replaced.
func TestAForeignJobIsLeftAlone(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	foreign := jobA("1", 12)
	foreign.Meta = nil
	w.mux.HandleFunc("GET /v1/job/notebook-a", reply(foreign))
	if _, ok := errors.AsType[*scheduler.RejectedError](s.Start(t.Context(), specA(1))); !ok {
		t.Error("a start over a foreign job is not rejected")
	}
	if err := s.Stop(t.Context(), "a", 1); err == nil {
		t.Error("a foreign job was stopped")
	}
	if w.count("PUT /v1/jobs")+w.count("DELETE /v1/job/notebook-a") != 0 {
		t.Error("a foreign job was changed")
	}
}

// TestPurgeSparesAJobThatChanged: between the end of the allocations and the purge somebody registered the job again.
func TestPurgeSparesAJobThatChanged(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.mux.HandleFunc("GET /v1/job/notebook-a", reply(jobA("2", 20)))
	if err := s.purge(t.Context(), "a", 19); !errors.Is(err, errConflict) {
		t.Errorf("purge: %v, want a conflict", err)
	}
	if w.count("DELETE /v1/job/notebook-a") != 0 {
		t.Error("a newer registration was purged")
	}
}

// TestAPurgeAfterAnotherOneIsDone: two hubs purge the same job at once, and Nomad answers 500 to the later one.
func TestAPurgeAfterAnotherOneIsDone(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"DeleteJob failed: job not found": nil, "No cluster leader": scheduler.ErrUnavailable} {
		w, s := newWire(t)
		w.mux.HandleFunc("GET /v1/job/notebook-a", reply(jobA("2", 20)))
		w.mux.HandleFunc("DELETE /v1/job/notebook-a", fail(http.StatusInternalServerError, answer))
		if err := s.purge(t.Context(), "a", 20); !errors.Is(err, want) {
			t.Errorf("purge that is answered %q: %v, want %v", answer, err, want)
		}
		if w.count("DELETE /v1/job/notebook-a") != 1 {
			t.Error("nothing was purged")
		}
	}
}

// TestWatchAfterACut: the stream is cut, then silent, then well; each time the watch connects again and says so by a resync.
func TestWatchAfterACut(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.mux.HandleFunc("GET /v1/jobs", reply([]*api.JobListStub{}))
	w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{}))
	connections := 0
	w.mux.HandleFunc("GET /v1/event/stream", func(rw http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query()["topic"]; len(got) != 4 || r.URL.Query().Get("index") != "10" || r.URL.Query().Get("namespace") != "notebooks" {
			t.Errorf("stream asked with %s", r.URL.RawQuery)
		}
		connections++
		_, _ = rw.Write([]byte("{}\n"))
		rw.(http.Flusher).Flush()
		switch connections {
		case 1: // cut in the middle of a frame
			_, _ = rw.Write([]byte(`{"Index":11,"Events":[{"Topic":`))
		case 2: // alive and silent
			<-r.Context().Done()
		default:
			event := map[string]any{"Topic": "Job", "Type": "JobRegistered", "Payload": map[string]any{"Job": jobA("4", 11)}}
			reply(map[string]any{"Index": 11, "Events": []any{event}})(rw, r)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	resyncs, silent := 0, false
	for event, err := range s.Watch(ctx) {
		silent = silent || errors.Is(err, errSilent)
		if event.Resync {
			resyncs++
		}
		if event.Status != nil {
			if event.ID != "a" || event.Generation != 4 || event.Status.State != scheduler.Pending {
				t.Errorf("event: %+v", event)
			}
			break
		}
	}
	if resyncs != 3 || !silent {
		t.Errorf("%d resyncs, want 3; silence told: %v", resyncs, silent)
	}
}

// TestWatchOutlivesRefusals: Nomad answers errors; the watch tells them and goes on.
func TestWatchOutlivesRefusals(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{}))
	lists := 0
	w.mux.HandleFunc("GET /v1/jobs", func(rw http.ResponseWriter, r *http.Request) {
		if lists++; lists == 1 {
			http.Error(rw, "No cluster leader", http.StatusInternalServerError)
			return
		}
		reply([]*api.JobListStub{})(rw, r)
	})
	w.mux.HandleFunc("GET /v1/event/stream", fail(http.StatusForbidden, "Permission denied"))
	told := 0
	for event, err := range s.Watch(t.Context()) {
		if event.Resync || !errors.Is(err, scheduler.ErrUnavailable) {
			t.Errorf("got %+v, %v", event, err)
		}
		if told++; told == 2 {
			break
		}
	}
}

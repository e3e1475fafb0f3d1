package nomad

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

// TestWaitingHoldsNoConnection has many servers waited for at once. Nomad takes a hundred connections from one address.
func TestWaitingHoldsNoConnection(t *testing.T) {
	t.Parallel()
	const servers = 200
	w, s := newWire(t)
	var ended atomic.Bool
	var asked sync.WaitGroup
	asked.Add(servers)
	for i := range servers {
		id := fmt.Sprint("n", i)
		first := sync.OnceFunc(asked.Done)
		w.mux.HandleFunc("/v1/job/notebook-"+id+"/allocations", func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("index") {
				t.Errorf("the question %s waits at Nomad", r.URL)
			}
			status := api.AllocClientStatusRunning
			if ended.Load() {
				status = api.AllocClientStatusComplete
			}
			reply([]*api.AllocationListStub{{ID: "x", ClientStatus: status}})(rw, r)
			first()
		})
		w.mux.HandleFunc("/v1/job/notebook-"+id, reply(api.Job{JobModifyIndex: new(uint64(7)), Meta: map[string]string{metaServer: id}}))
	}
	s.news.watched(1)
	var waiting sync.WaitGroup
	for i := range servers {
		waiting.Go(func() {
			if err := s.awaitTerminal(t.Context(), fmt.Sprint("n", i), 7); err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	ended.Store(true)
	for i := range servers {
		s.news.tell(fmt.Sprint("notebook-n", i))
	}
	waiting.Wait()
	if len(s.news.waiting) != 0 {
		t.Errorf("%d jobs are still waited for", len(s.news.waiting))
	}
}

// TestWaitingWithoutWatch finds the end although nobody tells of it.
func TestWaitingWithoutWatch(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	var times atomic.Int64
	w.mux.HandleFunc("/v1/job/notebook-a/allocations", func(rw http.ResponseWriter, r *http.Request) {
		status := api.AllocClientStatusRunning
		if times.Add(1) > 2 {
			status = api.AllocClientStatusComplete
		}
		reply([]*api.AllocationListStub{{ID: "x", ClientStatus: status}})(rw, r)
	})
	w.mux.HandleFunc("/v1/job/notebook-a", reply(api.Job{JobModifyIndex: new(uint64(7)), Meta: map[string]string{metaServer: "a"}}))
	if err := s.awaitTerminal(t.Context(), "a", 7); err != nil || times.Load() != 3 {
		t.Errorf("asked %d times, and then: %v", times.Load(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	times.Store(-1 << 40)
	if err := s.awaitTerminal(ctx, "a", 7); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that is cut short ends with %v", err)
	}
}

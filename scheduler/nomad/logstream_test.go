package nomad

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// logWire is a Nomad with one allocation of server a, whose log a test writes.
func logWire(t *testing.T, log http.HandlerFunc) (*Scheduler, *atomic.Value) {
	t.Helper()
	w, s := newWire(t)
	status := &atomic.Value{}
	status.Store(api.AllocClientStatusRunning)
	w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{}))
	w.mux.HandleFunc("GET /v1/job/notebook-a/allocations", reply([]*api.AllocationListStub{{ID: "x1", JobID: "notebook-a", CreateIndex: 5}}))
	w.mux.HandleFunc("GET /v1/allocation/x1", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("index") != "" {
			select { // as a blocking query does
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		reply(&api.Allocation{
			ID: "x1", JobID: "notebook-a", CreateIndex: 5, ClientStatus: status.Load().(string),
			TaskStates: map[string]*api.TaskState{"notebook": {State: "running", StartedAt: time.Unix(1, 0)}},
		})(rw, r)
	})
	w.mux.HandleFunc("GET /v1/client/fs/logs/x1", log)
	return s, status
}

func TestLogQueries(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	s, _ := logWire(t, func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked <- strings.Join([]string{q.Get("task"), q.Get("type"), q.Get("origin"), q.Get("offset"), q.Get("follow"), q.Get("plain")}, " ")
		_, _ = rw.Write([]byte("\x1b[1mas it is\x00"))
	})
	for want, q := range map[string]scheduler.LogQuery{
		"notebook stdout start 0 false true":  {},
		"notebook stderr end 4096 false true": {Errors: true, Tail: 4096},
	} {
		log, err := s.Log(t.Context(), "a", q)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(log)
		if got := <-asked; got != want || string(text) != "\x1b[1mas it is\x00" || err != nil {
			t.Errorf("asked for %q, want %q; read %q, %v", got, want, text, err)
		}
		_ = log.Close()
	}
}

// TestLogsThatAreNotThere tells a log that is empty from one that cannot be had now.
func TestLogsThatAreNotThere(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		answer http.HandlerFunc
		want   error // nil: empty
	}{
		"the task has not begun":         {fail(404, `task "notebook" not started yet. No logs available`), nil},
		"the machine knows no such task": {fail(400, `unknown task name "notebook"`), nil},
		"the machine removed it":         {fail(404, "state for allocation x1 not found on client"), nil},
		"the file is not there yet":      {fail(500, "failed to list entries: log entry for task \"notebook\" and log type \"stdout\" not found"), nil},
		"no contact with the machine":    {fail(404, "No path to node. Node ID: n1"), scheduler.ErrUnavailable},
		"no leader":                      {fail(500, "No cluster leader"), scheduler.ErrUnavailable},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := logWire(t, c.answer)
			log, err := s.Log(t.Context(), "a", scheduler.LogQuery{})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				if text, err := io.ReadAll(log); err != nil || len(text) > 0 {
					t.Errorf("read %q, %v", text, err)
				}
			}
		})
	}
}

// TestFollowedLogEnds: with the server, with its last words; and with its reader, whose leaving ends the stream at Nomad, too.
func TestFollowedLogEnds(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 2)
	more := make(chan string)
	s, status := logWire(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(rw, "one")
		rw.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				left <- struct{}{}
				return
			case text := <-more:
				_, _ = fmt.Fprintln(rw, text)
				rw.(http.Flusher).Flush()
			}
		}
	})
	open := func() (io.ReadCloser, *bufio.Scanner) {
		t.Helper()
		log, err := s.Log(t.Context(), "a", scheduler.LogQuery{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(log)
		if !lines.Scan() || lines.Text() != "one" {
			t.Fatalf("read %q, %v", lines.Text(), lines.Err())
		}
		return log, lines
	}
	log, _ := open()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	receive(t, "the stream's end at Nomad after its reader left", left)

	log, lines := open()
	defer log.Close()
	status.Store(api.AllocClientStatusComplete)
	more <- "last words"
	if !lines.Scan() || lines.Text() != "last words" {
		t.Errorf("read %q, %v", lines.Text(), lines.Err())
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end came %q, %v", lines.Text(), lines.Err())
	}
	receive(t, "the stream's end at Nomad after the server's", left)
}

// TestFollowBeforeTheTask: a log that is followed before the server has a place waits for its first words.
func TestFollowBeforeTheTask(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	var placed atomic.Bool
	w.mux.HandleFunc("GET /v1/nodes", reply([]*api.NodeListStub{}))
	w.mux.HandleFunc("GET /v1/job/notebook-a", reply(jobA("1", 5)))
	w.mux.HandleFunc("GET /v1/job/notebook-a/allocations", func(rw http.ResponseWriter, r *http.Request) {
		if !placed.CompareAndSwap(false, true) {
			reply([]*api.AllocationListStub{{ID: "x1", CreateIndex: 6}})(rw, r)
			return
		}
		reply([]*api.AllocationListStub{})(rw, r)
	})
	var looks atomic.Int64
	w.mux.HandleFunc("GET /v1/allocation/x1", func(rw http.ResponseWriter, r *http.Request) {
		alloc := &api.Allocation{ID: "x1", CreateIndex: 6, ClientStatus: api.AllocClientStatusPending, TaskStates: map[string]*api.TaskState{"notebook": {State: "pending"}}}
		if looks.Add(1) > 2 {
			alloc.ClientStatus = api.AllocClientStatusFailed
			alloc.TaskStates["notebook"] = &api.TaskState{State: "dead", StartedAt: time.Unix(1, 0)}
		}
		reply(alloc)(rw, r)
	})
	w.mux.HandleFunc("GET /v1/client/fs/logs/x1", func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte("it was short\n"))
	})
	log, err := s.Log(t.Context(), "a", scheduler.LogQuery{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || string(text) != "it was short\n" {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	alloc := &allocView{memoryLimits: map[string]int64{"notebook": 2048, "helper": 64}, tasks: map[string]*api.TaskState{"notebook": {}, "helper": {}}}
	task := func(m api.MemoryStats) *api.AllocResourceUsage {
		return &api.AllocResourceUsage{Tasks: map[string]*api.TaskResourceUsage{
			"helper": {ResourceUsage: &api.ResourceUsage{CpuStats: &api.CpuStats{Percent: 999}}},
			"notebook": {Timestamp: 1e18, ResourceUsage: &api.ResourceUsage{
				CpuStats: &api.CpuStats{Percent: 150, TotalTicks: 3000}, MemoryStats: &m,
				DeviceStats: []*api.DeviceGroupStats{{Vendor: "nvidia", Type: "gpu", Name: "T4", InstanceStats: map[string]*api.DeviceStats{
					"g1": {
						Summary: &api.StatValue{Desc: "Memory state", IntNumeratorVal: new(int64(7)), Unit: "MiB"},
						Stats:   &api.StatObject{Attributes: map[string]*api.StatValue{"Temperature": {IntNumeratorVal: new(int64(40)), Unit: "C"}}},
					},
				}}},
			}},
		}}
	}
	for name, c := range map[string]struct {
		memory api.MemoryStats
		want   int64
	}{
		"resident":                              {api.MemoryStats{RSS: 100, Usage: 500, Cache: 50}, 100},
		"without the files that can be dropped": {api.MemoryStats{Usage: 500, Cache: 200}, 300},
		"where that makes no sense":             {api.MemoryStats{Usage: 500, Cache: 700}, 500},
	} {
		got, err := usageOf(alloc, task(c.memory))
		if err != nil || got.MemoryBytes != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		want := scheduler.Usage{
			Time: time.Unix(1e9, 0).UTC(), CPU: 1.5, MemoryBytes: c.want, MemoryLimit: 2 << 30,
			Devices: []scheduler.DeviceUsage{{Name: "nvidia/gpu/T4", ID: "g1", Values: map[string]string{"Memory state": "7 MiB", "Temperature": "40 C"}}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := usageOf(alloc, &api.AllocResourceUsage{ResourceUsage: &api.ResourceUsage{}})
	rejected, ok := errors.AsType[*scheduler.RejectedError](err)
	if !errors.Is(err, scheduler.ErrUnavailable) || !ok || !strings.Contains(rejected.Reason, "publish_allocation_metrics") {
		t.Errorf("a machine that measures nothing: %v", err)
	}
}

// TestHistoryOfRecorded: what is told of one allocation, with the job as it is now, with a newer one, and without.
func TestHistoryOfRecorded(t *testing.T) {
	t.Parallel()
	alloc := recorded(t, "exit-3")
	alloc.Job = jobA("1", 1)
	alloc.CreateTime = alloc.TaskStates["notebook"].Events[0].Time - 1
	for name, job := range map[string]*api.Job{"the same": jobA("1", 1), "a newer one": jobA("2", alloc.CreateIndex+5), "none": nil} {
		events := historyOf(job, alloc)
		if len(events) < 4 || events[0].Message != "A machine was found: node-1." {
			t.Fatalf("%s: %+v", name, events)
		}
		for i, event := range events {
			if event.ID != "a" || event.Generation != 1 || i > 0 && event.Time.Before(events[i-1].Time) {
				t.Errorf("%s: event %d: %+v", name, i, event)
			}
		}
		if last := events[len(events)-1]; last.Status == nil || last.Status.Cause != scheduler.CauseExited || !strings.Contains(last.Message, "exit code 3") {
			t.Errorf("%s: the last is %+v", name, last)
		}
	}
	stopped := recorded(t, "operator-stop")
	stopped.Job = jobA("1", 1)
	if last := historyOf(jobA("2", stopped.CreateIndex+5), stopped); last[len(last)-1].Message != "The server was replaced by a newer start of it." {
		t.Errorf("replaced: %+v", last[len(last)-1])
	}
}

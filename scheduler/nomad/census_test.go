package nomad

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
	"github.com/nomadhub/nomadhub/scheduler"
)

// lists returns which questions were asked since the last time, without those for one element and for machines.
func (c *crowd) lists() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lists []string
	for _, asked := range c.asked {
		if path, query, _ := strings.Cut(asked, "?"); !strings.Contains(query, "per_page=1") && path != "/v1/nodes" {
			lists = append(lists, path)
		}
	}
	c.asked = nil
	return lists
}

func listed(t *testing.T, s *Scheduler, want int) []scheduler.Status {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil || len(all) != want {
		t.Fatalf("%d servers listed, want %d; %v", len(all), want, err)
	}
	return all
}

// TestListStandsUntilSomethingChanges: what Nomad listed is not listed again before an index moves, and what changed is seen then.
func TestListStandsUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	c, s := newCrowd(t, 3)
	both := []string{"/v1/jobs", "/v1/allocations"}
	first := listed(t, s, 3)
	want := scheduler.Status{
		ID: crowdID(1), Generation: 1, State: scheduler.Running, Instance: crowdAllocID(1), Address: "10.0.1.7:20001", Placement: 1002, Node: "node-1.example.org",
		Began: time.Date(2026, 11, 22, 6, 36, 43, 127411334, time.UTC),
	}
	if diff := cmp.Diff(want, first[1]); diff != "" {
		t.Errorf("a server was listed as (-want +got)\n%s", diff)
	}
	if asked := c.lists(); !slices.Equal(asked, both) {
		t.Errorf("asked for %q at first", asked)
	}
	if diff := cmp.Diff(first, listed(t, s, 3)); diff != "" || len(c.lists()) != 0 {
		t.Errorf("without a change, lists were asked for, or differ: %s", diff)
	}

	c.index++
	c.put(1, c.index)
	c.allocs[1] = strings.Replace(c.allocs[1], `"ClientStatus":"running"`, `"ClientStatus":"unknown"`, 1)
	c.put(2, 1002) // the same index: nothing of it is read
	c.allocs[2] = strings.Replace(c.allocs[2], `"ClientStatus":"running"`, `"ClientStatus":"failed"`, 1)
	then := listed(t, s, 3)
	if !then[1].Lost || then[2].State != scheduler.Running {
		t.Errorf("after the change of one: %+v", then)
	}
	if asked := c.lists(); !slices.Equal(asked, both) {
		t.Errorf("asked for %q after a change", asked)
	}

	c.index -= 10 // restored from a snapshot
	if now := listed(t, s, 3); now[2].State != scheduler.Dead {
		t.Errorf("of another history: %+v", now)
	}
	c.lists()
	s.census.allocs.Load().read = time.Now().Add(-censusAge)
	s.census.jobs.Load().read = time.Now().Add(-censusAge)
	if listed(t, s, 3); !slices.Equal(c.lists(), both) {
		t.Error("an old list stands")
	}
	s.census.forget()
	if listed(t, s, 3); !slices.Equal(c.lists(), both) {
		t.Error("a list stands that was to be forgotten")
	}
}

// TestListLeavesOutWhatEnded: of the many ended allocations whose jobs are gone nothing is kept, and one of a job is what its last one is.
func TestListLeavesOutWhatEnded(t *testing.T) {
	t.Parallel()
	c, s := newCrowd(t, 2)
	ended := strings.Replace(c.allocs[0], `"ClientStatus":"running"`, `"ClientStatus":"complete"`, 1)
	c.allocs = append(c.allocs, strings.NewReplacer(crowdID(0), "gone", crowdAllocID(0), crowdAllocID(8)).Replace(ended),
		strings.NewReplacer(crowdAllocID(0), crowdAllocID(9), `"CreateIndex":1001`, `"CreateIndex":999`).Replace(ended))
	for _, st := range listed(t, s, 2) {
		if st.State != scheduler.Running {
			t.Errorf("listed as %+v", st)
		}
	}
	if n := len(s.census.allocs.Load().newest); n != 2 {
		t.Errorf("%d allocations are remembered", n)
	}
}

func TestEachElement(t *testing.T) {
	t.Parallel()
	long := `{"a":"` + strings.Repeat(`]}\"`, 50_000) + `"}`
	for text, want := range map[string][]string{
		"[]": nil, " null\n": nil, ` [ {} , {"a":[{}]} ] `: {"{}", `{"a":[{}]}`}, "[" + long + "," + long + "]\n": {long, long},
	} {
		for _, from := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			if _, slow := from.(*strings.Reader); !slow && len(text) > 1000 {
				from = iotest.HalfReader(strings.NewReader(text))
			}
			var got []string
			err := eachElement(from, func(element []byte) error {
				got = append(got, string(element))
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%.40q: %d elements, %v", text, len(got), err)
			}
		}
	}
	for text, want := range map[string]error{"": io.ErrUnexpectedEOF, "[": io.ErrUnexpectedEOF, "[{}": io.ErrUnexpectedEOF, `[{"a":"`: io.ErrUnexpectedEOF, "{}": pull.ErrJSON, "[1]": pull.ErrJSON, "<html>": pull.ErrJSON} {
		if err := eachElement(strings.NewReader(text), func([]byte) error { return nil }); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestAConnectionListsOnce: what a watch listed when it connected is what the reader's own list, which comes after, is made of.
func TestAConnectionListsOnce(t *testing.T) {
	t.Parallel()
	c, s := newCrowd(t, 3)
	w := newBenchWatch(s)
	listed(t, s, 3)
	c.lists()
	for range 2 { // each connection anew
		if _, err := w.list(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		listed(t, s, 3)
		if asked := c.lists(); !slices.Equal(asked, []string{"/v1/jobs", "/v1/allocations"}) {
			t.Errorf("asked for %q", asked)
		}
	}
}

// TestAListThatIsBehindIsNone: a server that does not come to know within some seconds what another one knew a moment ago answers with an older state, which is not believed.
func TestAListThatIsBehindIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := newCrowd(t, 3)
		c.late = catchUp
		if _, err := s.List(t.Context()); !errors.Is(err, errBehind) || !errors.Is(err, scheduler.ErrUnavailable) {
			t.Errorf("listed with %v", err)
		}
		c.late = catchUp - 1
		listed(t, s, 3)
	})
}

// TestListsKeepTheirConnection: an answer is read to its end, so that the next question needs no new connection.
func TestListsKeepTheirConnection(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	var mu sync.Mutex
	from := map[string]bool{}
	w.mux.HandleFunc("GET /v1/jobs", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr] = true
		mu.Unlock()
		reply([]*api.JobListStub{{ID: "notebook-a", JobModifyIndex: 5, Meta: map[string]string{metaServer: "a", metaGeneration: "1"}}})(rw, r)
		if r.URL.Query().Get("per_page") == "" {
			rw.(http.Flusher).Flush()
			<-time.After(50 * time.Millisecond) // who closes at the bracket has done so
			_, _ = rw.Write([]byte("\n"))
		}
	})
	for range 3 {
		s.census.forget()
		if jobs, err := s.listJobs(t.Context()); err != nil || len(jobs.views) != 1 {
			t.Fatalf("listed %+v, %v", jobs, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(from) != 1 {
		t.Errorf("asked over %d connections", len(from))
	}
}

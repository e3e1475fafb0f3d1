package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// streamWire is a wire whose event stream and indexes a test moves.
type streamWire struct {
	*wire
	index   atomic.Uint64 // of all tables
	hang    atomic.Bool   // tables give no answer
	refuse  atomic.Bool   // tables answer that there is no leader
	opened  atomic.Int64  // streams
	content func(stream int64, from string, send func(frame))
}

// send writes one line of a stream.
func streamSender(rw http.ResponseWriter) func(frame) {
	return func(f frame) {
		text := []byte("{}\n")
		if f.Index != 0 {
			text, _ = json.Marshal(map[string]any{"Index": f.Index, "Events": f.Events})
			text = append(text, '\n')
		}
		_, _ = rw.Write(text)
		rw.(http.Flusher).Flush()
	}
}

func newStreamWire(t *testing.T, content func(stream int64, from string, send func(frame))) (*streamWire, *Scheduler) {
	t.Helper()
	plain, s := newWire(t)
	s.opts.ProbeInterval, s.opts.StreamSilence = 20*time.Millisecond, time.Hour
	w := &streamWire{wire: plain, content: content}
	w.index.Store(10)
	for _, table := range []string{"allocations", "evaluations", "nodes"} {
		w.mux.HandleFunc("GET /v1/"+table, func(rw http.ResponseWriter, r *http.Request) {
			if w.hang.Load() {
				<-r.Context().Done()
				return
			}
			if w.refuse.Load() {
				http.Error(rw, "No cluster leader", http.StatusInternalServerError)
				return
			}
			rw.Header().Set("X-Nomad-Index", fmt.Sprint(w.index.Load()))
			reply([]any{})(rw, r)
		})
	}
	w.mux.HandleFunc("GET /v1/jobs", reply([]*api.JobListStub{}))
	w.mux.HandleFunc("GET /v1/event/stream", func(rw http.ResponseWriter, r *http.Request) {
		send := streamSender(rw)
		send(frame{})
		w.content(w.opened.Add(1), r.URL.Query().Get("index"), send)
		<-r.Context().Done()
	})
	return w, s
}

// follow runs a watch and hands over what it yields.
func follow(t *testing.T, s *Scheduler) (<-chan scheduler.Event, <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events, errs := make(chan scheduler.Event, 100), make(chan error, 100)
	var group sync.WaitGroup
	group.Go(func() {
		for event, err := range s.Watch(ctx) {
			if err != nil {
				errs <- err
				continue
			}
			events <- event
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return events, errs
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute in vain for %s", what)
		panic("unreachable")
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited a minute in vain until %s", what)
		}
	}
}

func allocFrame(index uint64) frame {
	var e streamEvent
	e.Topic, e.Type, e.Index = api.TopicAllocation, "AllocationUpdated", index
	e.Payload.Allocation = &api.Allocation{ID: "other", JobID: "somebody-elses", ModifyIndex: index}
	return frame{Index: index, Events: []streamEvent{e}}
}

// TestAFrozenStreamIsNoticed: the first stream is alive and brings nothing, while there is something.
func TestAFrozenStreamIsNoticed(t *testing.T) {
	t.Parallel()
	w, s := newStreamWire(t, func(stream int64, _ string, send func(frame)) {
		if stream > 1 {
			send(allocFrame(12))
		}
	})
	events, errs := follow(t, s)
	w.index.Store(12)
	if first := receive(t, "the first resync", events); !first.Resync {
		t.Errorf("first %+v", first)
	}
	if err := receive(t, "the freeze to be told", errs); !errors.Is(err, errFrozen) {
		t.Errorf("told %v, want %v", err, errFrozen)
	}
	if again := receive(t, "the resync after it", events); !again.Resync {
		t.Errorf("then %+v", again)
	}
}

// TestWorkOfOthersIsNoFreeze: the tables' indexes run ahead of a stream that lacks nothing.
func TestWorkOfOthersIsNoFreeze(t *testing.T) {
	t.Parallel()
	w, s := newStreamWire(t, func(int64, string, func(frame)) {})
	events, errs := follow(t, s)
	receive(t, "the resync", events)
	for range 2 {
		before := s.LastSign()
		w.index.Add(7)
		opened := w.opened.Load()
		until(t, "a second stream showed that nothing is missing", func() bool {
			return w.opened.Load() > opened && s.LastSign().After(before)
		})
	}
	select {
	case err := <-errs:
		t.Errorf("a stream that lacks nothing was given up: %v", err)
	case event := <-events:
		t.Errorf("told %+v", event)
	default:
	}
}

// TestALateEventIsNoFreeze: the second look shows what the first stream brings a moment later.
func TestALateEventIsNoFreeze(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	w, s := newStreamWire(t, func(stream int64, _ string, send func(frame)) {
		if stream == 1 {
			<-second
			send(allocFrame(15))
			return
		}
		send(allocFrame(15))
		if stream == 2 {
			close(second)
		}
	})
	events, errs := follow(t, s)
	receive(t, "the resync", events)
	before := s.LastSign()
	w.index.Store(15)
	until(t, "the stream is known to lack nothing", func() bool { return s.LastSign().After(before) && w.opened.Load() > 1 })
	if len(errs) > 0 {
		t.Errorf("given up: %v", <-errs)
	}
}

// TestSilenceIsNoContact: nothing answers any more, neither the stream nor a question.
func TestSilenceIsNoContact(t *testing.T) {
	t.Parallel()
	w, s := newStreamWire(t, func(int64, string, func(frame)) {})
	events, errs := follow(t, s)
	receive(t, "the resync", events)
	until(t, "a first question is answered", func() bool { return !s.LastSign().IsZero() })
	w.hang.Store(true)
	if err := receive(t, "the loss to be told", errs); !errors.Is(err, errNoContact) {
		t.Errorf("told %v, want %v", err, errNoContact)
	}
	lost := s.LastSign()
	w.hang.Store(false)
	until(t, "the watch has connected again", func() bool { return len(events) > 0 && s.LastSign().After(lost) })
	if event := <-events; !event.Resync {
		t.Errorf("after the loss came %+v", event)
	}
}

// TestNoLeaderIsNoReasonToReconnect: somebody answers, who knows nothing. The stream stays, and its age grows.
func TestNoLeaderIsNoReasonToReconnect(t *testing.T) {
	t.Parallel()
	w, s := newStreamWire(t, func(int64, string, func(frame)) {})
	events, errs := follow(t, s)
	receive(t, "the resync", events)
	w.refuse.Store(true)
	asked := w.count("GET /v1/evaluations")
	until(t, "questions were refused", func() bool { return w.count("GET /v1/evaluations") > asked+3 })
	sign := s.LastSign()
	asked = w.count("GET /v1/evaluations")
	until(t, "more questions were refused", func() bool { return w.count("GET /v1/evaluations") > asked+3 })
	if len(errs) > 0 || !s.LastSign().Equal(sign) {
		t.Errorf("errors %d, sign moved by %s", len(errs), s.LastSign().Sub(sign))
	}
	w.refuse.Store(false)
	until(t, "the sign moves again", func() bool { return s.LastSign().After(sign) })
}

// TestWithoutRightsToMachines: a token that may not see machines watches everything else.
func TestWithoutRightsToMachines(t *testing.T) {
	t.Parallel()
	w, s := newWire(t)
	s.opts.StreamSilence = time.Hour
	w.mux.HandleFunc("GET /v1/jobs", reply([]*api.JobListStub{}))
	w.mux.HandleFunc("GET /v1/nodes", fail(http.StatusForbidden, "Permission denied"))
	topics := make(chan []string, 10)
	w.mux.HandleFunc("GET /v1/event/stream", func(rw http.ResponseWriter, r *http.Request) {
		topics <- r.URL.Query()["topic"]
		streamSender(rw)(frame{})
		<-r.Context().Done()
	})
	events, _ := follow(t, s)
	receive(t, "the resync", events)
	if got := <-topics; len(got) != 3 {
		t.Errorf("asked for %v", got)
	}
}

// TestReconnectionsAreSpread: hubs that lose the same server come back at different moments, and not more often than the bound.
func TestReconnectionsAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := parsedScheduler(t, func(o *Options) {
			o.Client, _ = api.NewClient(&api.Config{Address: "http://nomad.invalid", HttpClient: &http.Client{Transport: refusing{}}})
		})
		const hubs, span = 30, 10 * time.Minute
		firstTry := make(map[time.Duration]int)
		for range hubs {
			ctx, cancel := context.WithTimeout(t.Context(), span)
			begun := time.Now()
			var tries []time.Duration
			for _, err := range s.Watch(ctx) {
				if err != nil {
					tries = append(tries, time.Since(begun))
				}
			}
			cancel()
			// With full jitter the mean wait is half the bound.
			if most := int(span/(maxBackoff/2))*3/2 + 10; len(tries) > most {
				t.Errorf("%d tries in %s, want at most %d", len(tries), span, most)
			}
			firstTry[tries[1].Round(10*time.Millisecond)]++
		}
		for at, n := range firstTry {
			if n > hubs/3 {
				t.Errorf("%d of %d hubs came back at %s", n, hubs, at)
			}
		}
	})
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

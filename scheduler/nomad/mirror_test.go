package nomad

import (
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// mirrorBeside returns a mirror that was told by a watch since index 10, when there was no job.
func mirrorBeside(t *testing.T, listed ...jobView) (*Scheduler, *watch) {
	t.Helper()
	_, s := newWire(t)
	w := &watch{s: s}
	s.mirror.begin(w, listed, 10)
	s.mirror.sign.note(time.Now())
	return s, w
}

// jobEvent is the registration, at that index, of a job that was created at the other one.
func registered(t *testing.T, index, created uint64, stopped bool) *streamEvent {
	t.Helper()
	e := event(t, "JobRegistered", jobOf("1", index, stopped))
	e.Index, e.Payload.Job.CreateIndex = index, &created
	return e
}

func purged(t *testing.T, index, jobIndex uint64) *streamEvent {
	t.Helper()
	e := registered(t, jobIndex, jobIndex, true)
	e.Type, e.Index = deregistered, index
	return e
}

func placed(t *testing.T, id string, index, created uint64, clientStatus, desired string) *streamEvent {
	t.Helper()
	e := allocAt(t, index, clientStatus)
	a := e.Payload.Allocation
	a.ID, a.CreateIndex, a.DesiredStatus = id, created, desired
	return e
}

func evaluated(jobIndex uint64, blocked bool) *streamEvent {
	var e streamEvent
	e.Payload.Evaluation = &api.Evaluation{JobID: "notebook-a", Status: api.EvalStatusComplete, JobModifyIndex: jobIndex}
	if blocked {
		e.Payload.Evaluation.FailedTGAllocs = map[string]*api.AllocationMetric{"g": {}}
	}
	return &e
}

// TestMirrorSpeaksOfTheLiving: after which events a server's status is known, and which it is. What is not known is asked.
func TestMirrorSpeaksOfTheLiving(t *testing.T) {
	t.Parallel()
	const run, stop = api.AllocDesiredStatusRun, api.AllocDesiredStatusStop
	const pending, running = api.AllocClientStatusPending, api.AllocClientStatusRunning
	cases := map[string]struct {
		listed []jobView
		events []*streamEvent
		before func(s *Scheduler)
		knows  bool
		state  scheduler.State
	}{
		"nothing":                            {},
		"a job from before":                  {listed: []jobView{{id: "a", generation: 1, index: 9, registered: 9}}, events: []*streamEvent{placed(t, "x", 12, 11, running, run)}},
		"a job from before that is modified": {events: []*streamEvent{registered(t, 12, 8, false), placed(t, "x", 13, 13, running, run)}},
		"registered":                         {events: []*streamEvent{registered(t, 11, 11, false)}, knows: true, state: scheduler.Pending},
		"placed":                             {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, pending, run)}, knows: true, state: scheduler.Pending},
		"running": {
			events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 13, 12, running, run), placed(t, "x", 12, 12, pending, run)}, knows: true, state: scheduler.Running,
		},
		"blocked":                      {events: []*streamEvent{registered(t, 11, 11, false), evaluated(11, true)}},
		"placed after it was blocked":  {events: []*streamEvent{registered(t, 11, 11, false), evaluated(11, true), placed(t, "x", 12, 12, pending, run)}, knows: true, state: scheduler.Pending},
		"ended":                        {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, api.AllocClientStatusFailed, run)}},
		"about to be ended":            {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, running, stop)}},
		"contact lost":                 {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, api.AllocClientStatusUnknown, run)}},
		"stopped":                      {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, running, run), registered(t, 13, 11, true)}},
		"modified after its placement": {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, running, run), registered(t, 13, 11, false)}},
		"purged while it runs":         {events: []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, running, run), purged(t, 13, 11)}},
		"purged and registered while it ends": {events: []*streamEvent{
			registered(t, 11, 11, false), placed(t, "x", 12, 12, running, run), purged(t, 13, 11), registered(t, 14, 14, false),
		}},
		"a write of our own is not told yet": {
			events: []*streamEvent{registered(t, 11, 11, false)}, before: func(s *Scheduler) { s.mirror.wrote("notebook-a", 12) },
		},
		"a write of our own was told": {
			events: []*streamEvent{registered(t, 11, 11, false)}, before: func(s *Scheduler) { s.mirror.wrote("notebook-a", 11) }, knows: true, state: scheduler.Pending,
		},
		"no sign for long": {
			events: []*streamEvent{registered(t, 11, 11, false)}, before: func(s *Scheduler) { s.mirror.sign.last.Store(time.Now().Add(-mirrorAge).UnixNano()) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := mirrorBeside(t, c.listed...)
			for _, e := range c.events {
				s.mirror.take(w, e)
			}
			if c.before != nil {
				c.before(s)
			}
			view, alloc, ok := s.mirror.lives("notebook-a")
			if ok != c.knows {
				t.Fatalf("known: %v, want %v; %+v %+v", ok, c.knows, view, alloc)
			}
			if ok && status(view, alloc, why{}).State != c.state {
				t.Errorf("status %+v, want %s", status(view, alloc, why{}), c.state)
			}
		})
	}
}

// TestMirrorKnowsTheEnd: a server has ended when Nomad worked on its stop and all of its allocations are terminal. One that was about to be placed is not
// overlooked.
func TestMirrorKnowsTheEnd(t *testing.T) {
	t.Parallel()
	s, w := mirrorBeside(t)
	steps := []struct {
		what  string
		event *streamEvent
		want  ending
	}{
		{"registered", registered(t, 11, 11, false), endUnknown},
		{"stopped", registered(t, 12, 11, true), endUnheard},
		{"the first evaluation", evaluated(11, false), endUnheard},
		{"placed late", placed(t, "x", 13, 13, api.AllocClientStatusPending, api.AllocDesiredStatusRun), endToCome},
		{"the evaluation of the stop", evaluated(12, false), endToCome},
		{"contact lost", placed(t, "x", 14, 13, api.AllocClientStatusUnknown, api.AllocDesiredStatusStop), endUnknown},
		{"ended", placed(t, "x", 15, 13, api.AllocClientStatusComplete, api.AllocDesiredStatusStop), endCame},
		{"registered anew", registered(t, 16, 11, false), endUnknown},
	}
	s.mirror.wrote("notebook-a", 12)
	for _, step := range steps {
		s.mirror.take(w, step.event)
		if step.what == "registered" {
			if got := s.mirror.endOf("notebook-a", 12); got != endUnheard {
				t.Errorf("before the stream told of our stop: %d", got)
			}
			continue
		}
		if got := s.mirror.endOf("notebook-a", 12); got != step.want {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
}

// TestMirrorKnowsWhatIsNot: a job is said to be missing only if none was listed or told of, and not while nobody is connected.
func TestMirrorKnowsWhatIsNot(t *testing.T) {
	t.Parallel()
	s, w := mirrorBeside(t, jobView{id: "b", generation: 1})
	if !s.mirror.lacks("notebook-a") || s.mirror.lacks("notebook-b") {
		t.Error("what was listed is lacking, or what was not is there")
	}
	for _, e := range []*streamEvent{registered(t, 11, 11, false), placed(t, "x", 12, 12, api.AllocClientStatusRunning, api.AllocDesiredStatusRun), purged(t, 13, 11)} {
		s.mirror.take(w, e)
		if s.mirror.lacks("notebook-a") {
			t.Error("a server that runs is said to be missing")
		}
	}
	s.mirror.take(w, placed(t, "x", 14, 12, api.AllocClientStatusComplete, api.AllocDesiredStatusStop))
	if !s.mirror.lacks("notebook-a") {
		t.Error("a job that was purged and has ended is remembered")
	}
	s.mirror.take(&watch{s: s}, registered(t, 15, 15, false))
	if !s.mirror.lacks("notebook-a") {
		t.Error("another watch speaks through the mirror")
	}
	s.mirror.end(w)
	if s.mirror.lacks("notebook-a") {
		t.Error("something is known although nobody is connected")
	}
}

// TestMirrorForgetsWithItsConnection: nothing that an earlier connection told is believed, and of own writes those are awaited that the new one will tell of.
func TestMirrorForgetsWithItsConnection(t *testing.T) {
	t.Parallel()
	s, w := mirrorBeside(t)
	s.mirror.take(w, registered(t, 11, 11, false))
	s.mirror.wrote("notebook-a", 12)
	s.mirror.wrote("notebook-b", 30)
	s.mirror.begin(w, []jobView{{id: "a", generation: 1, index: 11}}, 20)
	if s.mirror.lacks("notebook-c") {
		t.Error("a connection that gave no sign yet is believed")
	}
	s.mirror.sign.note(time.Now())
	if _, _, ok := s.mirror.lives("notebook-a"); ok || s.mirror.lacks("notebook-a") {
		t.Error("what an earlier connection told is believed")
	}
	if _, waits := s.mirror.floors["notebook-a"]; waits {
		t.Error("a write is awaited that the list had")
	}
	if created, state := s.mirror.origin("notebook-b", 30); state != unheard {
		t.Errorf("a write that was not told: %d, %d", created, state)
	}
	if s.mirror.lacks("notebook-b") {
		t.Error("a job that this process has just written is lacking")
	}
}

// TestMirrorForgetsFloorsSafely: writes that are no longer remembered one by one are waited for together.
func TestMirrorForgetsFloorsSafely(t *testing.T) {
	t.Parallel()
	s, w := mirrorBeside(t)
	for i := range uint64(maxFloors + 1) {
		s.mirror.wrote("notebook-"+string(rune('b'+i%20))+time.Duration(i).String(), 100+i)
	}
	if len(s.mirror.floors) > maxFloors {
		t.Errorf("%d writes are remembered", len(s.mirror.floors))
	}
	if s.mirror.reach(w, 99); s.mirror.lacks("notebook-a") {
		t.Error("it speaks before everything was told")
	}
	if s.mirror.reach(w, 100+maxFloors); !s.mirror.lacks("notebook-a") {
		t.Error("it is silent although everything was told")
	}
}

package hub

import (
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestPlanOfTheJobOfAService(t *testing.T) {
	t.Parallel()
	run := &ServiceRun{Service: "a", Generation: 5, Instance: "i", Address: "h:1"}
	running := scheduler.Status{Generation: 5, State: scheduler.Running, Instance: "i", Address: "h:1"}
	status := func(change func(*scheduler.Status)) *scheduler.Status {
		st := running
		change(&st)
		return &st
	}
	fine := jobObservation{run: run, status: &running, same: true, serves: true, routed: true}
	for name, c := range map[string]struct {
		change func(*jobObservation)
		want   jobStep
	}{
		"all is well":                 {func(*jobObservation) {}, jobRest},
		"it was never started":        {func(o *jobObservation) { o.run, o.status, o.same = nil, nil, false }, jobStart},
		"a job that nobody began":     {func(o *jobObservation) { o.run, o.same = nil, false }, jobStart},
		"it is told something else":   {func(o *jobObservation) { o.same = false }, jobStart},
		"its job is gone":             {func(o *jobObservation) { o.status = nil }, jobStart},
		"its start was not accepted":  {func(o *jobObservation) { o.status = status(func(s *scheduler.Status) { s.Generation = 4 }) }, jobStart},
		"the database is an old copy": {func(o *jobObservation) { o.status = status(func(s *scheduler.Status) { s.Generation = 6 }) }, jobStart},
		"it has just ended":           {func(o *jobObservation) { o.status = status(func(s *scheduler.Status) { s.State = scheduler.Dead }) }, jobRest},
		"its machine is not heard of": {func(o *jobObservation) { o.status = status(func(s *scheduler.Status) { s.Lost = true }) }, jobRest},
		"it waits for room": {func(o *jobObservation) {
			o.status = &scheduler.Status{Generation: 5, State: scheduler.Pending, Blocked: true}
		}, jobRest},
		"the cluster moved it": {func(o *jobObservation) { o.status = status(func(s *scheduler.Status) { s.Instance = "j" }) }, jobPlace},
		"nobody finds it":      {func(o *jobObservation) { o.routed = false }, jobPublish},
		"nobody shall find it": {func(o *jobObservation) { o.routed, o.serves = false, false }, jobRest},
		"it ended and nothing restarts it": {func(o *jobObservation) {
			o.status, o.dead = status(func(s *scheduler.Status) { s.State = scheduler.Dead }), jobPatience
		}, jobStart},
	} {
		o := fine
		c.change(&o)
		if got := planServiceJob(o); got != c.want {
			t.Errorf("%s: step %d, want %d", name, got, c.want)
		}
	}
}

func TestNamesOfJobsOfServices(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range []string{
		"idle-culler", "Idle-Culler", "idle.culler", "a", "0190a0a0-0000-7000-8000-000000000001", "a-very-long-name-of-a-service-that-somebody-chose", "A~_.-z", "9",
	} {
		id := serviceJobID(name)
		spec := scheduler.Spec{ID: id, Generation: 1}
		if err := spec.Validate(); err != nil || len(id) >= 36 || seen[id] != "" {
			t.Errorf("the job of %q is %q, as that of %q: %v", name, id, seen[id], err)
		}
		seen[id] = name
	}
	if serviceJobID("idle-culler") != "idle-culler" {
		t.Error("a plain name is not the job's")
	}
}

func TestGenerationsOfServicesRise(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		run, job, want int64
	}{{0, 0, 1000}, {1000, 0, 1001}, {1000, 1005, 1006}, {5, 4, 1000}} {
		var run *ServiceRun
		var st *scheduler.Status
		if c.run != 0 {
			run = &ServiceRun{Generation: c.run}
		}
		if c.job != 0 {
			st = &scheduler.Status{Generation: c.job}
		}
		if got := nextGeneration(run, st, now); got != c.want {
			t.Errorf("after %d and %d comes %d, want %d", c.run, c.job, got, c.want)
		}
	}
}

package hub_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestOwnersAreToldOfTheirMachine: a drain and a lost contact come as notices and go, and the server runs on.
func TestOwnersAreToldOfTheirMachine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ada")
	b.placeAt(notebook(t))
	s := b.await(b.start("ada", "").ID, "ready", func(s hub.Server) bool { return s.State == hub.Ready })
	noticed := func(what string, kind hub.NoticeKind) hub.Notice {
		t.Helper()
		now := b.await(s.ID, what, func(s hub.Server) bool { return s.Notice != nil && s.Notice.Kind == kind })
		return *now.Notice
	}
	none := func() {
		t.Helper()
		b.await(s.ID, "no notice", func(s hub.Server) bool { return s.Notice == nil })
	}
	by := time.Now().Add(time.Hour).Round(time.Second).UTC()
	b.fake.Drain(s.ID, by)
	if n := noticed("drained", hub.NoticeDrain); !n.Until.Equal(by) || n.Message == "" || n.Time.IsZero() {
		t.Errorf("notice: %+v", n)
	}
	b.fake.Undrain(s.ID)
	none()
	b.fake.Lose(s.ID, true)
	if n := noticed("lost", hub.NoticeLost); n.Message == "" {
		t.Errorf("notice: %+v", n)
	}
	if _, err := b.hub.MoveServer(t.Context(), "ada", ""); hub.KindOf(err) != hub.Conflict {
		t.Errorf("moving from a machine that cannot be reached: %v", err)
	}
	b.fake.Lose(s.ID, false)
	none()
	now, err := b.hub.Server(t.Context(), "ada", "")
	if err != nil || now.State != hub.Ready || now.Generation != 1 || b.fake.Starts(s.ID) != 1 {
		t.Errorf("after all that: %+v, %v, %d starts", now, err, b.fake.Starts(s.ID))
	}
}

// TestMoveServer: the server is stopped and started again as it was, and once.
func TestMoveServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ada")
	if _, err := b.hub.MoveServer(t.Context(), "ada", ""); hub.KindOf(err) != hub.Conflict {
		t.Errorf("moving what does not run: %v", err)
	}
	b.placeAt(notebook(t))
	s, err := b.hub.StartServer(t.Context(), "ada", "", json.RawMessage(`{"image": "x"}`))
	if err != nil {
		t.Fatal(err)
	}
	before := b.await(s.ID, "ready", func(s hub.Server) bool { return s.State == hub.Ready })
	b.fake.Drain(s.ID, time.Now().Add(time.Hour))
	b.await(s.ID, "told", func(s hub.Server) bool { return s.Notice != nil })
	gate := make(chan struct{})
	b.fake.OnStop = func(scheduler.Spec) { <-gate }
	for range 2 { // asking twice is asking once
		if moving, err := b.hub.MoveServer(t.Context(), "ada", ""); err != nil || moving.State != hub.Stopping || moving.Restart == nil {
			t.Errorf("move: %+v, %v", moving, err)
		}
	}
	close(gate)
	after := b.await(s.ID, "ready again", func(s hub.Server) bool { return s.State == hub.Ready && s.Generation == 2 })
	if after.Instance == before.Instance || after.Notice != nil || string(after.Options) != string(before.Options) || after.Failure != nil {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestStreamMetrics: how fresh the hub's knowledge is can be seen.
func TestStreamMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := newBench(t, func(o *hub.Options) { o.Registerer = registry })
	value := func(name string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == name {
				m := family.GetMetric()[0]
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		t.Fatalf("there is no metric %s", name)
		return 0
	}
	b.soon("the first resync is counted", func() bool { return value("nomadhub_scheduler_resyncs_total") >= 1 })
	if age := value("nomadhub_scheduler_stream_age_seconds"); age > 60 {
		t.Errorf("a scheduler that always knows is %v s old", age)
	}
	b.fake.DropEvents(true)
	aged := value("nomadhub_scheduler_stream_age_seconds")
	b.soon("the age grows", func() bool { return value("nomadhub_scheduler_stream_age_seconds") > aged+0.05 })
	if n := value("nomadhub_scheduler_stream_disturbances_total"); n != 0 {
		t.Errorf("%v disturbances", n)
	}
}

package hub

import (
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestPlanServer(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limits := timeouts{place: 2 * time.Minute, answer: time.Minute, queue: time.Hour}
	starting := Server{State: Starting, Generation: 3, Started: start, Queued: start, Admitted: start}
	queued := Server{State: Starting, Generation: 3, Started: start, Queued: start, Wait: &Wait{Reason: "Others were first."}}
	placed := starting
	placed.Instance, placed.Address = "alloc", "127.0.0.1:9"
	ready := placed
	ready.State = Ready
	status := func(gen int64, state scheduler.State, address string) *scheduler.Status {
		return &scheduler.Status{Generation: gen, State: state, Instance: "alloc", Address: address}
	}
	dead := status(3, scheduler.Dead, "")
	dead.Reason = "It ran out of memory."
	blocked := status(3, scheduler.Pending, "")
	blocked.Instance, blocked.Reason, blocked.Blocked = "", "4 GB asked, none free.", true
	pending := status(3, scheduler.Pending, "")
	pending.Instance = ""
	noted := starting
	noted.Wait = &Wait{Reason: blocked.Reason, Blocked: true}
	otherReason := starting
	otherReason.Wait = &Wait{Reason: "2 GB asked, none free.", Blocked: true}
	placedLate := placed
	placedLate.Wait = noted.Wait
	preparing := status(3, scheduler.Pending, "127.0.0.1:9")
	preparing.Preparing = true
	outOfMemory := *dead
	outOfMemory.Cause = scheduler.CauseOutOfMemory

	tests := []struct {
		name   string
		o      observation
		want   step
		reason string
		cause  scheduler.Cause
		wait   time.Duration
	}{
		{name: "asked for, not handed over", o: observation{server: starting, now: start}, want: register},
		{name: "an older run still there", o: observation{server: starting, status: status(2, scheduler.Running, "x:1"), now: start}, want: register},
		{name: "in the hub's queue", o: observation{server: queued, now: start.Add(10 * time.Hour)}, want: rest},
		{name: "handed over, no place yet", o: observation{server: starting, status: pending, registered: true, now: start.Add(time.Minute)}, want: rest, wait: time.Minute},
		{name: "no place in time", o: observation{server: starting, status: pending, registered: true, now: start.Add(2 * time.Minute)}, want: fail, reason: "no place on a machine within 2m0s"},
		{name: "the cluster is full", o: observation{server: starting, status: blocked, registered: true, now: start}, want: block, reason: "4 GB asked"},
		{name: "the cluster is full, and that is written down", o: observation{server: noted, status: blocked, registered: true, now: start.Add(10 * time.Minute)}, want: rest, wait: 50 * time.Minute},
		{name: "full for another reason", o: observation{server: otherReason, status: blocked, registered: true, now: start.Add(time.Minute), notedAt: start}, want: block, reason: "4 GB asked"},
		{name: "full for yet another reason within seconds", o: observation{server: otherReason, status: blocked, registered: true, now: start.Add(4 * time.Second), notedAt: start}, want: rest, wait: 6 * time.Second},
		{name: "full for as long as it may wait", o: observation{server: noted, status: blocked, registered: true, now: start.Add(time.Hour)}, want: fail, reason: "within 1h0m0s. 4 GB asked", cause: scheduler.CauseExhausted},
		{name: "no longer full", o: observation{server: noted, status: pending, registered: true, now: start.Add(30 * time.Minute)}, want: unblock},
		{name: "no longer full, and placed at once", o: observation{server: placedLate, status: status(3, scheduler.Pending, "127.0.0.1:9"), now: start.Add(30 * time.Minute)}, want: place},
		{name: "its image is pulled", o: observation{server: placed, status: preparing, published: true, now: start.Add(time.Hour), placedAt: start}, want: probe},
		{name: "out of memory", o: observation{server: placed, status: &outOfMemory, registered: true, now: start}, want: fail, cause: scheduler.CauseOutOfMemory},
		{name: "never reached the scheduler in time", o: observation{server: starting, now: start.Add(time.Hour)}, want: fail, reason: "no place"},
		{name: "job removed during the start", o: observation{server: starting, registered: true, now: start}, want: fail, reason: "removed by somebody else"},
		{name: "newer run seen: another replica is ahead", o: observation{server: starting, status: status(4, scheduler.Running, "x:1"), now: start}, want: rest, wait: 2 * time.Minute},
		{name: "newer run seen for ever: the database is an old copy", o: observation{server: starting, status: status(4, scheduler.Running, "x:1"), now: start.Add(2 * time.Minute)}, want: fail, reason: "no place"},
		{name: "placed, not written down", o: observation{server: starting, status: status(3, scheduler.Pending, "127.0.0.1:9"), now: start, placedAt: start}, want: place},
		{name: "placed elsewhere meanwhile", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:10"), now: start, placedAt: start}, want: place},
		{name: "written down, not published", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), now: start, placedAt: start}, want: publish},
		{name: "published, no answer yet", o: observation{server: placed, status: status(3, scheduler.Pending, "127.0.0.1:9"), published: true, now: start, placedAt: start}, want: probe},
		{name: "answers", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, answered: true, now: start, placedAt: start}, want: await},
		{name: "never answers", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, now: start.Add(time.Minute), placedAt: start}, want: fail, reason: "did not answer within 1m0s", cause: scheduler.CauseUnhealthy},
		{name: "answers, and is never routed", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, answered: true, now: start.Add(time.Minute), placedAt: start}, want: fail, reason: "discovery did not show it"},
		{name: "discovery takes no news", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), now: start.Add(time.Minute), placedAt: start}, want: fail, reason: "could not be told"},
		{name: "a place late in the day has its own time", o: observation{server: placed, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, now: start.Add(time.Hour), placedAt: start.Add(time.Hour)}, want: probe},
		{name: "died while starting", o: observation{server: placed, status: dead, registered: true, now: start}, want: fail, reason: "out of memory"},
		{name: "runs", o: observation{server: ready, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, now: start}, want: rest},
		{name: "runs for hours", o: observation{server: ready, status: status(3, scheduler.Running, "127.0.0.1:9"), published: true, now: start.Add(9 * time.Hour)}, want: rest},
		{name: "runs, and this replica is new", o: observation{server: ready, status: status(3, scheduler.Running, "127.0.0.1:9"), now: start}, want: publish},
		{name: "its machine is out of contact", o: observation{server: ready, status: &scheduler.Status{Generation: 3, State: scheduler.Running, Lost: true, Instance: "alloc", Address: "127.0.0.1:9"}, published: true, now: start}, want: note},
		{name: "died", o: observation{server: ready, status: dead, published: true, now: start}, want: fail, reason: "out of memory"},
		{name: "job removed while running", o: observation{server: ready, published: true, now: start}, want: fail, reason: "removed by somebody else"},
		{name: "to be stopped", o: observation{server: Server{State: Stopping, Generation: 3}, status: status(3, scheduler.Running, "x:1"), now: start}, want: remove},
		{name: "to be stopped, and gone already", o: observation{server: Server{State: Stopping, Generation: 3}, now: start}, want: remove},
		{name: "stopped", o: observation{server: Server{State: Stopped, Generation: 3}, now: start}, want: rest},
		{name: "stopped, but left over", o: observation{server: Server{State: Stopped, Generation: 3}, status: status(3, scheduler.Running, "x:1"), now: start}, want: remove},
		{name: "stopped here, started anew elsewhere", o: observation{server: Server{State: Stopped, Generation: 3}, status: status(4, scheduler.Running, "x:1"), now: start}, want: rest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := planServer(tt.o, limits)
			if got.step != tt.want || !strings.Contains(got.reason, tt.reason) || got.wait != tt.wait ||
				tt.cause != "" && got.cause != tt.cause {
				t.Errorf("plan = %+v, want step %d, reason with %q, cause %q, wait %v", got, tt.want, tt.reason, tt.cause, tt.wait)
			}
		})
	}
}

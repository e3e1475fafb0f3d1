package hub

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestNoticesAboutMachines(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	by := now.Add(3 * time.Hour)
	running := scheduler.Status{Generation: 2, State: scheduler.Running, Node: "rack-7"}
	change := func(f func(*scheduler.Status)) scheduler.Status { st := running; f(&st); return st }
	drained := change(func(s *scheduler.Status) { s.Drained, s.LeaveBy = true, by })
	drainNotice := &Notice{
		Kind: NoticeDrain, Time: now, Until: by,
		Message: "The server's machine rack-7 is being emptied by 15:00 UTC. Save your work, or move the server now.",
	}
	earlier := &Notice{Kind: NoticeDrain, Time: now.Add(-time.Hour), Until: by, Message: drainNotice.Message}
	idle := &Notice{Kind: NoticeIdle, Message: "It will be stopped."}
	cases := map[string]struct {
		state   ServerState
		have    *Notice
		status  scheduler.Status
		want    *Notice
		changed bool
	}{
		"nothing":                         {Ready, nil, running, nil, false},
		"an operator empties its machine": {Ready, nil, drained, drainNotice, true},
		"which was said already":          {Ready, earlier, drained, earlier, false},
		"by another time": {
			Ready, earlier, change(func(s *scheduler.Status) { s.Drained, s.LeaveBy = true, by.Add(time.Minute) }),
			&Notice{Kind: NoticeDrain, Time: now, Until: by.Add(time.Minute), Message: "The server's machine rack-7 is being emptied by 15:01 UTC. Save your work, or move the server now."}, true,
		},
		"without a deadline": {
			Ready, nil, change(func(s *scheduler.Status) { s.Drained = true }),
			&Notice{Kind: NoticeDrain, Time: now, Message: "The server's machine rack-7 is being emptied by an operator. Save your work, and move the server when it suits you."}, true,
		},
		"no more": {Ready, earlier, running, nil, true},
		"lost": {
			Ready, earlier, change(func(s *scheduler.Status) { s.Lost, s.Drained, s.Node = true, true, "" }),
			&Notice{Kind: NoticeLost, Time: now, Message: "The server's machine is unreachable. Your work may still be running there. Wait for it, or ask the administrator."}, true,
		},
		"another matter stays":                 {Ready, idle, running, idle, false},
		"and gives way":                        {Ready, idle, drained, drainNotice, true},
		"of another generation":                {Ready, nil, change(func(s *scheduler.Status) { s.Generation, s.Lost = 1, true }), nil, false},
		"dead":                                 {Ready, nil, change(func(s *scheduler.Status) { s.State, s.Drained = scheduler.Dead, true }), nil, false},
		"not to one that is being stopped":     {Stopping, nil, drained, nil, false},
		"not to one that has not come up":      {Starting, nil, drained, nil, false},
		"what was said stays while it is down": {Stopping, earlier, running, earlier, false},
	}
	for name, c := range cases {
		got, changed := noticeFor(ServerBrief{State: c.state, Generation: 2, Notice: c.have}, c.status, now)
		if diff := cmp.Diff(c.want, got); diff != "" || changed != c.changed {
			t.Errorf("%s: changed %v, want %v (-want +got):\n%s", name, changed, c.changed, diff)
		}
	}
}

// TestSweepSeesNotices: a server whose owner was not told is not as it should be, so that the sweep mends what missed events left.
func TestSweepSeesNotices(t *testing.T) {
	t.Parallel()
	s := Server{State: Ready, Generation: 2, Instance: "i"}
	st := scheduler.Status{Generation: 2, Instance: "i", State: scheduler.Running}
	if !settled(s.Brief(), st) {
		t.Error("a server that is well is not settled")
	}
	st.Lost = true
	if settled(s.Brief(), st) {
		t.Error("a server whose machine was lost is settled without a notice")
	}
	s.Notice = machineNotice(st, time.Time{})
	if !settled(s.Brief(), st) {
		t.Error("a server whose owner was told is not settled")
	}
}

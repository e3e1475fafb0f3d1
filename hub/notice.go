package hub

import (
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// noticeFor says what the owner of a running server should be told of its machine, and whether that is other than what the row says. A notice that says
// more than that (the server will be stopped) gives way to none about the machine, and comes back by its own rule. It is pure.
func noticeFor(s ServerBrief, st scheduler.Status, now time.Time) (n *Notice, changed bool) {
	if s.State != Ready || st.Generation != s.Generation {
		return s.Notice, false
	}
	want := machineNotice(st, now)
	have := s.Notice
	switch {
	case want == nil && (have == nil || !have.aboutMachine()):
		return have, false
	case want != nil && have != nil && have.Kind == want.Kind && have.Until.Equal(want.Until):
		return have, false // its time stays that of the first word
	}
	return want, true
}

// aboutMachine tells a notice about a server's machine from those about its use.
func (n Notice) aboutMachine() bool { return n.Kind == NoticeDrain || n.Kind == NoticeLost }

// machineNotice returns nil while nothing happens to a server's machine. A lost contact comes first: who has none cannot move the server.
func machineNotice(st scheduler.Status, now time.Time) *Notice {
	machine := "The server's machine"
	if st.Node != "" {
		machine += " " + st.Node
	}
	switch {
	case st.State == scheduler.Dead:
		return nil
	case st.Lost:
		return &Notice{Kind: NoticeLost, Time: now, Message: machine + " is unreachable. Your work may still be running there. Wait for it, or ask the administrator."}
	case st.Drained && st.LeaveBy.IsZero():
		return &Notice{Kind: NoticeDrain, Time: now, Message: machine + " is being emptied by an operator. Save your work, and move the server when it suits you."}
	case st.Drained:
		return &Notice{
			Kind: NoticeDrain, Time: now, Until: st.LeaveBy,
			Message: machine + " is being emptied by " + st.LeaveBy.UTC().Format("15:04 MST") + ". Save your work, or move the server now.",
		}
	}
	return nil
}

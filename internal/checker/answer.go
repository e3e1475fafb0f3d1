package checker

import (
	"fmt"
	"strings"
)

// Server names a server as clients do.
type Server struct {
	User, Name string // Name "" is the user's default server
}

// String is the path of the server in the API.
func (s Server) String() string { return s.User + "/" + s.Name }

// Kind is what somebody asks about a server.
type Kind string

// What can be asked.
const (
	Start   Kind = "start"
	Restart Kind = "restart"
	Stop    Kind = "stop"
	Remove  Kind = "remove"          // stop, and delete the record
	Forget  Kind = "delete the user" // with all records; refused while a server of the user is active
	Read    Kind = "read"
	Visit   Kind = "visit" // a request through the proxy, which the server itself answered
	Write   Kind = "write" // the server's process is alive and writes into its home
)

// changes tells whether the call may change something, so that it matters even if nobody heard its answer.
func (k Kind) changes() bool { return k != Read && k != Visit && k != Write }

// Phase is where a server stands.
type Phase string

// The phases of a server. Absent is one without a record.
const (
	Absent   Phase = "absent"
	Stopped  Phase = "stopped"
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopping Phase = "stopping"
)

// Verdict is whether a call was followed.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Refused  Verdict = "refused" // it changed nothing
	Unknown  Verdict = "unknown" // it changed what it should, or nothing, at any time since
)

// Seen is what an answer tells about the server at the instant when the call took effect. Zero fields tell nothing.
type Seen struct {
	Phase      Phase
	ID         string
	Generation int64
	Instance   string // the allocation
	Failed     *bool  // whether the present or last run ended, or ends, without anybody's wish
}

// String leaves out what is not told.
func (s Seen) String() string {
	var b strings.Builder
	b.WriteString(string(s.Phase))
	if s.Generation != 0 {
		fmt.Fprintf(&b, " generation %d", s.Generation)
	}
	if s.ID != "" {
		fmt.Fprintf(&b, " id %s", s.ID)
	}
	if s.Instance != "" {
		fmt.Fprintf(&b, " allocation %s", s.Instance)
	}
	if s.Failed != nil && *s.Failed {
		b.WriteString(" failed")
	}
	return strings.TrimSpace(b.String())
}

func (s Seen) equal(o Seen) bool {
	failed, other := s.Failed, o.Failed
	s.Failed, o.Failed = nil, nil
	return s == o && (failed == nil) == (other == nil) && (failed == nil || *failed == *other)
}

// Outcome is what the answer says has come of an accepted call by the time of the answer.
type Outcome string

// The outcomes. "" says nothing.
const (
	Up     Outcome = "up"     // the run that was asked for has been ready
	Gone   Outcome = "gone"   // the run that was asked for, or asked to end, is over
	Broken Outcome = "broken" // the run that was asked for has failed
)

// Answer is how a call ended.
type Answer struct {
	Verdict Verdict
	Seen    Seen
	Outcome Outcome
	Says    string // the answer in its own words, for people
}

func (a Answer) String() string {
	parts := []string{string(a.Verdict)}
	for _, part := range []string{string(a.Outcome), a.Seen.String()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if a.Says != "" {
		parts = append(parts, "«"+a.Says+"»")
	}
	return strings.Join(parts, ", ")
}

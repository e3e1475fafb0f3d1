package hub

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// observation is all that a plan for one server is made from.
type observation struct {
	server Server
	// status is what the scheduler says; nil: it knows no such server.
	status *scheduler.Status
	// registered: this process has seen the scheduler accept or know the present generation. It tells a server that was never
	// registered from one whose job somebody removed.
	registered bool
	published  bool      // the binding of the present instance was published by this process, or its routes show it
	answered   bool      // the present instance answered the probe
	placedAt   time.Time // since when its boot may be going on
	notedAt    time.Time // when this process last wrote down what it waits for
	now        time.Time
	remembered bool // the row was not read for this look
}

// step is what to do next for one server. Doing a step twice is doing it once.
type step int

const (
	rest     step = iota // nothing to do until something changes or wait has passed
	register             // hand the server to the scheduler
	block                // write down that there is no room for it
	unblock              // write down that there is room now
	place                // write down where it runs
	publish              // tell the routers where it runs
	probe                // ask it whether it answers
	await                // wait for the route, then mark it ready
	note                 // write down what its owner should know of its machine
	fail                 // give it up: reason says why
	remove               // end it, and all that was made for it
)

// leavesStatus tells whether the scheduler's status is still what it was before the step, as far as the step goes.
func (s step) leavesStatus(w *worker) bool {
	return s == place || s == publish || s == probe && w.run.answered
}

// needsRow tells whether a step must not be taken by a row that was only remembered: it does something that the row's revision does not guard, or that is
// worth a second look.
func (s step) needsRow() bool { return s == register || s == remove || s == fail }

// leavesRow tells whether the row is still what it was before the step, unless the step says otherwise.
func (s step) leavesRow() bool { return s == rest || s == publish || s == probe || s == await }

// plan is a step and what it needs.
type plan struct {
	step   step
	reason string // for fail and block: a sentence
	cause  scheduler.Cause
	wait   time.Duration // for rest: look again after this time; 0: only when something changes
}

// timeouts bound a start; see [Notebook].
type timeouts struct{ place, answer, queue time.Duration }

// noteInterval is how often the reason is brought up to date for which a start waits: the cluster words it anew with each machine that comes or goes.
const noteInterval = 10 * time.Second

// planServer decides what to do next. It is pure.
func planServer(o observation, t timeouts) plan {
	switch o.server.State {
	case Stopping:
		return plan{step: remove}
	case Starting:
		return planStart(o, t)
	case Ready:
		return planReady(o)
	case Stopped:
		if o.status != nil && o.status.Generation <= o.server.Generation {
			return plan{step: remove} // left over from a stop that was cut short
		}
	}
	return plan{}
}

func planStart(o observation, t timeouts) plan {
	if o.server.waits() {
		return plan{} // the queue lets it through, or gives it up
	}
	current := o.status != nil && o.status.Generation == o.server.Generation
	left := placeTimeLeft(o.server, o.now, t.place)
	switch {
	case o.status != nil && o.status.Generation > o.server.Generation && left > 0:
		return plan{wait: left} // another replica is ahead of what was read here, unless the database is an old copy
	case current && o.status.State == scheduler.Dead:
		return failed(*o.status)
	case !current && o.registered && (o.status == nil || o.status.Generation < o.server.Generation):
		return plan{step: fail, cause: scheduler.CauseOperator, reason: "The server's job was removed by somebody else. Start it again, or ask the administrator."}
	case current && o.status.Address != "":
		return planPlaced(o, t)
	case current && o.status.Blocked:
		return planBlocked(o, t)
	case current && o.server.Wait != nil:
		return plan{step: unblock}
	}
	switch {
	case left <= 0:
		return plan{step: fail, cause: causeOf(o.status), reason: unplacedReason(o, t.place)}
	case !current:
		return plan{step: register}
	}
	return plan{wait: left}
}

// placeTimeLeft is how long a start that was let through may still wait for a place on a machine that has room.
func placeTimeLeft(s Server, now time.Time, limit time.Duration) time.Duration {
	return s.Admitted.Add(limit).Sub(now)
}

// planBlocked waits for room, for as long as a start may be in the queue. The time for a place does not run meanwhile: it begins again with unblock.
func planBlocked(o observation, t timeouts) plan {
	left := o.server.Queued.Add(t.queue).Sub(o.now)
	if left <= 0 {
		return plan{step: fail, cause: cmp.Or(causeOf(o.status), scheduler.CauseExhausted), reason: unplacedReason(o, t.queue)}
	}
	reason := cmp.Or(o.status.Reason, "No machine has room for the server at this moment.")
	w := o.server.Wait
	if w != nil && w.Blocked && w.Reason == reason {
		return plan{wait: left}
	}
	if soon := o.notedAt.Add(noteInterval).Sub(o.now); w != nil && w.Blocked && soon > 0 {
		return plan{wait: min(left, soon)}
	}
	return plan{step: block, reason: reason}
}

func planPlaced(o observation, t timeouts) plan {
	if o.server.Instance != o.status.Instance || o.server.Address != o.status.Address || o.server.Wait != nil {
		return plan{step: place}
	}
	left := o.placedAt.Add(t.answer).Sub(o.now)
	switch {
	case left <= 0 && !o.status.Preparing:
		return plan{step: fail, cause: scheduler.CauseUnhealthy, reason: unansweredReason(o, t)}
	case !o.published:
		return plan{step: publish}
	case !o.answered:
		return plan{step: probe}
	}
	return plan{step: await}
}

// planReady keeps a running server as it is, whatever probes or Consul may say: only the scheduler ends it.
func planReady(o observation) plan {
	switch {
	case o.status == nil:
		return plan{step: fail, cause: scheduler.CauseOperator, reason: "The server's job was removed by somebody else. Start it again when you need it."}
	case o.status.Generation != o.server.Generation:
		return plan{} // another replica is ahead of what was read here
	case o.status.State == scheduler.Dead:
		return failed(*o.status)
	case o.status.Address != "" && (o.server.Instance != o.status.Instance || o.server.Address != o.status.Address):
		return plan{step: place}
	case !o.published && o.server.Address != "":
		return plan{step: publish}
	case noticeDue(o.server.Brief(), *o.status):
		return plan{step: note}
	}
	return plan{}
}

// unansweredReason does not blame a server for what is not its fault.
func unansweredReason(o observation, t timeouts) string {
	switch {
	case o.answered:
		return fmt.Sprintf("The server answers, but discovery did not show it within %s, so nobody could reach it. Try again later, or ask the administrator.", t.answer)
	case !o.published:
		return fmt.Sprintf("The server was started, but discovery could not be told of it within %s. Try again later, or ask the administrator.", t.answer)
	}
	return fmt.Sprintf(
		"The server was started but did not answer within %s. Its log may tell why; try again, or ask the administrator for more time.", t.answer)
}

// failed gives up a server that the scheduler says is dead.
func failed(s scheduler.Status) plan {
	return plan{step: fail, cause: s.Cause, reason: deadReason(s)}
}

func deadReason(s scheduler.Status) string {
	return cmp.Or(s.Reason, "The server ended by itself. Its log may tell why.")
}

func causeOf(s *scheduler.Status) scheduler.Cause {
	if s == nil {
		return ""
	}
	return s.Cause
}

func unplacedReason(o observation, limit time.Duration) string {
	if o.status != nil && o.status.Reason != "" {
		return fmt.Sprintf("No machine had room for the server within %s. %s", limit, o.status.Reason)
	}
	return fmt.Sprintf("The server got no place on a machine within %s. Try again later, or ask the administrator.", limit)
}

package hub

import (
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
	published  bool // the binding of the present instance was published by this process
	answered   bool // the present instance answered the probe
	placedAt   time.Time
	now        time.Time
}

// step is what to do next for one server. Doing a step twice is doing it once.
type step int

const (
	rest     step = iota // nothing to do until something changes or wait has passed
	register             // hand the server to the scheduler
	place                // write down where it runs
	publish              // tell the routers where it runs
	probe                // ask it whether it answers
	await                // wait for the route, then mark it ready
	fail                 // give it up: reason says why
	remove               // end it, and all that was made for it
)

// plan is a step and what it needs.
type plan struct {
	step   step
	reason string        // for fail: a sentence
	wait   time.Duration // for rest: look again after this time; 0: only when something changes
}

// timeouts bound a start; see [Notebook].
type timeouts struct{ place, answer time.Duration }

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
	current := o.status != nil && o.status.Generation == o.server.Generation
	left := placeTimeLeft(o.server, o.now, t.place)
	switch {
	case o.status != nil && o.status.Generation > o.server.Generation && left > 0:
		return plan{wait: left} // another replica is ahead of what was read here, unless the database is an old copy
	case current && o.status.State == scheduler.Dead:
		return plan{step: fail, reason: deadReason(*o.status)}
	case !current && o.registered && (o.status == nil || o.status.Generation < o.server.Generation):
		return plan{step: fail, reason: "The server's job was removed by somebody else. Start it again, or ask the administrator."}
	case current && o.status.Address != "":
		return planPlaced(o, t)
	}
	switch {
	case left <= 0:
		return plan{step: fail, reason: unplacedReason(o, t)}
	case !current:
		return plan{step: register}
	}
	return plan{wait: left}
}

// placeTimeLeft is how long a start may still wait for a place on a machine.
func placeTimeLeft(s Server, now time.Time, limit time.Duration) time.Duration {
	return s.Started.Add(limit).Sub(now)
}

func planPlaced(o observation, t timeouts) plan {
	if o.server.Instance != o.status.Instance || o.server.Address != o.status.Address {
		return plan{step: place}
	}
	left := o.placedAt.Add(t.answer).Sub(o.now)
	switch {
	case left <= 0:
		return plan{step: fail, reason: unansweredReason(o, t)}
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
		return plan{step: fail, reason: "The server's job was removed by somebody else. Start it again when you need it."}
	case o.status.Generation != o.server.Generation:
		return plan{} // another replica is ahead of what was read here
	case o.status.State == scheduler.Dead:
		return plan{step: fail, reason: deadReason(*o.status)}
	case o.status.Address != "" && (o.server.Instance != o.status.Instance || o.server.Address != o.status.Address):
		return plan{step: place}
	case !o.published && o.server.Address != "":
		return plan{step: publish}
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

func deadReason(s scheduler.Status) string {
	if s.Reason != "" {
		return s.Reason
	}
	return "The server ended by itself. Its log may tell why."
}

func unplacedReason(o observation, t timeouts) string {
	if o.status != nil && o.status.Reason != "" {
		return fmt.Sprintf("No machine had room for the server within %s. %s", t.place, o.status.Reason)
	}
	return fmt.Sprintf("The server got no place on a machine within %s. Try again later, or ask the administrator.", t.place)
}

// Package scheduler is the contract for running one user's notebook server somewhere: as a process on this machine
// (scheduler/local) or as a Nomad job (scheduler/nomad).
//
// A scheduler knows nothing of users, logins or routes. It is handed a [Spec] and makes the world match it; it says what it
// sees in Nomad's words (pending, running, dead). Whether a server is ready is not its business: the hub asks the server
// itself over HTTP.
package scheduler

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Sentinels that implementations translate their vendor's errors into.
var (
	// ErrNotFound means that the scheduler knows nothing of this ID.
	ErrNotFound = errors.New("scheduler: no such server")
	// ErrStale means that a newer generation of the same server was started meanwhile, so this call was refused.
	ErrStale = errors.New("scheduler: a newer generation of this server exists")
	// ErrUnavailable means that the scheduler could not be reached; the call may be repeated.
	ErrUnavailable = errors.New("scheduler: not reachable")
)

// RejectedError says that the scheduler understood a [Spec] and will never run it as it stands.
type RejectedError struct {
	Reason string // a sentence for the person who asked: what is wrong and what to do
	Err    error  // the vendor's error, for the log
}

func (e *RejectedError) Error() string { return e.Reason }
func (e *RejectedError) Unwrap() error { return e.Err }

// AwayError is an [ErrUnavailable] of a scheduler that runs servers in several places, of which some do not answer.
type AwayError struct {
	Reason string // a sentence for the person who waits: what cannot be reached
	// Partly is true when other places did answer, and none of them knows the server. Then it may be that nobody has started it yet.
	Partly bool
	Err    error // for the log
}

func (e *AwayError) Error() string { return e.Err.Error() }

// Unwrap makes the error an [ErrUnavailable] as well.
func (e *AwayError) Unwrap() []error { return []error{e.Err, ErrUnavailable} }

// Scheduler runs servers. All methods are safe for concurrent use; cancelling a context ends the call and never a server.
type Scheduler interface {
	// Start makes sure that the given generation of the server runs, and returns when the scheduler has accepted it, not when
	// it is ready. It is idempotent per ID and generation: a second call changes nothing. While an older generation still
	// runs, Start ends it first. It fails with ErrStale when a newer generation exists, with ErrUnavailable when nothing was
	// decided, and with a *RejectedError when the Spec can never run.
	Start(ctx context.Context, spec Spec) error

	// Stop ends that generation of the server and every older one, and removes everything that Start made for them (job, variable,
	// process, log). It returns when they are gone for certain, or with the context's error, after which it may be called again.
	// Stopping the unknown is nil. A newer generation is left as it is, so that a call which was held up for long harms nobody.
	Stop(ctx context.Context, id string, generation int64) error

	// Status reports one server as the scheduler sees it now, or ErrNotFound.
	Status(ctx context.Context, id string) (Status, error)

	// List reports every server that this scheduler runs or remembers, also those started before this process.
	List(ctx context.Context) ([]Status, error)

	// Watch yields what happens until ctx ends. It reconnects by itself. Events may repeat, and may have been missed whenever an
	// event with Resync set arrives: the reader then calls List. An error is yielded for the log; the sequence goes on.
	Watch(ctx context.Context) iter.Seq2[Event, error]
}

// Spec is one server to run. Free text in it (environment values, Labels) reaches the vendor only as data and comes out literally.
type Spec struct {
	// ID names the server for ever: 1 to 40 characters of a-z, 0-9 and hyphen, beginning with a letter or digit.
	ID string
	// Generation counts the starts of this server; a higher one replaces a lower one. At least 1.
	Generation int64

	// Labels describe the server to an operator (user name, server name). Never used for a decision.
	Labels map[string]string

	// Env is the server's environment, apart from secrets.
	Env map[string]string
	// Secrets are environment variables that nobody but the server may read: not in the job, a log or a command line.
	Secrets map[string]string

	// URLVariable, if set, names an environment variable which the scheduler sets to "http://HOST:PORT" + URLPath, because only
	// the scheduler knows where the server shall listen.
	URLVariable string
	// URLPath is the percent-encoded path under which the server answers, with a leading and a trailing slash.
	URLPath string
	// HealthPath is the percent-encoded path that an external health check may ask: any status below 500 means healthy.
	HealthPath string
	// Service is the name under which a discovery system registers the server (an RFC 1123 label), or "".
	Service string

	// Owner is the local account's name for schedulers that run servers as that account, or "".
	Owner string
	// Home names whose files the server works on, for as long as they exist: the same alphabet as ID. Folders and volumes are named
	// from it. "" means the server's own.
	Home string

	Resources Resources
	Workload  Workload
}

// State is the life of a server in Nomad's words.
type State string

// The states of a server. A server goes from pending to running to dead and never back within one generation.
const (
	Pending State = "pending" // accepted: waiting for a place, or being prepared
	Running State = "running" // its process runs, or is about to on the machine chosen
	Dead    State = "dead"    // ended, for whatever reason; it will not come back by itself
)

// Status is what the scheduler knows of one server.
type Status struct {
	ID         string
	Generation int64
	State      State
	// Instance names this run of the server: the allocation's ID in Nomad, process ID and start time on this machine. Empty
	// until the server has a place.
	Instance string
	// Address is where the server will answer, as host:port. It is known as soon as the server has a place, before it runs.
	Address string
	// Placement orders instances by when they got their place: of two that claim one address, the higher is the true one.
	Placement uint64
	// Reason is a sentence for the user: why the server is dead, or what a pending one waits for. May be empty.
	Reason string
	// Cause is Reason for programs; "" if nothing special happened or it is not known.
	Cause Cause
	// Node is the name of the server's machine, or "".
	Node string
	// Began and Ended are when the server's task began and ended to run, by the machine's clock; zero: not yet, or not known.
	Began, Ended time.Time
	// Blocked is true while the scheduler accepted the server and finds no room for it.
	Blocked bool
	// Preparing is true while the machine fetches what the server needs (an image, files): its boot has not begun.
	Preparing bool
	// LeaveBy is when the server's machine will be emptied by force; zero: it stays. Drained says that an operator is emptying it.
	LeaveBy time.Time
	Drained bool
	// Lost is true while the scheduler has lost contact with the server's machine; the server may still be running.
	Lost bool
}

// Event is one thing that happened, as told by the scheduler.
type Event struct {
	// Resync says that events may have been missed; the other fields are empty.
	Resync bool
	// ID and Generation say whose event it is.
	ID         string
	Generation int64
	Time       time.Time
	// Message is a sentence fit for the user's progress page, or empty.
	Message string
	// Status, if not nil, is the server's status after the event.
	Status *Status
}

// Cause says why a server ended or waits, for programs: to offer the next step, to count, and to choose an icon.
type Cause string

// The causes that are told apart.
const (
	CauseStopped       Cause = "stopped"       // somebody asked the hub to
	CauseOperator      Cause = "operator"      // an operator stopped or removed it in the cluster
	CauseImageMissing  Cause = "image-missing" // the registry does not have the image
	CauseImageRefused  Cause = "image-refused" // the registry refused or could not be reached
	CausePullSlow      Cause = "pull-slow"     // the image was not there in time
	CauseDriver        Cause = "driver"        // no machine has the driver, or the driver failed
	CauseSettings      Cause = "settings"      // a template, variable or secret is missing
	CauseVolume        Cause = "volume"        // a volume is missing, elsewhere, or cannot be attached
	CauseConstraint    Cause = "constraint"    // no machine meets a condition
	CauseExhausted     Cause = "exhausted"     // machines could run it and have no room now
	CausePort          Cause = "port"          // its port is taken
	CauseExited        Cause = "exited"        // its program ended by itself
	CauseOutOfMemory   Cause = "out-of-memory" // it used more than its memory
	CauseKilled        Cause = "killed"        // by SIGKILL: most often for its memory, but nobody tells
	CauseUnhealthy     Cause = "unhealthy"     // it runs and does not answer
	CausePreempted     Cause = "preempted"     // more important work took its place
	CauseDrained       Cause = "drained"       // its machine was emptied
	CauseNodeLost      Cause = "node-lost"     // its machine is gone
	CauseMisconfigured Cause = "misconfigured" // the cluster does not accept the job as the operator wrote it
)

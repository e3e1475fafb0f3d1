// Package schedulertest is the suite that every implementation of scheduler.Scheduler passes, and an in-memory [Fake] of one
// for the tests of those who use schedulers.
package schedulertest

import (
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Harness is one fresh, empty scheduler under test.
//
// The scheduler must be set up to run this test binary (os.Executable, no arguments) as its server: [Main] makes it the
// suite's program, whose behaviour is chosen by variables in Spec.Env. It must end a server that ignores polite signals after
// about two seconds.
type Harness struct {
	Scheduler scheduler.Scheduler

	// Reopen returns another Scheduler on the same state, as a restarted hub would make one. Required.
	Reopen func(t *testing.T) scheduler.Scheduler

	// Visible, if set, returns all that somebody may see of the server who may not see its secrets: the Nomad job with its
	// allocations and evaluations; the command line and the files that everybody can read.
	Visible func(t *testing.T, id string) string

	// Labels, if set, returns the labels as an operator sees them.
	Labels func(t *testing.T, id string) map[string]string

	// OwnNetwork says that servers have a network of their own: the port that they are told to listen at is not the one at which they are reached.
	OwnNetwork bool

	// LateLogs says that what the platform collects of a server's log begins some time after the server, and that all is lost of one that has ended by
	// then. Servers of the suite whose log is asked for live until it was seen.
	LateLogs bool

	// Patience bounds each wait of the suite for something to happen; by default 30 seconds.
	Patience time.Duration
}

// Run runs the suite. newHarness is called once for each case and cleans up with t.Cleanup.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	cases := []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"a server starts, answers, is listed and stops", lifecycle},
		{"a spec that cannot run is rejected with a sentence", rejectsInvalid},
		{"the same start again changes nothing", idempotentStart},
		{"the same start at the same instant gives one instance", concurrentStart},
		{"a newer generation replaces an older one", newerReplacesOlder},
		{"a stale generation is refused", staleRefused},
		{"generations started at the same instant end with the newest", concurrentGenerations},
		{"stopping the unknown is nil", stopUnknown},
		{"stop during start leaves nothing", stopDuringStart},
		{"starts and stops at the same instant leave nothing after the last stop", startStopStorm},
		{"a late stop of an older generation harms no newer one", stopOfOlder},
		{"a server deaf to signals is stopped with its children", stubbornStops},
		{"secrets reach the server and nobody else", secretsStaySecret},
		{"hostile text comes out literally", hostileText},
		{"a crash has a reason and its last lines", crashHasReason},
		{"a crashed server runs again as a newer generation", crashThenNewer},
		{"watch tells placement, running and dead", watchTells},
		{"watch ends with its context", watchEnds},
		{"a log is read, whole or its end", logIsRead},
		{"a log is followed to the server's last words", logIsFollowed},
		{"usage is measured", usageIsMeasured},
		{"history tells of a run, oldest first", historyIsTold},
		{"knowledge of the cluster is fresh", knowledgeIsFresh},
		{"a restarted scheduler finds and stops what ran before", restartFinds},
		{"a cancelled context stops no server", cancelStopsNothing},
		{"a cancelled stop can be repeated", cancelledStopRepeats},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newBench(t, newHarness(t)))
		})
	}
}

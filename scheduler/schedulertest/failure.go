package schedulertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

func crashHasReason(t *testing.T, b *bench) {
	spec := b.spec("lab1", crash)
	b.startHeard(t, spec)
	dead := b.awaitState(t, spec.ID, 1, scheduler.Dead)
	requireSentence(t, dead.Reason)
	if !strings.Contains(dead.Reason, "3") || dead.Cause != scheduler.CauseExited {
		t.Errorf("the reason %q does not say the exit code 3, or the cause %q is another", dead.Reason, dead.Cause)
	}
	if listed := b.requireOne(t); listed != dead {
		t.Errorf("List says %+v, Status %+v", listed, dead)
	}
	b.start(t, spec)
	if again := b.requireOne(t); again != dead {
		t.Errorf("the same start again turned %+v into %+v", dead, again)
	}
	if tailer, ok := b.Scheduler.(scheduler.LogTailer); ok {
		b.requireTail(t, tailer, spec.ID)
	}
	if n := b.starts(t); n != 1 {
		t.Errorf("a server that crashed was started %d times", n)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, "")
}

func (b *bench) requireTail(t *testing.T, tailer scheduler.LogTailer, id string) {
	t.Helper()
	var tail []string
	b.await(t, "the log ends with the server's last line", func() bool { // a log may be written after the end is known
		lines, err := tailer.LogTail(b.context(t), id, 4)
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		tail = lines
		return len(lines) > 0 && lines[len(lines)-1] == lastCrashLine
	})
	if want := []string{"crash line 27", "crash line 28", "crash line 29", lastCrashLine}; !slices.Equal(tail, want) {
		t.Errorf("last lines of the log: %q, want %q", tail, want)
	}
	all, err := tailer.LogTail(b.context(t), id, 1000)
	if err != nil || !slices.Contains(all, "the server begins") || !slices.Contains(all, "crash line 1") {
		t.Errorf("the whole log lacks its beginning: %q, %v", all, err)
	}
}

func crashThenNewer(t *testing.T, b *bench) {
	spec := b.spec("lab1", crash)
	b.start(t, spec)
	b.awaitState(t, spec.ID, 1, scheduler.Dead)

	spec = b.spec("lab1", serve)
	spec.Generation = 2
	b.start(t, spec)
	status, _ := b.awaitServing(t, spec)
	if status.Reason != "" {
		t.Errorf("a running server still has the reason %q", status.Reason)
	}
	b.stop(t, spec.ID)
	b.requireGone(t, spec.ID, status.Address)
}

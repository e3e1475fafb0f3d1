package hub_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// slowLog is a scheduler whose logs are a moment behind what servers print.
type slowLog struct {
	*schedulertest.Fake

	asked atomic.Int64
}

func (s *slowLog) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	lines, err := s.Fake.LogTail(ctx, id, n)
	return lines[:min(len(lines), int(s.asked.Add(1)-1))], err
}

// TestLastWordsAreWaitedFor holds that the last lines of a server that ended by itself are kept though its log is written by another program.
func TestLastWordsAreWaitedFor(t *testing.T) {
	t.Parallel()
	var log *slowLog
	b := newBench(t, func(o *hub.Options) {
		log = &slowLog{Fake: o.Scheduler.(*schedulertest.Fake)}
		o.Scheduler = log
	})
	b.fake.OnStart = func(s scheduler.Spec) {
		b.fake.Print(s.ID, "Traceback", "no kernel here")
		b.fake.KillFor(s.ID, scheduler.CauseExited, "The server ended with exit code 3.")
	}
	b.login("alice")
	s := b.ask("alice", "", "")
	got := b.await(s.ID, "the end", func(s hub.Server) bool { return s.State == hub.Stopped })
	if got.Failure == nil || !slices.Equal(got.Failure.Log, []string{"Traceback", "no kernel here"}) {
		t.Errorf("the failure is %+v", got.Failure)
	}
}

package local

import (
	"context"

	"github.com/nomadhub/nomadhub/scheduler"
)

var (
	_ scheduler.LogReader = (*Scheduler)(nil)
	_ scheduler.Meter     = (*Scheduler)(nil)
	_ scheduler.Historian = (*Scheduler)(nil)
)

// History implements [scheduler.Historian] from the server's record, which is of its present or last run.
func (s *Scheduler) History(ctx context.Context, id string) ([]scheduler.Event, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	srv := s.servers[id]
	if srv == nil {
		return nil, scheduler.ErrNotFound
	}
	rec, status := srv.rec, srv.rec.status()
	events := []scheduler.Event{{ID: id, Generation: rec.Generation, Time: status.Began, Message: "The server's process was started on this machine."}}
	if rec.Phase == phaseStarting {
		events[0].Message = "The server's process is being started on this machine."
	}
	if rec.Phase == phaseDead {
		events = append(events, scheduler.Event{ID: id, Generation: rec.Generation, Time: status.Ended, Message: rec.Reason, Status: &status})
	}
	return events, nil
}

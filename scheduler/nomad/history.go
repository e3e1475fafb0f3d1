package nomad

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxHistory bounds of how many allocations, the newest, the history is told. Of each, Nomad keeps the last ten events of a task.
const maxHistory = 10

// History implements [scheduler.Historian]: of each allocation that Nomad remembers when it was placed, what happened to its tasks, and how
// it ended. The last event of each that ended has a Status.
func (s *Scheduler) History(ctx context.Context, id string) ([]scheduler.Event, error) {
	job, err := s.readJob(ctx, id)
	if err != nil {
		return nil, err
	}
	stubs, _, err := s.client.Jobs().Allocations(s.jobID(id), true, s.query(ctx))
	if err = translate(ctx, "listing the server's allocations", err); err != nil && !errors.Is(err, scheduler.ErrNotFound) {
		return nil, err
	}
	if job == nil && len(stubs) == 0 {
		return nil, scheduler.ErrNotFound
	}
	slices.SortFunc(stubs, func(a, b *api.AllocationListStub) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	var events []scheduler.Event
	for _, stub := range stubs[max(0, len(stubs)-maxHistory):] {
		alloc, _, err := s.client.Allocations().Info(stub.ID, s.query(ctx))
		if err = translate(ctx, "reading an allocation", err); errors.Is(err, scheduler.ErrNotFound) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return nil, err
		}
		events = append(events, historyOf(job.slim(), alloc)...)
	}
	return events, nil
}

// historyOf tells of one allocation. job is the server's job as it is now, or nil if it is gone.
func historyOf(job *api.Job, a *api.Allocation) []scheduler.Event {
	alloc := viewOfAlloc(a)
	view := jobView{id: alloc.meta[metaServer], stopped: true, ending: endingRemove} // a job that is gone was removed, most often by the hub
	view.generation, _ = strconv.ParseInt(alloc.meta[metaGeneration], 10, 64)
	if job != nil {
		now := viewOfJob(job)
		switch {
		case now.generation == view.generation:
			view = now
		case now.generation > view.generation:
			view.ending = endingReplace
		}
	}
	placed := time.Unix(0, a.CreateTime).UTC()
	events := []scheduler.Event{newEvent(view, placed, "A machine was found"+colon(alloc.node)+".", nil)}
	for _, event := range taskEvents(alloc, 0) {
		if text := message(event); text != "" {
			events = append(events, newEvent(view, time.Unix(0, event.Time).UTC(), text, nil))
		}
	}
	if isTerminal(alloc.clientStatus) {
		view.registered = min(view.registered, alloc.created-1) // this allocation is the view's, whatever came after it
		current := status(view, alloc, why{})
		events = append(events, newEvent(view, cmp.Or(current.Ended, time.Unix(0, a.ModifyTime).UTC()), current.Reason, &current))
	}
	return events
}

// taskEvents returns the events of all tasks after that time, oldest first.
func taskEvents(alloc *allocView, since int64) []*api.TaskEvent {
	var all []*api.TaskEvent
	for _, task := range alloc.tasks {
		if task == nil {
			continue
		}
		for _, event := range task.Events {
			if event != nil && event.Time > since {
				all = append(all, event)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *api.TaskEvent) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Status implements scheduler.Scheduler. Of a server that lives it says what the event stream told, as long as that is known to be all.
func (s *Scheduler) Status(ctx context.Context, id string) (scheduler.Status, error) {
	if view, alloc, ok := s.mirror.lives(s.jobID(id)); ok {
		return status(view, s.drains.mark(alloc), why{}), nil
	}
	job, err := s.readJob(ctx, id)
	if err != nil {
		return scheduler.Status{}, err
	}
	alloc, err := s.newestAlloc(ctx, id, job == nil)
	if err != nil {
		return scheduler.Status{}, err
	}
	if job == nil {
		view, ok, err := s.orphan(ctx, alloc)
		if err != nil || !ok {
			return scheduler.Status{}, cmp.Or(err, scheduler.ErrNotFound)
		}
		return status(view, alloc, why{}), nil
	}
	view := job.view()
	var blocked why
	if !view.stopped && !view.owns(alloc) {
		if blocked, err = s.blockedReasonOf(ctx, id); err != nil {
			return scheduler.Status{}, err
		}
		if blocked.cause == scheduler.CauseVolume {
			s.wakeForVolumes(ctx, job)
		}
	}
	return status(view, alloc, blocked), nil
}

// newestAlloc returns the allocation that was placed last, or nil. One that has ended counts for nothing where only a living one is asked for.
func (s *Scheduler) newestAlloc(ctx context.Context, id string, living bool) (*allocView, error) {
	stubs, _, err := s.client.Jobs().Allocations(s.jobID(id), true, s.query(ctx))
	if err = translate(ctx, "listing the server's allocations", err); err != nil && !errors.Is(err, scheduler.ErrNotFound) {
		return nil, err
	}
	if len(stubs) == 0 {
		return nil, nil
	}
	newest := slices.MaxFunc(stubs, func(a, b *api.AllocationListStub) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	if living && isTerminal(newest.ClientStatus) {
		return nil, nil
	}
	return s.readAlloc(ctx, newest.ID)
}

// readAlloc returns one allocation, or nil if Nomad has forgotten it.
func (s *Scheduler) readAlloc(ctx context.Context, allocID string) (*allocView, error) {
	s.drains.ensure(ctx, s)
	alloc, _, err := s.client.Allocations().Info(allocID, s.query(ctx))
	if err = translate(ctx, "reading an allocation", err); errors.Is(err, scheduler.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.drains.mark(viewOfAlloc(alloc)), nil
}

// orphan makes a view of the job of an allocation that still lives after its job was purged.
func (s *Scheduler) orphan(ctx context.Context, alloc *allocView) (view jobView, ok bool, err error) {
	if alloc == nil || isTerminal(alloc.clientStatus) || alloc.meta[metaServer] == "" {
		return jobView{}, false, nil
	}
	if gone, err := s.machineGone(ctx, alloc.clientStatus, alloc.nodeID); err != nil || gone {
		return jobView{}, false, err
	}
	view = newView(alloc.meta, true, 0)
	view.purged = true
	return view, true, nil
}

// blockedReasonOf looks for an evaluation of the job that found no place, in the newest that says anything.
func (s *Scheduler) blockedReasonOf(ctx context.Context, id string) (why, error) {
	evals, _, err := s.client.Jobs().Evaluations(s.jobID(id), s.query(ctx))
	if err = translate(ctx, "listing the server's evaluations", err); err != nil && !errors.Is(err, scheduler.ErrNotFound) {
		return why{}, err
	}
	for _, eval := range evals {
		if eval.Status == api.EvalStatusBlocked {
			return blockedReason(eval.FailedTGAllocs), nil
		}
	}
	return why{}, nil
}

// List implements scheduler.Scheduler. It asks Nomad for all jobs and for all allocations once, unless nothing changed since it did before, and for the blocked
// evaluations if some server has no place.
func (s *Scheduler) List(ctx context.Context) ([]scheduler.Status, error) {
	jobs, err := s.listJobs(ctx)
	if err != nil {
		return nil, err
	}
	s.drains.ensure(ctx, s)
	allocs, err := s.listAllocs(ctx, jobs.views)
	if err != nil {
		return nil, err
	}
	newest, orphans := pair(jobs.views, allocs.newest, s.opts.JobPrefix)
	blocked, err := s.listBlocked(ctx, jobs.views, newest)
	if err != nil {
		return nil, err
	}
	all := make([]scheduler.Status, 0, len(jobs.views))
	for i, view := range jobs.views {
		var reason why
		if blocked != nil {
			reason = blocked[s.jobID(view.id)]
		}
		all = append(all, status(view, s.drains.mark(newest[i]), reason))
	}
	for _, alloc := range orphans {
		full, err := s.readAlloc(ctx, alloc.id)
		if err != nil {
			return nil, err
		}
		view, ok, err := s.orphan(ctx, full)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, status(view, full, why{}))
		}
	}
	slices.SortFunc(all, func(a, b scheduler.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// pair returns for each job its newest allocation or nil, and the living allocations that have no job. Both are sorted.
func pair(views []jobView, allocs []*allocView, prefix string) (newest, orphans []*allocView) {
	newest = make([]*allocView, len(views))
	at := 0
	for _, alloc := range allocs {
		id := strings.TrimPrefix(alloc.job, prefix)
		for at < len(views) && views[at].id < id {
			at++
		}
		switch {
		case at < len(views) && views[at].id == id:
			newest[at] = alloc
		case !isTerminal(alloc.clientStatus):
			orphans = append(orphans, alloc)
		}
	}
	return newest, orphans
}

// listBlocked tells why for each job that Nomad finds no place for.
func (s *Scheduler) listBlocked(ctx context.Context, views []jobView, newest []*allocView) (map[string]why, error) {
	placeless := false
	for i := range views {
		placeless = placeless || !views[i].stopped && !views[i].owns(newest[i])
	}
	if !placeless {
		return nil, nil
	}
	q := s.query(ctx)
	q.Filter = fmt.Sprintf("Status == %q and JobID matches %q", api.EvalStatusBlocked, "^"+s.opts.JobPrefix)
	evals, _, err := s.client.Evaluations().List(q)
	if err != nil {
		return nil, translate(ctx, "listing evaluations", err)
	}
	blocked := make(map[string]why, len(evals))
	for _, eval := range evals {
		blocked[eval.JobID] = blockedReason(eval.FailedTGAllocs)
	}
	return blocked, nil
}

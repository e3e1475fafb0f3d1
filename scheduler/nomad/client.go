package nomad

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

func (s *Scheduler) query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{Namespace: s.opts.Namespace, Region: s.opts.Region}).WithContext(ctx)
}

func (s *Scheduler) write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{Namespace: s.opts.Namespace, Region: s.opts.Region}).WithContext(ctx)
}

// blockingWait bounds one blocking query, so that an answer that got lost on the way is asked for again.
const blockingWait = 30 * time.Second

// awaitTerminal returns when no allocation of the server's job runs any more, for certain: Nomad says so. index is the one of the job
// as it was read, or 0 if there was none. When the job changes meanwhile it fails with errConflict, because what runs then may
// be another generation that shall run.
func (s *Scheduler) awaitTerminal(ctx context.Context, id string, index uint64) error {
	told, release := s.news.follow(s.jobID(id))
	defer release()
	begun := time.Now()
	for times := 0; ; times++ {
		if done, waited, err := s.awaitTold(ctx, id, index, told, begun); done || err != nil {
			return err
		} else if waited {
			continue
		}
		allocs, _, err := s.client.Jobs().Allocations(s.jobID(id), true, s.query(ctx))
		if err = translate(ctx, "waiting for the end of the server", err); errors.Is(err, scheduler.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		live, err := s.anyLive(ctx, allocs)
		if err != nil || !live {
			return err
		}
		// Only now: a job that is read before the allocations may have been registered in between.
		job, err := s.readJob(ctx, id)
		if err != nil {
			return err
		}
		if indexOf(job) != index {
			return errConflict
		}
		if err := s.news.await(ctx, told, s.news.delay(times, index == 0)); err != nil {
			return translate(ctx, "waiting for the end of the server", err)
		}
	}
}

// awaitTold is awaitTerminal's question to what the stream told. It reports whether the end came, or waits for news where there is nothing to ask Nomad for.
func (s *Scheduler) awaitTold(ctx context.Context, id string, index uint64, told <-chan struct{}, begun time.Time) (done, waited bool, err error) {
	delay := newsMost
	switch s.mirror.endOf(s.jobID(id), index) {
	case endCame:
		return true, false, nil
	case endUnheard:
		if delay = ownNewsMost - time.Since(begun); delay <= 0 {
			return false, false, nil
		}
	case endToCome:
	case endUnknown:
		return false, false, nil
	}
	return false, true, translate(ctx, "waiting for the end of the server", s.news.await(ctx, told, delay))
}

// indexOf returns the job's modify index, or 0 for none.
func indexOf(job *storedJob) uint64 {
	if job == nil {
		return 0
	}
	return *job.JobModifyIndex
}

// awaitGone returns true when the job no longer exists, and false when it still does after that time.
func (s *Scheduler) awaitGone(ctx context.Context, id string, atMost time.Duration) (bool, error) {
	deadline := time.Now().Add(atMost)
	var index uint64
	for {
		q := s.query(ctx)
		q.WaitIndex, q.WaitTime = index, cmp.Or(max(0, time.Until(deadline)), time.Millisecond)
		_, meta, err := s.client.Jobs().Info(s.jobID(id), q)
		if err = translate(ctx, "waiting for the end of the job", err); errors.Is(err, scheduler.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !time.Now().Before(deadline) {
			return false, nil
		}
		index = nextIndex(index, meta.LastIndex)
	}
}

// nextIndex is the index to wait for next: a smaller one than before means that Nomad was restored, so begin anew.
func nextIndex(before, now uint64) uint64 {
	if now < before {
		return 0
	}
	return max(now, 1)
}

// anyLive reports whether any of the allocations may still run.
func (s *Scheduler) anyLive(ctx context.Context, allocs []*api.AllocationListStub) (bool, error) {
	for _, alloc := range allocs {
		if isTerminal(alloc.ClientStatus) {
			continue
		}
		if gone, err := s.machineGone(ctx, alloc.ClientStatus, alloc.NodeID); err != nil || !gone {
			return err == nil, err
		}
	}
	return false, nil
}

// machineGone reports whether an allocation is on a machine that cannot be reached and that an operator removed from Nomad. Nobody will ever say more of such an
// allocation: Nomad leaves one that was told to stop as it was.
func (s *Scheduler) machineGone(ctx context.Context, clientStatus, nodeID string) (bool, error) {
	if clientStatus != api.AllocClientStatusUnknown {
		return false, nil
	}
	_, _, err := s.client.Nodes().Info(nodeID, s.query(ctx))
	switch err = translate(ctx, "looking for the server's machine", err); {
	case errors.Is(err, scheduler.ErrNotFound):
		return true, nil
	case statusCode(err) == http.StatusForbidden: // then we cannot know
		return false, nil
	}
	return false, err
}

// isTerminal reports whether Nomad knows that the allocation ended. "unknown" is not: its machine only cannot be reached.
func isTerminal(clientStatus string) bool {
	switch clientStatus {
	case api.AllocClientStatusComplete, api.AllocClientStatusFailed, api.AllocClientStatusLost:
		return true
	}
	return false
}

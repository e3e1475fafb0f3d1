package nomad

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// purgeTimeout bounds the last look and the purge together. It must stay well below removalGrace.
const purgeTimeout = 5 * time.Second

// Stop implements scheduler.Scheduler.
func (s *Scheduler) Stop(ctx context.Context, id string, generation int64) error {
	if done, err := s.stopWritten(ctx, id, generation); done || err != nil {
		return err
	}
	for range maxRounds {
		job, err := s.readJob(ctx, id)
		if err != nil {
			return err
		}
		if job == nil {
			done, err := s.stopWithoutJob(ctx, id, generation)
			if done || (err != nil && !errors.Is(err, errConflict)) {
				return err
			}
			continue
		}
		view := job.view()
		if view.generation > generation {
			return nil
		}
		if err := s.stopRound(ctx, id, job, view); !errors.Is(err, errConflict) {
			return err
		}
	}
	return fmt.Errorf("nomad: stopping %s: %w: %w", id, scheduler.ErrUnavailable, errConflict)
}

// stopWritten ends a server that this process started and that nobody changed since, without a look at its job. It reports false where that
// is not so, or is not known.
func (s *Scheduler) stopWritten(ctx context.Context, id string, generation int64) (done bool, err error) {
	job, ok := s.written.takeJob(id, generation)
	if !ok {
		return false, nil
	}
	if index, err := s.register(ctx, s.endedJob(id, job), job.job); err == nil {
		err = s.remove(ctx, id, job.generation, index)
		return err == nil, ignoreConflict(err)
	}
	return false, nil // who reads the job finds out what was wrong
}

func (s *Scheduler) stopRound(ctx context.Context, id string, job *storedJob, view jobView) error {
	if view.ending != endingRemove || !view.stopped {
		index, err := s.markEnding(ctx, job, endingRemove)
		if err != nil {
			return err
		}
		view.index = index
	}
	return s.remove(ctx, id, view.generation, view.index)
}

// remove waits for the end of a server whose job was marked as removed at that index, and removes what is left of it.
func (s *Scheduler) remove(ctx context.Context, id string, generation int64, index uint64) error {
	if err := s.awaitTerminal(ctx, id, index); err != nil {
		return err
	}
	// Before the purge, because a variable without a job would be found by nobody.
	if _, err := s.removeVariable(ctx, id, generation); err != nil {
		return err
	}
	return s.purge(ctx, id, index)
}

// stopWithoutJob ends what may be left without a job: allocations whose job an operator purged, and the variable of a start
// that got no further. It returns true when there was nothing. Where there was a variable, Stop looks again: a start that was just
// about to register would else wait for that variable for ever.
func (s *Scheduler) stopWithoutJob(ctx context.Context, id string, generation int64) (done bool, err error) {
	if err := s.awaitTerminal(ctx, id, 0); err != nil {
		return false, err
	}
	removed, err := s.removeVariable(ctx, id, generation)
	return err == nil && !removed, err
}

// removeVariable deletes the variable if it is of that generation or an older one. It reports whether it did.
func (s *Scheduler) removeVariable(ctx context.Context, id string, generation int64) (removed bool, err error) {
	if index, ok := s.written.takeVariable(id, generation); ok {
		if err := s.deleteVariable(ctx, id, index); !errors.Is(err, errConflict) {
			return err == nil, err
		}
	}
	variable, err := s.readVariable(ctx, id)
	if err != nil || variable == nil {
		return false, err
	}
	if variableGeneration(variable) > generation {
		return false, nil
	}
	return true, s.deleteVariable(ctx, id, variable.ModifyIndex)
}

// purge removes the job if it is still the one that was marked as removed. Nomad's purge takes no index, so this looks right before
// it, and a start leaves a job that is so marked alone for longer than this may take.
func (s *Scheduler) purge(ctx context.Context, id string, index uint64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, purgeTimeout, scheduler.ErrUnavailable)
	defer cancel()
	// What the stream told is at most mirrorAge old, which together with purgeTimeout is below removalGrace, too.
	if s.mirror.endOf(s.jobID(id), index) != endCame {
		job, err := s.readJob(ctx, id)
		if err != nil || job == nil {
			return err
		}
		if indexOf(job) != index {
			return errConflict
		}
	}
	_, _, err := s.client.Jobs().DeregisterOpts(s.jobID(id), &api.DeregisterOptions{Purge: true}, s.write(ctx))
	if err = translate(ctx, "purging the job", err); errors.Is(err, scheduler.ErrNotFound) {
		return nil
	}
	return err
}

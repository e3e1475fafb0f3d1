package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxRounds bounds how often one call decides anew because others changed the same job. Each lost round means that another
// call won one, so this many are lost only where something is broken.
const maxRounds = 50

// removalGrace is how long a start leaves a job alone that somebody is removing and whose allocations have ended. It is
// far longer than the one request that is missing then; after it the remover is taken for dead.
const removalGrace = 10 * time.Second

// The values of metaEnding.
const (
	endingReplace = "replaced"
	endingRemove  = "removed"
)

// Start implements scheduler.Scheduler.
func (s *Scheduler) Start(ctx context.Context, spec scheduler.Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	for round := range maxRounds {
		step := s.startRound
		if round == 0 && s.mirror.lacks(s.jobID(spec.ID)) {
			step = s.startNew
		}
		done, err := step(ctx, spec)
		switch {
		case errors.Is(err, errConflict):
			continue
		case err != nil:
			return err
		case done:
			return nil
		}
	}
	return fmt.Errorf("nomad: starting %s: %w: %w", spec.ID, scheduler.ErrUnavailable, errConflict)
}

// startNew starts a server of which there is most likely nothing, and looks at nothing before: the variable and the job are written only if there are none.
// It fails with errConflict where there is something.
func (s *Scheduler) startNew(ctx context.Context, spec scheduler.Spec) (done bool, err error) {
	return s.launch(ctx, spec, 0, s.createVariable)
}

// startRound looks at the job as it is and takes the next step. It returns true when the generation is accepted.
func (s *Scheduler) startRound(ctx context.Context, spec scheduler.Spec) (done bool, err error) {
	job, err := s.readJob(ctx, spec.ID)
	if err != nil {
		return false, err
	}
	if job == nil {
		// An operator may have purged the job of a server that still runs.
		if err := s.awaitTerminal(ctx, spec.ID, 0); err != nil {
			return false, err
		}
		return s.launch(ctx, spec, 0, s.writeVariable)
	}
	current := job.view()
	switch {
	case current.generation > spec.Generation:
		return false, scheduler.ErrStale
	case current.ending == endingRemove:
		return s.startAfterRemoval(ctx, spec, current)
	case current.generation == spec.Generation:
		return true, nil
	case !current.stopped:
		_, err := s.markEnding(ctx, job, endingReplace)
		return false, err
	}
	if err := s.awaitTerminal(ctx, spec.ID, current.index); err != nil {
		return false, err
	}
	return s.launch(ctx, spec, current.index, s.writeVariable)
}

// startAfterRemoval lets a Stop that is under way finish, because its last step, the purge, cannot be made conditional. It takes
// over only from one that has died.
func (s *Scheduler) startAfterRemoval(ctx context.Context, spec scheduler.Spec, current jobView) (bool, error) {
	if err := s.awaitTerminal(ctx, spec.ID, current.index); err != nil {
		return false, err
	}
	gone, err := s.awaitGone(ctx, spec.ID, removalGrace)
	if gone || err != nil {
		return false, err
	}
	return s.launch(ctx, spec, current.index, s.writeVariable)
}

// launch writes the variable, by the given function, and registers the job over the one with that index (0: over none), then looks again.
func (s *Scheduler) launch(ctx context.Context, spec scheduler.Spec, index uint64, write func(context.Context, scheduler.Spec) (uint64, error)) (bool, error) {
	job, err := s.compose(ctx, spec)
	if err != nil {
		return false, err
	}
	written, err := write(ctx, spec)
	if err != nil {
		return false, err
	}
	registered, err := s.register(ctx, job, index)
	if err != nil {
		if _, rejected := errors.AsType[*scheduler.RejectedError](err); rejected {
			err = errors.Join(err, ignoreConflict(s.deleteVariable(ctx, spec.ID, written)))
		}
		return false, err
	}
	s.written.noteJob(spec.ID, spec.Generation, registered, shellOf(job))
	if s.first(ctx, spec.ID, registered) {
		return true, nil
	}
	return s.lookAgain(ctx, spec)
}

// first waits for the stream to tell of the registration at that index, and reports whether it created the job and nothing came after it. Of two that
// passed Nomad's check together, the later one did not create it, and is the one to look again. A Stop of the same generation may have deleted the
// variable in between; whoever asked for it wants the job ended, too.
func (s *Scheduler) first(ctx context.Context, id string, index uint64) bool {
	told, release := s.news.follow(s.jobID(id))
	defer release()
	patience := time.NewTimer(ownNewsMost)
	defer patience.Stop()
	for {
		created, state := s.mirror.origin(s.jobID(id), index)
		if state != unheard {
			return state == heard && created == index
		}
		select {
		case <-ctx.Done():
			return false
		case <-patience.C:
			return false
		case <-told:
		}
	}
}

// lookAgain finds out whether another call changed the variable or the job in the same instant.
func (s *Scheduler) lookAgain(ctx context.Context, spec scheduler.Spec) (bool, error) {
	// A Stop that saw no job yet may have deleted the variable; then it is written again. A newer start may have written it.
	if _, err := s.writeVariable(ctx, spec); err != nil {
		if errors.Is(err, scheduler.ErrStale) {
			return false, errors.Join(err, s.withdraw(ctx, spec))
		}
		return false, err
	}
	job, err := s.readJob(ctx, spec.ID)
	if err != nil {
		return false, err
	}
	// An older start may have passed Nomad's check together with this one and written last.
	return job == nil || job.view().generation >= spec.Generation, nil
}

// withdraw ends the job of a start that turned out to be stale, if its registration came last. The newer one starts anew.
func (s *Scheduler) withdraw(ctx context.Context, spec scheduler.Spec) error {
	job, err := s.readJob(ctx, spec.ID)
	if err != nil || job == nil {
		return err
	}
	if view := job.view(); view.generation != spec.Generation || view.stopped {
		return nil
	}
	_, err = s.markEnding(ctx, job, endingReplace)
	return ignoreConflict(err)
}

func ignoreConflict(err error) error {
	if errors.Is(err, errConflict) {
		return nil
	}
	return err
}

// register writes the job if its index is still that one, and returns the new one.
func (s *Scheduler) register(ctx context.Context, job *api.Job, index uint64) (uint64, error) {
	answer, _, err := s.client.Jobs().RegisterOpts(job, &api.RegisterOptions{EnforceIndex: true, ModifyIndex: index}, s.write(ctx))
	if err == nil {
		s.mirror.wrote(*job.ID, answer.JobModifyIndex)
		return answer.JobModifyIndex, nil
	}
	return 0, s.whyNotRegistered(ctx, job, err)
}

// whyNotRegistered finds out what an error of a registration means.
func (s *Scheduler) whyNotRegistered(ctx context.Context, job *api.Job, err error) error {
	translated := translate(ctx, "registering the job", err)
	switch code := statusCode(err); {
	case errors.Is(translated, errConflict), ctx.Err() != nil:
		return translated
	case code == http.StatusBadRequest:
		return misconfigured(body(err), err)
	case code == http.StatusForbidden:
		return cmp.Or(s.whyForbidden(ctx, job, err), translated)
	case code == http.StatusInternalServerError:
		// Nomad answers 500 to jobs that it will never take and to its own troubles alike. Its validation tells which.
		if rejected := s.validate(ctx, job); rejected != nil {
			return rejected
		}
	}
	return translated
}

// whyForbidden tells a token that may not mount what the job mounts from one that Nomad does not take at all, which may be just being
// replaced. It returns nil where that cannot be told.
func (s *Scheduler) whyForbidden(ctx context.Context, job *api.Job, err error) error {
	for _, group := range job.TaskGroups {
		if len(group.Volumes) > 0 && s.validate(ctx, job) == nil {
			return &scheduler.RejectedError{
				Reason: "Nomad's policy does not let the hub mount a volume that the server asks for. An operator must add the volume to the policy of the hub's token.",
				Err:    err,
			}
		}
	}
	return nil
}

package nomad

import (
	"context"
	"fmt"

	"github.com/hashicorp/nomad/api"
)

// wakeForVolumes has Nomad look again at a job that waits for a volume, if the volume or its machine has changed since Nomad looked last. Nomad looks by itself when a
// machine comes back, but at times a moment before the machine has told of its volumes, and then not again.
func (s *Scheduler) wakeForVolumes(ctx context.Context, stored *storedJob) {
	job, err := stored.all()
	if err != nil {
		s.opts.Logger.WarnContext(ctx, "a job that waits for a volume cannot be read", "job", *stored.ID, "err", err)
		return
	}
	changed, err := s.volumesChanged(ctx, job)
	if err == nil && changed > 0 {
		err = s.lookAgainSince(ctx, *job.ID, changed)
	}
	if err != nil && ctx.Err() == nil {
		s.opts.Logger.DebugContext(ctx, "a job that waits for a volume was not looked at again", "job", *job.ID, "err", err)
	}
}

// volumesChanged returns the index of the last change of the job's dynamic host volumes and their machines, or 0 if not all of them are ready.
func (s *Scheduler) volumesChanged(ctx context.Context, job *api.Job) (uint64, error) {
	var last uint64
	for _, group := range job.TaskGroups {
		for _, request := range group.Volumes {
			if request.Type != "host" {
				continue
			}
			found, _, err := s.hostVolumesNamed(ctx, request.Source, 0)
			if err != nil {
				return 0, err
			}
			if len(found) != 1 {
				continue // a static one, or nothing that waiting would mend
			}
			node, _, err := s.client.Nodes().Info(found[0].NodeID, s.query(ctx))
			if err != nil {
				return 0, translate(ctx, "reading the volume's machine", err)
			}
			if found[0].State != api.HostVolumeStateReady || node.Status != api.NodeStatusReady || node.SchedulingEligibility != api.NodeSchedulingEligible {
				return 0, nil
			}
			last = max(last, found[0].ModifyIndex, node.ModifyIndex)
		}
	}
	return last, nil
}

// lookAgainSince asks for a new evaluation of the job unless one was made after that index.
func (s *Scheduler) lookAgainSince(ctx context.Context, jobID string, index uint64) error {
	evals, _, err := s.client.Jobs().Evaluations(jobID, s.query(ctx))
	if err != nil {
		return translate(ctx, "listing the server's evaluations", err)
	}
	for _, eval := range evals {
		if eval.CreateIndex > index {
			return nil
		}
	}
	if _, _, err := s.client.Jobs().ForceEvaluate(jobID, s.write(ctx)); err != nil {
		return fmt.Errorf("evaluate the job: %w", translate(ctx, "asking for a new look at the job", err))
	}
	s.opts.Logger.InfoContext(ctx, "a job waits for a volume that is ready; Nomad was asked to look again", "job", jobID)
	return nil
}

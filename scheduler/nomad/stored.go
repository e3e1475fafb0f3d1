package nomad

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
	"github.com/nomadhub/nomadhub/scheduler"
)

// storedJob is a job as Nomad has it. Of its fields only ID, Meta, Stop, JobModifyIndex and CreateIndex are set; text is all of it.
type storedJob struct {
	api.Job

	text []byte
}

// readJob returns the server's job, or nil if there is none.
func (s *Scheduler) readJob(ctx context.Context, id string) (*storedJob, error) {
	var text json.RawMessage
	_, err := s.client.Raw().Query("/v1/job/"+s.jobID(id), &text, s.query(ctx))
	if err = translate(ctx, "reading the job", err); errors.Is(err, scheduler.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	job := &storedJob{text: text}
	if err := takeJob(text, &job.Job); err != nil || job.JobModifyIndex == nil {
		err = cmp.Or(err, pull.ErrJSON)
		return nil, fmt.Errorf("nomad: reading the job: %w: %w", scheduler.ErrUnavailable, err)
	}
	if job.ID = new(s.jobID(id)); job.Meta[metaServer] != id {
		return nil, &scheduler.RejectedError{
			Reason: "A Nomad job that is not the hub's has the name " + s.jobID(id) + "; an operator must rename it.",
			Err:    os.ErrExist,
		}
	}
	return job, nil
}

// view returns what this package needs to know of the job.
func (j *storedJob) view() jobView { return viewOfJob(&j.Job) }

// slim returns the fields that are set, or nil for no job.
func (j *storedJob) slim() *api.Job {
	if j == nil {
		return nil
	}
	return &j.Job
}

// all decodes the whole job.
func (j *storedJob) all() (*api.Job, error) {
	job := &api.Job{}
	if err := json.Unmarshal(j.text, job); err != nil {
		return nil, fmt.Errorf("nomad: reading the job: %w", err)
	}
	return job, nil
}

// markEnding registers the job as stopped, which ends its allocations. Unlike Nomad's own deregistration it is conditional, so it
// never ends a generation that came after the one that was read. It returns the job's new index. Nothing else of the job is changed, or even looked at.
func (s *Scheduler) markEnding(ctx context.Context, job *storedJob, reason string) (uint64, error) {
	meta := maps.Clone(job.Meta)
	meta[metaEnding] = reason
	if meta[metaRegistered] == "" {
		meta[metaRegistered] = strconv.FormatUint(*job.JobModifyIndex, 10)
	}
	request, err := stoppedWith(job, meta)
	if err != nil {
		return 0, fmt.Errorf("nomad: stopping the job: %w", err)
	}
	var answer api.JobRegisterResponse
	_, err = s.client.Raw().Write("/v1/jobs", bytes.NewReader(request), &answer, s.write(ctx))
	if err == nil {
		s.mirror.wrote(*job.ID, answer.JobModifyIndex)
		return answer.JobModifyIndex, nil
	}
	full, broken := job.all()
	if broken != nil {
		return 0, translate(ctx, "stopping the job", err)
	}
	return 0, s.whyNotRegistered(ctx, full, err)
}

// stoppedWith makes the request that registers the job with that metadata as stopped, if it is unchanged.
func stoppedWith(job *storedJob, meta map[string]string) ([]byte, error) {
	encoded, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	request := make([]byte, 0, len(job.text)+len(encoded)+128)
	request = append(request, `{"EnforceIndex":true,"JobModifyIndex":`...)
	request = strconv.AppendUint(request, *job.JobModifyIndex, 10)
	request = append(append(request, `,"Job":{"Stop":true,"Meta":`...), encoded...)
	err = pull.EachField(job.text, func(name, value []byte) error {
		if string(name) == "Stop" || string(name) == "Meta" {
			return nil
		}
		request = append(append(append(request, `,"`...), name...), `":`...)
		request = append(request, value...)
		return nil
	})
	return append(request, "}}"...), err
}

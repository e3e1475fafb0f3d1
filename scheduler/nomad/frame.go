package nomad

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// frame is one line of Nomad's event stream; without events it is a heartbeat.
type frame struct {
	Index  uint64
	Events []streamEvent
}

// streamEvent is one event. Of its payload there is what this package reads, and nothing of other people's jobs: a busy cluster tells of them all, and of each
// server some 50 KiB from its start to its end. The client package decodes all of it, through generic maps, and hides heartbeats.
type streamEvent struct {
	Topic   api.Topic
	Type    string
	Index   uint64
	Payload struct {
		Job        *api.Job
		Allocation *api.Allocation
		Evaluation *api.Evaluation
		Node       *api.Node
		Deleted    bool // of a job
	}
}

// maxFrame bounds one line of the stream. The largest that Nomad makes is a plan with some hundred allocations of a few KiB each.
const maxFrame = 64 << 20

var errFrameTooLong = fmt.Errorf("a line of the event stream is longer than %d bytes", maxFrame)

// frames reads lines of the stream.
type frames struct {
	from   *bufio.Reader
	prefix string // of the jobs that are of interest
	line   []byte // used again for each
}

func newFrames(from io.Reader, prefix string) *frames {
	return &frames{from: bufio.NewReaderSize(from, 32<<10), prefix: prefix}
}

// next returns the next frame.
func (f *frames) next() (frame, error) {
	for {
		if err := f.read(); err != nil {
			return frame{}, err
		}
		if line := bytes.TrimSpace(f.line); len(line) > 0 {
			return parseFrame(line, f.prefix)
		}
	}
}

// read reads one line.
func (f *frames) read() error {
	const keep = 1 << 20 // a buffer that one long line made larger is not kept
	if f.line = f.line[:0]; cap(f.line) > keep {
		f.line = nil
	}
	for {
		part, err := f.from.ReadSlice('\n')
		f.line = append(f.line, part...)
		switch {
		case len(f.line) > maxFrame:
			return errFrameTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(f.line)) > 0:
			return io.ErrUnexpectedEOF
		}
		return err
	}
}

func parseFrame(line []byte, prefix string) (frame, error) {
	var next frame
	err := eachField(line, func(name, value []byte) error {
		switch string(name) {
		case "Index":
			return number(value, &next.Index)
		case "Events":
			return eachElement(value, func(value []byte) error {
				event, wanted, err := parseEvent(value, prefix)
				if wanted {
					next.Events = append(next.Events, event)
				}
				return err
			})
		}
		return nil
	})
	return next, err
}

// parseEvent reads one event. It is not wanted if it is about a job that is not named like ours.
func parseEvent(text []byte, prefix string) (event streamEvent, wanted bool, err error) {
	var payload []byte
	err = eachField(text, func(name, value []byte) error {
		switch string(name) {
		case "Topic":
			return json.Unmarshal(value, &event.Topic)
		case "Type":
			return json.Unmarshal(value, &event.Type)
		case "Index":
			return number(value, &event.Index)
		case "Payload":
			payload = value
		}
		return nil
	})
	if err != nil || payload == nil || string(payload) == "null" {
		return event, false, err
	}
	err = eachField(payload, func(name, value []byte) (err error) {
		if string(value) == "null" {
			return nil
		}
		switch string(name) {
		case "Job":
			event.Payload.Job, err = parseJob(value, prefix)
			wanted = wanted || event.Payload.Job != nil
		case "Allocation":
			event.Payload.Allocation, err = parseAlloc(value, prefix)
			wanted = wanted || event.Payload.Allocation != nil
		case "Evaluation":
			event.Payload.Evaluation, err = parseEval(value, prefix)
			wanted = wanted || event.Payload.Evaluation != nil
		case "Node":
			wanted = true
			err = json.Unmarshal(value, &event.Payload.Node)
		}
		return err
	})
	return event, wanted && err == nil, err
}

// parseJob returns nil for a job of somebody else.
func parseJob(text []byte, prefix string) (*api.Job, error) {
	job := &api.Job{}
	err := takeJob(text, job)
	if err != nil || job.ID == nil || !strings.HasPrefix(*job.ID, prefix) {
		return nil, err
	}
	return job, nil
}

// takeJob sets what this package reads of a job.
func takeJob(text []byte, job *api.Job) error {
	return fields(text, map[string]any{
		"ID": &job.ID, "Meta": &job.Meta, "Stop": &job.Stop, "JobModifyIndex": &job.JobModifyIndex, "CreateIndex": &job.CreateIndex,
	})
}

// parseAlloc returns nil for an allocation of somebody else's job.
func parseAlloc(text []byte, prefix string) (*api.Allocation, error) {
	a := &api.Allocation{}
	if err := fields(text, map[string]any{"JobID": &a.JobID}); err != nil || !strings.HasPrefix(a.JobID, prefix) {
		return nil, err
	}
	return a, fields(text, map[string]any{
		"ID": &a.ID, "NodeID": &a.NodeID, "NodeName": &a.NodeName, "CreateIndex": &a.CreateIndex, "ModifyIndex": &a.ModifyIndex, "ModifyTime": &a.ModifyTime,
		"ClientStatus": &a.ClientStatus, "ClientDescription": &a.ClientDescription,
		"DesiredStatus": &a.DesiredStatus, "DesiredDescription": &a.DesiredDescription, "DesiredTransition": &a.DesiredTransition,
		"PreemptedByAllocation": &a.PreemptedByAllocation, "NextAllocation": &a.NextAllocation,
		"AllocatedResources": &a.AllocatedResources, "TaskStates": &a.TaskStates,
	})
}

// parseEval returns nil for an evaluation that goes on, and for one of somebody else's job.
func parseEval(text []byte, prefix string) (*api.Evaluation, error) {
	e := &api.Evaluation{}
	err := fields(text, map[string]any{"JobID": &e.JobID, "ModifyTime": &e.ModifyTime, "FailedTGAllocs": &e.FailedTGAllocs, "Status": &e.Status, "JobModifyIndex": &e.JobModifyIndex})
	if err != nil || len(e.FailedTGAllocs) == 0 && e.Status != api.EvalStatusComplete || !strings.HasPrefix(e.JobID, prefix) {
		return nil, err
	}
	return e, nil
}

// fields decodes those fields of an object that are wanted.
func fields(object []byte, wanted map[string]any) error {
	return eachField(object, func(name, value []byte) error {
		into, ok := wanted[string(name)]
		if !ok {
			return nil
		}
		if index, ok := into.(*uint64); ok {
			return number(value, index)
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

func number(text []byte, into *uint64) (err error) {
	*into, err = strconv.ParseUint(string(text), 10, 64)
	return err
}

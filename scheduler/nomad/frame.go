package nomad

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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

	// Seen is the view of the allocation, once it was asked for, and Kept is it without what takes room.
	Seen, Kept *allocView `json:"-"`
}

// alloc returns the views of the allocation.
func (e *streamEvent) alloc() (seen, kept *allocView) {
	if e.Seen == nil {
		e.Seen = viewOfAlloc(e.Payload.Allocation)
		e.Kept = e.Seen.kept()
	}
	return e.Seen, e.Kept
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
	c := newCursor(line)
	err := c.Fields(func(name []byte) error {
		switch string(name) {
		case "Index":
			return c.Uint64(&next.Index)
		case "Events":
			return c.Elements(func() error {
				event, wanted, err := parseEvent(c, prefix)
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
func parseEvent(c *cursor, prefix string) (event streamEvent, wanted bool, err error) {
	var topic string
	err = c.Fields(func(name []byte) error {
		switch string(name) {
		case "Topic":
			return c.word(&topic)
		case "Type":
			return c.word(&event.Type)
		case "Index":
			return c.Uint64(&event.Index)
		case "Payload":
			if c.Null() {
				return nil
			}
			return event.takePayload(c, prefix)
		}
		return nil
	})
	event.Topic = api.Topic(topic)
	p := event.Payload
	return event, err == nil && (p.Job != nil || p.Allocation != nil || p.Evaluation != nil || p.Node != nil), err
}

func (e *streamEvent) takePayload(c *cursor, prefix string) error {
	return c.Fields(func(name []byte) (err error) {
		if c.Null() {
			return nil
		}
		switch p := &e.Payload; string(name) {
		case "Job":
			p.Job, err = parseJob(c, prefix)
		case "Allocation":
			p.Allocation, err = parseAlloc(c, prefix)
		case "Evaluation":
			p.Evaluation, err = parseEval(c, prefix)
		case "Node":
			err = c.Decode(&p.Node)
		}
		return err
	})
}

// parseJob returns nil for a job of somebody else.
func parseJob(c *cursor, prefix string) (*api.Job, error) {
	job := &api.Job{}
	err := takeJobFields(c, job, prefix)
	if err != nil || job.ID == nil || !strings.HasPrefix(*job.ID, prefix) {
		return nil, err
	}
	return job, nil
}

// takeJob sets what this package reads of a job.
func takeJob(text []byte, job *api.Job) error {
	return takeJobFields(newCursor(text), job, "")
}

// takeJobFields reads no more of a job after its name if that does not begin with the prefix.
func takeJobFields(c *cursor, job *api.Job, prefix string) error {
	return c.Fields(func(name []byte) error {
		if job.ID != nil && !strings.HasPrefix(*job.ID, prefix) || c.Null() {
			return nil
		}
		switch string(name) {
		case "ID":
			job.ID = new(string)
			return c.Text(job.ID)
		case "Meta":
			return c.Texts(&job.Meta)
		case "Stop":
			job.Stop = new(bool)
			return c.Bool(job.Stop)
		case "JobModifyIndex":
			job.JobModifyIndex = new(uint64)
			return c.Uint64(job.JobModifyIndex)
		case "CreateIndex":
			job.CreateIndex = new(uint64)
			return c.Uint64(job.CreateIndex)
		}
		return nil
	})
}

// parseAlloc returns nil for an allocation of somebody else's job.
func parseAlloc(c *cursor, prefix string) (*api.Allocation, error) {
	a, foreign := &api.Allocation{}, false
	err := c.Fields(func(name []byte) error {
		if foreign {
			return nil
		}
		switch string(name) {
		case "ID":
			return c.Text(&a.ID)
		case "JobID":
			err := c.Text(&a.JobID)
			foreign = !strings.HasPrefix(a.JobID, prefix)
			return err
		}
		return takeAllocField(c, string(name), a)
	})
	if err != nil || !strings.HasPrefix(a.JobID, prefix) {
		return nil, err
	}
	return a, nil
}

// parseEval returns nil for an evaluation that goes on, and for one of somebody else's job.
func parseEval(c *cursor, prefix string) (*api.Evaluation, error) {
	e := &api.Evaluation{}
	err := c.Fields(func(name []byte) error {
		switch string(name) {
		case "JobID":
			return c.Text(&e.JobID)
		case "Status":
			return c.word(&e.Status)
		case "JobModifyIndex":
			return c.Uint64(&e.JobModifyIndex)
		case "ModifyTime":
			return c.Int64(&e.ModifyTime)
		case "FailedTGAllocs":
			if c.Null() {
				return nil
			}
			return c.Decode(&e.FailedTGAllocs)
		}
		return nil
	})
	if err != nil || len(e.FailedTGAllocs) == 0 && e.Status != api.EvalStatusComplete || !strings.HasPrefix(e.JobID, prefix) {
		return nil, err
	}
	return e, nil
}

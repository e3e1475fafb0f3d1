package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/nomad/api"
)

// frame is one line of Nomad's event stream; without events it is a heartbeat.
type frame struct {
	Index  uint64
	Events []streamEvent
}

// streamEvent is one event. The client package decodes payloads through generic maps and hides heartbeats, so this does not use it.
type streamEvent struct {
	Topic   api.Topic
	Type    string
	Index   uint64
	Payload struct {
		Job        *api.Job
		Allocation *api.Allocation
		Evaluation *api.Evaluation
	}
}

// errSilent says that the event stream gave no sign of life for longer than its heartbeats are apart.
var errSilent = errors.New("the event stream is silent")

// stream yields the frames from that index on until the stream ends, and then the reason as an error.
func (s *Scheduler) stream(ctx context.Context, index uint64) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		watchdog := time.AfterFunc(s.opts.StreamSilence, func() { cancel(errSilent) })
		defer watchdog.Stop()

		// A topic may be asked for more than once in a query, which the client's options cannot say.
		query := url.Values{"topic": {"Job", "Allocation", "Evaluation"}, "index": {strconv.FormatUint(index, 10)}}
		body, err := s.client.Raw().Response("/v1/event/stream?"+query.Encode(), s.query(ctx))
		if err != nil {
			yield(frame{}, translate(ctx, "opening the event stream", err))
			return
		}
		defer body.Close()
		decoder := json.NewDecoder(body)
		for {
			var next frame
			if err := decoder.Decode(&next); err != nil {
				if cause := context.Cause(ctx); cause != nil {
					err = cause
				}
				yield(frame{}, fmt.Errorf("nomad: event stream: %w", err))
				return
			}
			watchdog.Reset(s.opts.StreamSilence)
			if !yield(next, nil) {
				return
			}
			watchdog.Reset(s.opts.StreamSilence) // the reader's time is not the stream's
		}
	}
}

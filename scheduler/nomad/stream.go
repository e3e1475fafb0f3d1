package nomad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// The reasons why a connection to the event stream is given up; see [Scheduler.attend] for the last two.
var (
	errSilent    = errors.New("the event stream is silent")
	errFrozen    = errors.New("the event stream is frozen: another connection shows events that it did not bring")
	errNoContact = errors.New("nothing answers")
)

// allowance lets a decoder read so many bytes, until it is given anew.
type allowance struct {
	from io.Reader
	left int
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errFrameTooLong
	}
	n, err := a.from.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}

// stream yields the frames from that index on until the stream ends, and then the reason as an error.
func (s *Scheduler) stream(ctx context.Context, index uint64, nodes bool) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		watchdog := time.AfterFunc(s.opts.StreamSilence, func() { cancel(errSilent) })
		defer watchdog.Stop()

		body, err := s.openStream(ctx, index, nodes)
		if err != nil {
			yield(frame{}, err)
			return
		}
		defer body.Close()
		lines := newFrames(body, s.opts.JobPrefix)
		for {
			next, err := lines.next()
			if err != nil {
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

// openStream asks for the events of the hub's namespace and, where nodes says so, of all machines.
func (s *Scheduler) openStream(ctx context.Context, index uint64, nodes bool) (io.ReadCloser, error) {
	// A topic may be asked for more than once in a query, which the client's options cannot say.
	query := url.Values{"topic": {"Job", "Allocation", "Evaluation"}, "index": {strconv.FormatUint(index, 10)}}
	if nodes {
		query.Add("topic", "Node")
	}
	body, err := s.client.Raw().Response("/v1/event/stream?"+query.Encode(), uncompressed(s.query(ctx)))
	if cause := context.Cause(ctx); err != nil && cause != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("nomad: opening the event stream: %w", cause)
	}
	return body, translate(ctx, "opening the event stream", err)
}

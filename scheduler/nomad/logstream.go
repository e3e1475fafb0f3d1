package nomad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// lastWords is how long a log that is followed may say nothing more after its task's end until it counts as told: what a task printed
// last reaches the file through a pipe.
const lastWords = time.Second

// Log implements [scheduler.LogReader]. The log stays readable after the server's end, also after a Stop, until Nomad has removed the
// allocation from its machine. Nothing of it is kept here but the piece that is on its way.
func (s *Scheduler) Log(ctx context.Context, id string, query scheduler.LogQuery) (io.ReadCloser, error) {
	alloc, err := s.newestAlloc(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if alloc == nil {
		if job, err := s.readJob(ctx, id); err != nil || job == nil {
			return nil, errors.Join(err, scheduler.ErrNotFound)
		}
	}
	if !query.Follow {
		return s.wholeLog(ctx, alloc, query)
	}
	ctx, cancel := context.WithCancel(ctx)
	from, to := io.Pipe()
	go func() {
		defer cancel()
		_ = to.CloseWithError(s.followLog(ctx, to, id, alloc, query)) // never fails
	}()
	return &followedLog{from, cancel}, nil
}

// followedLog is the reader's end of a log that is followed.
type followedLog struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (l *followedLog) Close() error {
	l.cancel()
	return l.PipeReader.Close()
}

// wholeLog returns what there is.
func (s *Scheduler) wholeLog(ctx context.Context, alloc *allocView, query scheduler.LogQuery) (io.ReadCloser, error) {
	if alloc == nil {
		return io.NopCloser(strings.NewReader("")), nil
	}
	body, err := s.openLog(ctx, alloc, query)
	if errors.Is(err, errNoLog) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return body, err
}

// errNoLog says that a task has not printed anything yet, or that its machine has removed what it printed.
var errNoLog = errors.New("there is no log")

func (s *Scheduler) openLog(ctx context.Context, alloc *allocView, query scheduler.LogQuery) (io.ReadCloser, error) {
	q := s.query(ctx)
	q.Params = map[string]string{"task": mainTask(alloc), "type": "stdout", "plain": "true", "follow": strconv.FormatBool(query.Follow)}
	if query.Errors {
		q.Params["type"] = "stderr"
	}
	q.Params["origin"], q.Params["offset"] = "start", "0"
	if query.Tail > 0 {
		q.Params["origin"], q.Params["offset"] = "end", strconv.FormatInt(query.Tail, 10)
	}
	stream, err := s.client.Raw().Response("/v1/client/fs/logs/"+alloc.id, q)
	code := statusCode(err)
	switch {
	case err == nil:
		return stream, nil
	case code == http.StatusNotFound && unreachable(err):
		return nil, fmt.Errorf("nomad: reading the log: %w: %w", scheduler.ErrUnavailable, err)
	// 404; or 400 for a task and 500 for a file that the machine does not know of yet.
	case code == http.StatusNotFound, code == http.StatusBadRequest, code != 0 && strings.Contains(body(err), "not found"):
		return nil, errNoLog
	}
	return nil, translate(ctx, "reading the log", err)
}

// unreachable reports whether an error says that Nomad has no contact with the machine that could answer. It is 404, too.
func unreachable(err error) bool {
	text := body(err)
	return strings.Contains(text, "No path to node") || strings.Contains(text, "Unknown node")
}

// followLog writes to the reader what the server's task prints until its end, its last words included.
func (s *Scheduler) followLog(ctx context.Context, to io.Writer, id string, alloc *allocView, query scheduler.LogQuery) error {
	alloc, err := s.awaitTask(ctx, id, alloc)
	if err != nil || alloc == nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	body, err := s.openLog(reading, alloc, query)
	if errors.Is(err, errNoLog) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	counted := &counter{from: body}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s.awaitEnd(reading, alloc) == nil {
			counted.awaitQuiet(reading)
			stop()
		}
	}()
	_, err = io.Copy(to, counted)
	cut := reading.Err() != nil
	stop()
	<-ended
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cut:
		return nil // cut by us, after the end
	}
	return translate(ctx, "following the log", err)
}

// counter counts what goes through it.
type counter struct {
	from io.Reader
	n    atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// awaitQuiet returns when nothing came for a while.
func (c *counter) awaitQuiet(ctx context.Context) {
	for before := int64(-1); ctx.Err() == nil && before != c.n.Load(); {
		before = c.n.Load()
		pause(ctx, lastWords)
	}
}

// awaitTask waits until the server's task has begun to run, and returns its allocation; nil if it never will, because the server is gone.
func (s *Scheduler) awaitTask(ctx context.Context, id string, alloc *allocView) (*allocView, error) {
	for alloc == nil {
		job, err := s.readJob(ctx, id)
		if err != nil || job == nil {
			return nil, err
		}
		if alloc, err = s.newestAlloc(ctx, id, false); err != nil {
			return nil, err
		}
		if alloc == nil {
			pause(ctx, time.Second)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return s.awaitAlloc(ctx, alloc, func(now *allocView) bool {
		task := now.main()
		return task != nil && !task.StartedAt.IsZero() || isTerminal(now.clientStatus)
	})
}

// awaitEnd returns nil when the allocation runs no more.
func (s *Scheduler) awaitEnd(ctx context.Context, alloc *allocView) error {
	_, err := s.awaitAlloc(ctx, alloc, func(now *allocView) bool { return isTerminal(now.clientStatus) })
	return err
}

// awaitAlloc waits until the allocation is as wanted, and returns it; or as it was last seen, if Nomad has forgotten it.
func (s *Scheduler) awaitAlloc(ctx context.Context, alloc *allocView, wanted func(*allocView) bool) (*allocView, error) {
	var index uint64
	for !wanted(alloc) {
		q := s.query(ctx)
		q.WaitIndex, q.WaitTime = index, blockingWait
		full, meta, err := s.client.Allocations().Info(alloc.id, q)
		switch err = translate(ctx, "waiting for the server", err); {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, scheduler.ErrNotFound):
			return alloc, nil
		case errors.Is(err, scheduler.ErrUnavailable):
			pause(ctx, time.Second)
			continue
		case err != nil:
			return nil, err
		}
		alloc, index = viewOfAlloc(full), nextIndex(index, meta.LastIndex)
	}
	return alloc, nil
}

var (
	_ scheduler.LogReader = (*Scheduler)(nil)
	_ scheduler.Meter     = (*Scheduler)(nil)
	_ scheduler.PeakMeter = (*Scheduler)(nil)
	_ scheduler.Historian = (*Scheduler)(nil)
)

package hub

import (
	"context"
	"errors"
	"io"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Log returns what a server printed in its present or last run, for as long as the cluster keeps it. See [scheduler.LogReader]. The caller closes it.
func (h *Hub) Log(ctx context.Context, userName, serverName string, q scheduler.LogQuery) (io.ReadCloser, error) {
	reader, ok := h.opts.Scheduler.(scheduler.LogReader)
	if !ok {
		return nil, Errorf(NotFound, "What runs servers at this hub keeps no logs.")
	}
	s, err := h.knownServer(ctx, userName, serverName)
	if err != nil {
		return nil, err
	}
	log, err := reader.Log(ctx, s.ID, q)
	return log, watchError(err, "The cluster has no log of the server any more. Start it again, or ask the administrator.")
}

// Usage returns what a running server uses at this moment.
func (h *Hub) Usage(ctx context.Context, userName, serverName string) (scheduler.Usage, error) {
	meter, ok := h.opts.Scheduler.(scheduler.Meter)
	if !ok {
		return scheduler.Usage{}, Errorf(NotFound, "What runs servers at this hub does not measure what they use.")
	}
	s, err := h.knownServer(ctx, userName, serverName)
	if err != nil {
		return scheduler.Usage{}, err
	}
	usage, err := meter.Usage(ctx, s.ID)
	return usage, watchError(err, "The server does not run at this moment, so nothing is measured.")
}

// peak says how much memory a server had that ran out of it; "" where nobody measured that, or the cluster does not answer soon. What was measured long before the
// end, and is far below what the server may have, would only confuse.
func (h *Hub) peak(ctx context.Context, s Server) string {
	meter, ok := h.opts.Scheduler.(scheduler.PeakMeter)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	most, err := meter.PeakMemory(ctx, s.ID)
	if err != nil || most < 1<<20 || s.Held != nil && most>>20 < s.Held.MemoryMB*9/10 {
		return ""
	}
	return " The most that was measured before its end was " + scheduler.Megabytes(most>>20) + "."
}

// History returns what happened to a server in the cluster, oldest first, as far as that is remembered there.
func (h *Hub) History(ctx context.Context, userName, serverName string) ([]scheduler.Event, error) {
	historian, ok := h.opts.Scheduler.(scheduler.Historian)
	if !ok {
		return nil, Errorf(NotFound, "What runs servers at this hub keeps no history.")
	}
	s, err := h.knownServer(ctx, userName, serverName)
	if err != nil {
		return nil, err
	}
	events, err := historian.History(ctx, s.ID)
	return events, watchError(err, "The cluster does not remember the server any more.")
}

// knownServer returns a server that has a record.
func (h *Hub) knownServer(ctx context.Context, userName, serverName string) (Server, error) {
	s, err := h.Server(ctx, userName, serverName)
	if err == nil && s.ID == "" {
		err = Errorf(NotFound, "The server was never started.")
	}
	return s, err
}

// watchError says in the hub's words why the scheduler could not tell something. unknown is the sentence for what it does not know.
func watchError(err error, unknown string) error {
	rejected, ok := errors.AsType[*scheduler.RejectedError](err)
	switch {
	case ok:
		return &Error{Kind: Unavailable, Message: rejected.Reason, Err: err}
	case errors.Is(err, scheduler.ErrNotFound):
		return &Error{Kind: NotFound, Message: unknown, Err: err}
	case errors.Is(err, scheduler.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Unavailable, Message: "The cluster, or the server's machine, cannot be reached at this moment. Try again soon.", Err: err}
	}
	return err
}

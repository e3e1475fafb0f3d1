package hub

import (
	"context"
	"errors"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// MoveServer writes the wish that a running server go on elsewhere, with the same options and volumes, and returns at once: it is stopped, and started again on a machine
// that takes new work, which one that is being emptied does not. A server that moves already is returned as it is; one that does not run, is being stopped for
// good, or is on a machine that cannot be reached, is a Conflict. Forbidden over a hard limit of usage.
func (h *Hub) MoveServer(ctx context.Context, userName, serverName string) (Server, error) {
	for {
		s, err := h.Server(ctx, userName, serverName)
		switch {
		case err != nil:
			return Server{}, err
		case s.State == Stopped:
			return s, Errorf(Conflict, "The server does not run, so there is nothing to move. Start it.")
		case s.State == Stopping && s.Restart != nil:
			return s, nil
		}
		u, err := h.store.UserByID(ctx, s.UserID)
		if err == nil {
			err = h.checkBudget(ctx, u) // as for a restart
		}
		if err != nil {
			return s, err
		}
		next, err := h.restart(ctx, s, Restart{Reason: "The server moves to another machine."})
		if !errors.Is(err, ErrStale) {
			return next, err
		}
	}
}

// noticeDue tells whether the row says of the server's machine what the scheduler does.
func noticeDue(s ServerBrief, st scheduler.Status) bool {
	_, due := noticeFor(s, st, time.Time{})
	return due
}

// note writes down what the owner should know of the server's machine.
func (h *Hub) note(ctx context.Context, o observation) error {
	s := o.server
	n, due := noticeFor(s.Brief(), *o.status, o.now)
	if !due {
		return nil
	}
	s.Notice = n
	s, err := h.store.UpdateServer(ctx, s)
	if err != nil {
		return err
	}
	if n != nil {
		h.log.InfoContext(ctx, "owner told about the server's machine", "user", s.UserName, "server", s.Name, "server_id", s.ID,
			"generation", s.Generation, "notice", n.Kind, "until", n.Until)
	}
	h.journals.touch(s.ID)
	return nil
}

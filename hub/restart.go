package hub

import (
	"context"
	"errors"
	"fmt"
)

// RestartServer writes the wish that a running server be stopped and started again with these options, and returns at once. Its volumes are kept, and so
// is its place among the active servers. One that is stopped is started; one that is being stopped for good, or is on a machine
// that cannot be reached, is a Conflict. Forbidden over a hard limit of usage.
func (h *Hub) RestartServer(ctx context.Context, r StartRequest) (Server, error) {
	if err := checkOptions(r.Options); err != nil {
		return Server{}, err
	}
	for {
		u, s, err := h.userAndServer(ctx, r.User, r.Server)
		if err != nil {
			return Server{}, err
		}
		if s.State == Stopped {
			return h.Start(ctx, r)
		}
		if err := h.checkBudget(ctx, u); err != nil { // else its grace would begin anew with each restart
			return s, err
		}
		c, err := h.choose(u, s, r.Options)
		if err != nil {
			return Server{}, err
		}
		next, err := h.restart(ctx, s, Restart{Options: c.options, Reason: "The server is started again as it was asked for."})
		if !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) { // it is not what it was, or its record was removed in the same instant
			return next, err
		}
	}
}

// restart writes the wish that an active server be stopped and started again. ErrStale if the row was written since it was read, and ErrNotFound if
// it was removed, which is for the caller to look at.
func (h *Hub) restart(ctx context.Context, s Server, r Restart) (Server, error) {
	switch {
	case s.State == Stopping && s.Restart == nil:
		return s, Errorf(Conflict, "The server is being stopped. Start it when it has stopped.")
	case s.Notice != nil && s.Notice.Kind == NoticeLost: // its stop would wait for the machine
		return s, Errorf(Conflict, "The server's machine cannot be reached, and the server may still be running there, so it cannot be started elsewhere: two would write to the same files. Wait for the machine, or ask the administrator.")
	}
	s.State, s.Restart, s.Wait = Stopping, &r, nil
	next, err := h.store.UpdateServer(ctx, s)
	if err != nil {
		return next, fmt.Errorf("restart server %s: %w", s.ID, err)
	}
	failpoint("restart.after-row")
	h.log.InfoContext(ctx, "server restart asked for", "user", next.UserName, "server", next.Name, "server_id", next.ID, "generation", next.Generation)
	h.journals.wrote(next, 0, r.Reason)
	h.control.hand(next, nil)
	return next, nil
}

// goOn starts a server again whose last run has ended. It keeps its place: only the hub's concurrent starts can hold it back.
func (h *Hub) goOn(ctx context.Context, s Server) error {
	u, err := h.store.UserByID(ctx, s.UserID)
	if err != nil {
		return err
	}
	i, err := h.nextRun(u, s, StartRequest{Options: s.Restart.Options})
	if bad, ok := errors.AsType[*Error](err); ok && bad.Kind == Invalid {
		return h.giveUpRestart(ctx, s, bad)
	}
	if err != nil {
		return err
	}
	var next Server
	var held hold
	err = h.exclusive(ctx, func(tx Store) error {
		if held, err = h.judgeRestart(ctx, tx, i); err != nil {
			return err
		}
		if err = dropCredentials(ctx, tx, s.ID); err != nil {
			return err
		}
		failpoint("restart.before-start")
		next, err = i.write(ctx, tx, held)
		return err
	})
	if err != nil {
		return err
	}
	failpoint("restart.after-start")
	h.log.InfoContext(ctx, "server starts again", "user", next.UserName, "server", next.Name, "server_id", next.ID, "generation", next.Generation)
	h.journals.wrote(next, 0, messageBegun)
	if held.barrier != noBarrier {
		h.journals.mention(next, 0, next.Wait.Reason)
		h.queue.joined()
	}
	return nil
}

// judgeRestart tells what holds back a server that is counted among the active ones still.
func (h *Hub) judgeRestart(ctx context.Context, tx Store, i intent) (hold, error) {
	count, err := tx.CountStarts(ctx)
	if err != nil {
		return hold{}, err
	}
	limits := h.Limits()
	capped := limits.capped(i.user.Groups)
	var groups map[string]Load
	if len(capped) > 0 {
		if groups, err = tx.LoadOfGroups(ctx, capped); err != nil {
			return hold{}, err
		}
	}
	for name, g := range groups {
		groups[name] = Load{Starting: g.Starting, Active: g.Active - 1}
	}
	return limits.holds(capped, Load{Starting: count.Starting}, groups), nil
}

// giveUpRestart leaves a server stopped whose next run cannot be as it was asked for.
func (h *Hub) giveUpRestart(ctx context.Context, s Server, why *Error) error {
	s.Restart = nil
	s.Failure = &Failure{
		Message: "The server was stopped and could not be started again, since the profiles have changed. " + why.Message + " Choose again.", Time: h.now(),
	}
	_, err := h.store.UpdateServer(ctx, s)
	return err
}

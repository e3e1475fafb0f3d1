package hub

import (
	"context"
	"errors"
	"fmt"
)

// checkRevision fails with ErrStale if the row was written since it was read, and with ErrNotFound if it is gone. In a transaction, what else is done there
// depends on it.
func checkRevision(ctx context.Context, db Store, s Server) error {
	now, err := db.Revisions(ctx, []string{s.ID})
	if err != nil {
		return err
	}
	revision, there := now[s.ID]
	switch {
	case !there:
		return ErrNotFound
	case revision != s.Revision:
		return ErrStale
	}
	return nil
}

// remove ends a server: first its route, then its process, and then, at once, what it could log in with, its run and the wish itself.
//
// An old wish does no harm: route and process are ended of that generation and those before it, of which none ever comes back, and all that is written depends on
// the row's being as it was read.
func (h *Hub) remove(ctx context.Context, w *worker, s Server) error {
	begun := h.now()
	err := h.opts.Publisher.Withdraw(ctx, s.ID, s.Generation)
	h.metrics.routes.deleted(h.now().Sub(begun), err)
	if err != nil {
		return fmt.Errorf("withdraw the route of %s: %w", s.ID, err)
	}
	failpoint("stop.before-end")
	sctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := h.opts.Scheduler.Stop(sctx, s.ID, s.Generation); err != nil {
		h.metrics.ended(h.now().Sub(begun), err)
		return fmt.Errorf("stop server %s: %w", s.ID, err)
	}
	failpoint("stop.after-end")
	if s.State == Stopping && s.Restart != nil && !s.Remove {
		if err := h.closeRuns(ctx, s, h.now()); err != nil {
			return fmt.Errorf("write down the end of %s: %w", s.ID, err)
		}
		if err := h.goOn(ctx, s); err != nil {
			return err
		}
		h.tellStop(s)
		return nil
	}
	stopped, err := h.writeStopped(ctx, s)
	if err != nil {
		return fmt.Errorf("write down the end of %s: %w", s.ID, err)
	}
	failpoint("stop.after-stopped")
	h.metrics.ended(h.now().Sub(begun), nil)
	if s.State == Stopping {
		h.tellStop(s)
	}
	h.log.InfoContext(ctx, "server stopped", "user", s.UserName, "server", s.Name, "server_id", s.ID, "generation", s.Generation)
	if s.Remove {
		h.volumes.nudge()
		h.journals.touch(s.ID)
	} else {
		h.wrote(w, stopped, 0, "")
	}
	h.queue.poke()
	return nil
}

// writeStopped writes down that nothing of a server is left, and returns its row, if it still has one.
func (h *Hub) writeStopped(ctx context.Context, s Server) (Server, error) {
	end := h.endOf(s, h.now())
	stopped := s
	failpoint("usage.before-close")
	err := h.store.InTx(ctx, func(tx Store) error {
		var err error
		if s.State == Stopped || s.Remove {
			err = checkRevision(ctx, tx, s)
		} else {
			next := s
			next.State, next.Instance, next.Address, next.Placement, next.Wait, next.Restart = Stopped, "", "", 0, nil, nil
			stopped, err = tx.UpdateServer(ctx, next)
		}
		if err != nil { // somebody else wrote the row, and may have started the server again
			return err
		}
		if err := end.write(ctx, tx); err != nil {
			return err
		}
		if err := dropCredentials(ctx, tx, s.ID); err != nil || !s.Remove {
			return err
		}
		if err := h.releaseVolumes(ctx, tx, s.UserID, &s.Name); err != nil {
			return err
		}
		return tx.DeleteServer(ctx, s.ID)
	})
	if err != nil {
		h.ledger.giveBack(end)
	}
	return stopped, err
}

// dropCredentials deletes what the server could log in with.
func dropCredentials(ctx context.Context, tx Store, id string) error {
	if err := tx.DeleteTokensOfServer(ctx, id); err != nil {
		return err
	}
	return tx.DeleteClientsOfServer(ctx, id)
}

// stopAll writes the wish to stop for every active server, and carries it out. For a hub that takes its servers with it.
func (h *Hub) stopAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	active, _, err := h.store.Servers(ctx, ServerQuery{States: []ServerState{Starting, Ready, Stopping}})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range active {
		s.State, s.Restart = Stopping, nil
		if s, err = h.store.UpdateServer(ctx, s); err == nil {
			err = h.remove(ctx, &worker{id: s.ID}, s)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

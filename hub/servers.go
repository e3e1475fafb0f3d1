package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Server returns one server of a user, or a NotFound [Error]. The default server (name "") of an existing user always exists, even if it was
// never started.
func (h *Hub) Server(ctx context.Context, userName, serverName string) (Server, error) {
	u, err := h.UserByName(ctx, userName)
	if err != nil {
		return Server{}, err
	}
	s, err := h.store.ServerByName(ctx, u.ID, serverName)
	if errors.Is(err, ErrNotFound) {
		if serverName == "" {
			return Server{UserID: u.ID, UserName: u.Name, State: Stopped}, nil
		}
		return Server{}, Errorf(NotFound, "%s has no server named %q.", u.Name, serverName)
	}
	shown := []Server{s}
	h.activity.showServers(shown)
	return shown[0], err
}

// Servers returns servers that match, and how many do in all.
func (h *Hub) Servers(ctx context.Context, q ServerQuery) ([]Server, int, error) {
	servers, total, err := h.store.Servers(ctx, q)
	h.activity.showServers(servers)
	return servers, total, err
}

// shownStates are the states of servers that are shown; nil: any.
func shownStates(stopped bool) []ServerState {
	if stopped {
		return nil
	}
	return []ServerState{Starting, Ready, Stopping}
}

// RecentServersOf returns one user's servers as lists show them; those that do not run only with stopped. What another replica did with them it may know half a second late: it is for who asks again
// and again whose a token is.
func (h *Hub) RecentServersOf(ctx context.Context, u User, stopped bool) ([]ServerOutline, error) {
	kept, err := h.recent.servers.learn(serversOfUser{u.ID, stopped}, func() ([]ServerOutline, error) {
		return h.store.ServerOutlines(ctx, Owners{IDs: []string{u.ID}}, shownStates(stopped))
	})
	servers := slices.Clone(kept)
	h.activity.showOutlines(servers)
	return servers, err
}

// StopServer writes the wish that a server be gone, and returns at once. A start under way is given up. Stopping what is stopped is fine. With remove, the
// record of a named server is deleted when it has stopped.
func (h *Hub) StopServer(ctx context.Context, userName, serverName string, remove bool) (Server, error) {
	s, err := h.Server(ctx, userName, serverName)
	if err != nil {
		return s, err
	}
	return h.StopSeen(ctx, s, remove)
}

// StopSeen is [Hub.StopServer] for a server that the caller has just read.
func (h *Hub) StopSeen(ctx context.Context, s Server, remove bool) (Server, error) {
	if remove && s.Name == "" {
		return Server{}, Errorf(Invalid, "The default server cannot be removed, only stopped.")
	}
	if s.ID == "" {
		return s, nil
	}
	for {
		if s.State == Stopped && remove {
			now, err := h.removeStopped(ctx, s.ID)
			if err != nil || now.State == Stopped {
				return s, err
			}
			s = now // it was started in the same instant
		}
		if s.State == Stopped || s.State == Stopping && s.Restart == nil && (s.Remove || !remove) {
			return s, nil
		}
		s.State, s.Remove, s.Restart, s.Wait = Stopping, s.Remove || remove, nil, nil
		next, err := h.store.UpdateServer(ctx, s)
		if errors.Is(err, ErrStale) {
			if s, err = h.store.ServerByID(ctx, s.ID); err != nil {
				return s, fmt.Errorf("stop server: %w", err)
			}
			continue
		}
		if err != nil {
			return s, fmt.Errorf("stop server %s: %w", s.ID, err)
		}
		failpoint("stop.after-row")
		h.log.InfoContext(ctx, "server stop asked for", "user", s.UserName, "server", s.Name, "server_id", s.ID, "generation", s.Generation)
		h.journals.wrote(next, 0, messageStopping)
		h.control.hand(next, nil)
		return next, nil
	}
}

// removeStopped deletes the record of a server that is stopped, and returns the server as it found it.
func (h *Hub) removeStopped(ctx context.Context, id string) (Server, error) {
	var s Server
	err := h.store.InTx(ctx, func(tx Store) error {
		var err error
		if s, err = tx.ServerByID(ctx, id); err != nil || s.State != Stopped {
			return err
		}
		if err := h.releaseVolumes(ctx, tx, s.UserID, &s.Name); err != nil {
			return err
		}
		return tx.DeleteServer(ctx, id)
	})
	h.volumes.nudge()
	if errors.Is(err, ErrNotFound) {
		return Server{State: Stopped}, nil
	}
	return s, err
}

// awaitInterval is how often a waiter looks at what nobody tells of.
const awaitInterval = 500 * time.Millisecond

// AwaitServer waits until done says so of the server, or ctx ends, and returns the server as it was last seen. A server that is removed meanwhile is
// reported as stopped.
func (h *Hub) AwaitServer(ctx context.Context, id string, done func(Server) bool) (Server, error) {
	return h.awaitServer(ctx, Server{ID: id, Revision: unseen}, done)
}

// AwaitSeen is [Hub.AwaitServer] for a server as it was returned by the call that wrote it, such as [Hub.Start]. It is read only if it may have been written since.
func (h *Hub) AwaitSeen(ctx context.Context, s Server, done func(Server) bool) (Server, error) {
	return h.awaitServer(ctx, s, done)
}

// unseen is the revision of what nobody has read.
const unseen = math.MaxInt64

func (h *Hub) awaitServer(ctx context.Context, from Server, done func(Server) bool) (Server, error) {
	waiter := h.rows.join(from.ID)
	defer waiter.leave()
	rows := rowReader{h: h, id: from.ID, waiter: waiter}
	rows.from(from)
	for {
		s, changed, err := rows.next(ctx)
		if errors.Is(err, ErrNotFound) {
			s.State = Stopped
			return s, nil
		}
		if err != nil || done(s) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-changed:
		}
	}
}

// AwaitRoutes waits until the proxy of this process knows every server that is ready, or ctx ends. A server that stops meanwhile is not waited for.
func (h *Hub) AwaitRoutes(ctx context.Context) error {
	missing, err := h.store.ServerBriefs(ctx, []ServerState{Ready})
	if err != nil {
		return err
	}
	for wait := routesFirst; ; wait = min(2*wait, awaitInterval) {
		missing = h.unrouted(ctx, wait, missing)
		if len(missing) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("route of server %s and of %d more: %w", missing[0].ID, len(missing)-1, err)
		}
	}
}

// routesFirst is how long the first look waits for routes to come, before the rows of those that have none are read again.
const routesFirst = 20 * time.Millisecond

// unrouted waits so long for the routes of all of them together, and returns those that have none and should.
func (h *Hub) unrouted(ctx context.Context, atMost time.Duration, servers []ServerBrief) (missing []ServerBrief) {
	wait, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for _, s := range servers {
		if h.opts.Routes.AwaitRoute(wait, s.ID, s.Generation, "") == nil { // also after the wait, if the route is there
			continue
		}
		now, err := h.store.ServerByID(ctx, s.ID)
		if ctx.Err() != nil || err == nil && now.State == Ready && now.Generation == s.Generation {
			missing = append(missing, s)
		} // else it is not what it was, or nobody knows: its route may never come, and the visitor goes on without
	}
	return missing
}

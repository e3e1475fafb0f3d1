package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// maxOptions bounds the size of a server's options, in bytes of JSON.
const maxOptions = 64 << 10

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
	return s, err
}

// Servers returns servers that match, and how many do in all.
func (h *Hub) Servers(ctx context.Context, q ServerQuery) ([]Server, int, error) {
	return h.store.Servers(ctx, q)
}

// StartServer writes the wish that a server run, and returns at once; [Hub.Progress] and [Hub.AwaitServer] tell how it goes. options nil means
// those of the last start.
//
// A server that is starting already is returned as it is, so that asking twice is asking once. One that runs, or is being stopped, is a
// Conflict.
func (h *Hub) StartServer(ctx context.Context, userName, serverName string, options json.RawMessage) (Server, error) {
	if err := checkOptions(options); err != nil {
		return Server{}, err
	}
	u, err := h.UserByName(ctx, userName)
	if err != nil {
		return Server{}, err
	}
	if serverName != "" && !h.opts.Limits.AllowNamed {
		return Server{}, Errorf(Invalid, "Named servers are not switched on at this hub.")
	}
	failpoint("start.before-row")
	var s Server
	var already bool
	err = h.store.InTx(ctx, func(tx Store) error {
		var err error
		s, already, err = h.intendStart(ctx, tx, u, serverName, options)
		return err
	})
	if errors.Is(err, ErrStale) || errors.Is(err, ErrExists) { // somebody else asked at the same instant; what they asked for counts
		return h.joinStart(ctx, u, serverName)
	}
	if err != nil || already {
		return s, err
	}
	failpoint("start.after-row")
	h.log.InfoContext(ctx, "server start asked for", "user", u.Name, "server", serverName, "server_id", s.ID, "generation", s.Generation)
	h.journals.begin(s)
	h.control.own(s.ID)
	return s, nil
}

func checkOptions(options json.RawMessage) error {
	if len(options) > maxOptions {
		return Errorf(Invalid, "The server's options are larger than %d bytes.", maxOptions)
	}
	var object map[string]json.RawMessage
	if options != nil && json.Unmarshal(options, &object) != nil {
		return Errorf(Invalid, "The server's options must be a JSON object.")
	}
	return nil
}

func (h *Hub) joinStart(ctx context.Context, u User, name string) (Server, error) {
	s, err := h.store.ServerByName(ctx, u.ID, name)
	if err != nil {
		return Server{}, err
	}
	if s.State != Starting {
		return s, startRefused(s)
	}
	return s, nil
}

// startRefused says why a server cannot be started from its state, or nil if it can.
func startRefused(s Server) error {
	switch s.State {
	case Ready:
		return Errorf(Conflict, "The server is already running.")
	case Stopping:
		return Errorf(Conflict, "The server is being stopped. Start it again when it has stopped.")
	case Stopped, Starting:
	}
	return nil
}

func (h *Hub) intendStart(ctx context.Context, tx Store, u User, name string, options json.RawMessage) (s Server, already bool, err error) {
	s, err = tx.ServerByName(ctx, u.ID, name)
	isNew := errors.Is(err, ErrNotFound)
	if err != nil && !isNew {
		return Server{}, false, err
	}
	if isNew {
		if s, err = h.newServer(ctx, tx, u, name); err != nil {
			return Server{}, false, err
		}
	}
	if s.State == Starting {
		return s, true, nil
	}
	if err := startRefused(s); err != nil {
		return s, false, err
	}
	if err := h.checkRoom(ctx, tx); err != nil {
		return Server{}, false, err
	}
	if options != nil {
		s.Options = options
	}
	now := h.now()
	s.State, s.Started, s.Queued, s.Admitted, s.Failure, s.Remove = Starting, now, now, now, nil, false
	s.Instance, s.Address, s.Placement, s.Wait, s.Held, s.Notice, s.KeepUntil = "", "", 0, nil, nil, nil, time.Time{}
	s.Generation++
	if isNew {
		if err := tx.CreateServer(ctx, s); err != nil {
			return Server{}, false, err
		}
		s, err = tx.ServerByID(ctx, s.ID)
		return s, false, err
	}
	s, err = tx.UpdateServer(ctx, s)
	return s, false, err
}

func (h *Hub) newServer(ctx context.Context, tx Store, u User, name string) (Server, error) {
	if name != "" {
		if err := ValidateServerName(name); err != nil {
			return Server{}, err
		}
		if err := h.checkNamed(ctx, tx, u); err != nil {
			return Server{}, err
		}
	}
	return Server{ID: newID(), UserID: u.ID, UserName: u.Name, Name: name, State: Stopped, Created: h.now()}, nil
}

func (h *Hub) checkNamed(ctx context.Context, tx Store, u User) error {
	limit := h.opts.Limits.NamedServers
	if limit == 0 {
		return nil
	}
	have, _, err := tx.Servers(ctx, ServerQuery{UserIDs: []string{u.ID}})
	if err != nil {
		return err
	}
	named := 0
	for _, s := range have {
		if s.Name != "" {
			named++
		}
	}
	if named >= limit {
		return Errorf(Invalid, "%s has %d named servers, and no more are allowed. Remove one first.", u.Name, named)
	}
	return nil
}

// checkRoom holds back starts over the hub's limits. JupyterHub tells clients when to come back only for the first of the two.
func (h *Hub) checkRoom(ctx context.Context, tx Store) error {
	count, err := tx.CountServers(ctx)
	if err != nil {
		return err
	}
	if count[Starting] >= h.opts.Limits.ConcurrentStarts {
		e := Errorf(TooMany, "Too many servers are starting at this moment. Try again in a minute.")
		e.RetryAfter = 30*time.Second + rand.N(30*time.Second) //nolint:gosec // spreads clients; not a secret
		return e
	}
	if limit := h.opts.Limits.ActiveServers; limit > 0 && count[Starting]+count[Ready]+count[Stopping] >= limit {
		return Errorf(TooMany, "The hub runs as many servers as it may. Try again when somebody has stopped theirs.")
	}
	return nil
}

// StopServer writes the wish that a server be gone, and returns at once. A start under way is given up. Stopping what is stopped is fine. With remove, the
// record of a named server is deleted when it has stopped.
func (h *Hub) StopServer(ctx context.Context, userName, serverName string, remove bool) (Server, error) {
	if remove && serverName == "" {
		return Server{}, Errorf(Invalid, "The default server cannot be removed, only stopped.")
	}
	s, err := h.Server(ctx, userName, serverName)
	if err != nil || s.ID == "" {
		return s, err
	}
	for {
		if s.State == Stopped && remove {
			now, err := h.removeStopped(ctx, s.ID)
			if err != nil || now.State == Stopped {
				return s, err
			}
			s = now // it was started in the same instant
		}
		if s.State == Stopped || s.State == Stopping && (s.Remove || !remove) {
			return s, nil
		}
		s.State, s.Remove = Stopping, s.Remove || remove
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
		h.log.InfoContext(ctx, "server stop asked for", "user", s.UserName, "server", s.Name, "server_id", s.ID, "generation", s.Generation)
		h.journals.say(next, 0, "Stopping the server.")
		h.control.own(next.ID)
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
		return tx.DeleteServer(ctx, id)
	})
	if errors.Is(err, ErrNotFound) {
		return Server{State: Stopped}, nil
	}
	return s, err
}

// awaitInterval is how often a waiter looks at the row when another replica works on it.
const awaitInterval = 500 * time.Millisecond

// AwaitServer waits until done says so of the server, or ctx ends, and returns the server as it was last seen. A server that is removed meanwhile is
// reported as stopped.
func (h *Hub) AwaitServer(ctx context.Context, id string, done func(Server) bool) (Server, error) {
	tick := time.NewTicker(awaitInterval)
	defer tick.Stop()
	var last Server
	for {
		changed := h.journals.changed(id)
		s, err := h.store.ServerByID(ctx, id)
		if errors.Is(err, ErrNotFound) {
			last.State = Stopped
			return last, nil
		}
		if err != nil {
			return last, err
		}
		if last = s; done(s) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

// AwaitRoutes waits until the proxy of this process knows every server that is ready, or ctx ends. A server that stops meanwhile is not waited for.
func (h *Hub) AwaitRoutes(ctx context.Context) error {
	ready, _, err := h.store.Servers(ctx, ServerQuery{States: []ServerState{Ready}})
	if err != nil {
		return err
	}
	for _, s := range ready {
		if err := h.awaitRoute(ctx, s); err != nil {
			return fmt.Errorf("route of server %s: %w", s.ID, err)
		}
	}
	return nil
}

func (h *Hub) awaitRoute(ctx context.Context, s Server) error {
	for {
		wait, cancel := context.WithTimeout(ctx, awaitInterval)
		err := h.opts.Routes.AwaitRoute(wait, s.ID, s.Generation, "")
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		now, err := h.store.ServerByID(ctx, s.ID)
		if err != nil || now.State != Ready || now.Generation != s.Generation {
			return nil //nolint:nilerr // it is not what it was, or nobody knows: its route may never come, and the visitor goes on without
		}
	}
}

package hub

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// maxOptions bounds the size of a server's options, in bytes of JSON.
const maxOptions = 64 << 10

// StartRequest asks for a server.
type StartRequest struct {
	User, Server string // names; Server "" is the default one
	// Options are the user_options, a JSON object; nil: those of the last start.
	Options json.RawMessage
	// DisplayName is what the server is called from now on; nil: as before.
	DisplayName *string
	// Queue has the start wait where the hub's limits hold it back, as a person would who looks at a page. Otherwise it is refused with TooMany.
	Queue bool
	// Seen is what the caller has just read, and is not read again; nil: nothing.
	Seen *Seen
}

// Seen is a user and a server of theirs, as [Hub.ServerOf] returns it.
type Seen struct {
	User   User
	Server Server
}

// StartServer is [Hub.Start] for a program, which comes back by itself where the hub's limits hold the start back.
func (h *Hub) StartServer(ctx context.Context, userName, serverName string, options json.RawMessage) (Server, error) {
	return h.Start(ctx, StartRequest{User: userName, Server: serverName, Options: options})
}

// Start writes the wish that a server run, and returns at once; [Hub.Progress] and [Hub.AwaitServer] tell how it goes.
//
// A server that is starting already is returned as it is, so that asking twice is asking once. One that runs, or is being stopped, is a
// Conflict. Options that the profiles do not allow are Invalid.
func (h *Hub) Start(ctx context.Context, r StartRequest) (Server, error) {
	begun := h.now()
	if err := checkOptions(r.Options); err != nil {
		return Server{}, err
	}
	if r.Server != "" && !h.Limits().AllowNamed {
		return Server{}, errNamedOff
	}
	u, s, err := h.ownerAndServer(ctx, r)
	if err != nil {
		return Server{}, err
	}
	if s.State == Starting {
		h.metrics.refused(h.now().Sub(begun), nil)
		return s, nil
	}
	if err := startRefused(s); err != nil {
		return s, err
	}
	if err := h.checkBudget(ctx, u); err != nil {
		return s, err
	}
	wanted, err := h.nextRun(u, s, r)
	if err != nil {
		return Server{}, err
	}
	failpoint("start.before-row")
	next, err := h.intend(ctx, wanted, r.Queue)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrExists) { // somebody else asked at the same instant; what they asked for counts
		return h.joinStart(ctx, u, r, wanted.server.Generation)
	}
	if err != nil {
		h.metrics.refused(h.now().Sub(begun), err)
		return Server{}, err
	}
	failpoint("start.after-row")
	h.log.InfoContext(ctx, "server start asked for", "user", u.Name, "server", next.Name, "server_id", next.ID, "generation", next.Generation, "profile", next.Profile)
	h.journals.wrote(next, 0, messageBegun)
	if next.Admitted.IsZero() {
		h.journals.mention(next, 0, next.Wait.Reason)
		return next, nil
	}
	h.control.hand(next, &wanted.choice)
	return next, nil
}

func (h *Hub) ownerAndServer(ctx context.Context, r StartRequest) (User, Server, error) {
	if r.Seen != nil {
		return r.Seen.User, r.Seen.Server, nil
	}
	return h.userAndServer(ctx, r.User, r.Server)
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

// joinStart finds out what became of the row instead, which was to have that generation.
func (h *Hub) joinStart(ctx context.Context, u User, r StartRequest, generation int64) (Server, error) {
	s, err := h.store.ServerByName(ctx, u.ID, r.Server)
	if err != nil {
		return Server{}, err
	}
	if s.State == Stopped && s.Generation < generation { // nobody started it: something else of it was changed
		r.Seen = &Seen{User: u, Server: s}
		return h.Start(ctx, r)
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
		if s.Restart != nil {
			return Errorf(Conflict, "The server is being restarted. Wait until it is there again.")
		}
		return Errorf(Conflict, "The server is being stopped. Start it again when it has stopped.")
	case Stopped, Starting:
	}
	return nil
}

// intent is a start that is about to be written.
type intent struct {
	server Server // the row of the next run, not admitted
	isNew  bool   // there is no row yet
	user   User
	choice choice
}

// nextRun prepares the server's next run.
func (h *Hub) nextRun(u User, s Server, r StartRequest) (intent, error) {
	i := intent{user: u, isNew: s.ID == ""}
	if i.isNew {
		if s.Name != "" {
			if err := ValidateServerName(s.Name); err != nil {
				return i, err
			}
		}
		s.ID, s.Created = newID(), h.now()
	}
	var err error
	if r.DisplayName != nil {
		if s.DisplayName, err = NormalizeDisplayName(*r.DisplayName); err != nil {
			return i, err
		}
	}
	if i.choice, err = h.choose(u, s, r.Options); err != nil {
		return i, err
	}
	s.Options, s.Profile, s.Held = i.choice.options, i.choice.Profile, i.choice.held()
	s.IdleAfter, s.MaxAge = i.choice.IdleAfter, i.choice.MaxAge
	now := h.now()
	s.State, s.Started, s.Queued, s.Admitted, s.Failure, s.Remove, s.Restart = Starting, now, now, time.Time{}, nil, false, nil
	s.Instance, s.Address, s.Placement, s.Wait, s.Notice, s.KeepUntil = "", "", 0, nil, nil, time.Time{}
	s.Generation++
	i.server = s
	return i, nil
}

// write stores the row. What holds it back, if anything does, keeps it waiting.
func (i intent) write(ctx context.Context, tx Store, h hold) (Server, error) {
	next := i.server
	if h.barrier == noBarrier {
		next.Admitted = next.Queued
	} else {
		next.Wait = h.wait(next.Queued, next.Queued.Add(i.choice.QueueTimeout))
	}
	if !i.isNew {
		return tx.UpdateServer(ctx, next)
	}
	return next, tx.CreateServer(ctx, next)
}

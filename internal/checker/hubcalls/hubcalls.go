// Package hubcalls records what a test in the hub's own process asks of it.
package hubcalls

import (
	"context"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
)

// Hub is one replica whose calls about servers are recorded in a history that all replicas share.
type Hub struct {
	*hub.Hub

	History *checker.History
	Client  string // who asks, for people
}

// Start is [hub.Hub.Start].
func (h Hub) Start(ctx context.Context, r hub.StartRequest) (hub.Server, error) {
	call := h.begin(r.User, r.Server, checker.Start)
	s, err := h.Hub.Start(ctx, r)
	call.End(answer(s, err))
	return s, err
}

// StartServer is [hub.Hub.StartServer].
func (h Hub) StartServer(ctx context.Context, user, server string, options []byte) (hub.Server, error) {
	return h.Start(ctx, hub.StartRequest{User: user, Server: server, Options: options})
}

// RestartServer is [hub.Hub.RestartServer].
func (h Hub) RestartServer(ctx context.Context, r hub.StartRequest) (hub.Server, error) {
	call := h.begin(r.User, r.Server, checker.Restart)
	s, err := h.Hub.RestartServer(ctx, r)
	call.End(answer(s, err))
	return s, err
}

// StopServer is [hub.Hub.StopServer].
func (h Hub) StopServer(ctx context.Context, user, server string, remove bool) (hub.Server, error) {
	kind := checker.Stop
	if remove {
		kind = checker.Remove
	}
	call := h.begin(user, server, kind)
	s, err := h.Hub.StopServer(ctx, user, server, remove)
	a := answer(s, err)
	if remove && err == nil && s.State == hub.Stopped { // what is returned is the record that is no more
		a.Seen = checker.Seen{Phase: checker.Absent}
	}
	call.End(a)
	return s, err
}

// Server is [hub.Hub.Server].
func (h Hub) Server(ctx context.Context, user, server string) (hub.Server, error) {
	call := h.begin(user, server, checker.Read)
	s, err := h.Hub.Server(ctx, user, server)
	call.End(answer(s, err))
	return s, err
}

// DeleteUser is [hub.Hub.DeleteUser], for all servers of the user that the history knows.
func (h Hub) DeleteUser(ctx context.Context, user string) error {
	var calls []*checker.Call
	for _, at := range h.History.Servers(user) {
		calls = append(calls, h.begin(user, at.Name, checker.Forget))
	}
	err := h.Hub.DeleteUser(ctx, user)
	for _, call := range calls {
		call.End(answer(hub.Server{}, err))
	}
	return err
}

func (h Hub) begin(user, server string, kind checker.Kind) *checker.Call {
	return h.History.Begin(h.Client, checker.Server{User: user, Name: server}, kind)
}

// answer is what a call that returned this tells.
func answer(s hub.Server, err error) checker.Answer {
	if err == nil {
		return checker.Answer{Verdict: checker.Accepted, Seen: Seen(s)}
	}
	a := checker.Answer{Verdict: checker.Unknown, Says: err.Error()}
	switch hub.KindOf(err) {
	case hub.Conflict:
		a.Verdict, a.Seen = checker.Refused, Seen(s) // the row for which it was refused
	case hub.NotFound:
		a.Verdict, a.Seen = checker.Refused, checker.Seen{Phase: checker.Absent}
	case hub.Invalid, hub.Forbidden, hub.Unauthenticated, hub.TooMany, hub.NotRunning:
		a.Verdict = checker.Refused
	case hub.Internal, hub.Unavailable:
	}
	return a
}

// Seen is what a row tells. The zero row tells nothing.
func Seen(s hub.Server) checker.Seen {
	if s.ID == "" {
		if s.State == hub.Stopped { // a default server that was never started
			return checker.Seen{Phase: checker.Absent}
		}
		return checker.Seen{}
	}
	return checker.Seen{Phase: checker.Phase(s.State), ID: s.ID, Generation: s.Generation, Failed: new(s.Failure != nil)}
}

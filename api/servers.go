package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// serverPaths are the paths of servers below a user. The named form with an empty name is the default server, and what JupyterHub's own administration page uses.
var serverPaths = []string{"/users/{name}/server", "/users/{name}/servers/", "/users/{name}/servers/{server}"}

// mountStarts adds what asks for servers.
func (a *API) mountStarts(r chi.Router) {
	r.Use(a.asking, a.sessions.NeedCredential(a.group))
	for _, path := range serverPaths {
		r.With(a.need(onServer("servers", "start:servers"))).Post(path, a.do(a.startServer))
	}
}

// askedKey is the key of a request's context under which stands the function to call when its start was decided.
type askedKey struct{}

// asking lets the hub know of a start as soon as it comes: to find out who asks takes as long as the rest.
func (a *API) asking(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := a.hub.Asking()
		defer done()
		next.ServeHTTP(w, httpd.With(r, askedKey{}, done))
	})
}

// asked tells the hub that the request's start was decided.
func asked(r *http.Request) {
	if done, ok := r.Context().Value(askedKey{}).(func()); ok {
		done()
	}
}

func (a *API) mountServers(r chi.Router) {
	for _, path := range serverPaths {
		r.With(a.need(onServer("delete:servers"))).Delete(path, a.do(a.stopServer))
		r.With(a.need(onServer("read:servers"))).Get(path, a.do(a.getServer))
		r.With(a.need(onServer("servers", "start:servers"))).Put(path, a.do(a.makeServer))
		r.With(a.need(onServer("servers", "start:servers"))).Patch(path, a.do(a.editServer))
	}
}

func isStopped(s hub.Server) bool { return s.State == hub.Stopped }

func (a *API) getServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	s, err := a.server(r.Context(), t)
	if err != nil {
		return err
	}
	return a.writeServer(w, r, http.StatusOK, t.user, s)
}

func (a *API) writeServer(w http.ResponseWriter, r *http.Request, status int, u hub.User, s hub.Server) error {
	outline := s.Outline()
	return write(w, status, func(e writer) { a.viewer(r).server(e, &u, &outline) })
}

// server reads the server that the path names. One that does not exist is told in the words that are used for what may not be seen.
func (a *API) server(ctx context.Context, t target) (hub.Server, error) {
	if !t.exists {
		return hub.Server{}, errHidden
	}
	s, err := a.hub.ServerOf(ctx, t.user, t.server)
	if err == nil && s.ID == "" && t.server != "" {
		return s, errHidden
	}
	return s, err
}

// startServer answers 201 if the server is up in time, and 202 if it is still coming.
func (a *API) startServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	wanted, err := serverBody(r)
	if err != nil {
		return err
	}
	ask := hub.StartRequest{User: t.user.Name, Server: t.server, Options: wanted.Options, DisplayName: wanted.DisplayName}
	if t.exists {
		before, err := a.hub.ServerOf(r.Context(), t.user, t.server)
		if err != nil {
			return err
		}
		if before.State == hub.Starting { // on its way already
			empty(w, http.StatusAccepted)
			return nil
		}
		ask.Seen = &hub.Seen{User: t.user, Server: before}
	}
	s, err := a.hub.Start(r.Context(), ask)
	asked(r) // what follows only waits
	if hub.KindOf(err) == hub.Conflict {
		return asInvalid(err)
	}
	if err != nil {
		return err
	}
	return a.awaitStart(w, r, s)
}

// asInvalid gives a conflict the status that JupyterHub has for it.
func asInvalid(err error) error {
	if he, ok := errors.AsType[*hub.Error](err); ok {
		return &hub.Error{Kind: hub.Invalid, Message: he.Message, Err: err}
	}
	return &hub.Error{Kind: hub.Invalid, Message: "Something else is under way for this server. Try again in a moment.", Err: err}
}

// awaitStart waits for the outcome of a start, within SlowSpawn.
func (a *API) awaitStart(w http.ResponseWriter, r *http.Request, s hub.Server) error {
	httpd.Done(r)
	wait, cancel := context.WithTimeout(r.Context(), a.opts.SlowSpawn)
	defer cancel()
	last, err := a.hub.AwaitSeen(wait, s, func(now hub.Server) bool {
		return now.Generation != s.Generation || now.State == hub.Ready || now.State == hub.Stopped
	})
	late := errors.Is(wait.Err(), context.DeadlineExceeded) && r.Context().Err() == nil
	switch {
	case err != nil && !late:
		return err
	case err == nil && last.Generation == s.Generation && last.State == hub.Ready:
		empty(w, http.StatusCreated)
	case last.Generation == s.Generation && last.Failure != nil:
		startFailed(w, r, "The server could not be started: "+last.Failure.Message)
	case err != nil:
		empty(w, http.StatusAccepted)
	default:
		startFailed(w, r, "The start was cancelled, because somebody stopped the server.")
	}
	return nil
}

// startFailed tells why a server is not there. It is 500, as in JupyterHub, but no fault of the hub's, so it is not logged as one: the hub has done so.
func startFailed(w http.ResponseWriter, r *http.Request, message string) {
	httpd.RenderJSON(w, r, httpd.Problem{
		Status: http.StatusInternalServerError, Message: message, RequestID: middleware.GetReqID(r.Context()),
	})
}

// stopBody is the body of a DELETE, which few clients send.
type stopBody struct {
	Remove bool `json:"remove"`
}

// stopServer answers 204 if the server is gone in time or did not run, and 202 if it is still going.
func (a *API) stopServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	body, err := httpd.DecodeLenient[stopBody](r)
	if err != nil {
		return err
	}
	before, err := a.server(r.Context(), t)
	if err != nil && t.server != "" && !a.hub.Limits().AllowNamed {
		return hub.Errorf(hub.Invalid, "Named servers are not switched on at this hub.")
	}
	if err != nil {
		return err
	}
	if body.Remove {
		httpd.Note(r, "remove", true)
	}
	s, err := a.hub.StopSeen(r.Context(), before, body.Remove)
	if err != nil {
		return err
	}
	switch {
	case isStopped(s):
		empty(w, http.StatusNoContent)
	case before.State == hub.Stopping: // somebody waits for it already
		empty(w, http.StatusAccepted)
	default:
		return a.awaitStop(w, r, s)
	}
	return nil
}

// awaitStop waits for a server to be gone, within SlowStop. One that somebody has started anew meanwhile was gone.
func (a *API) awaitStop(w http.ResponseWriter, r *http.Request, s hub.Server) error {
	httpd.Done(r)
	wait, cancel := context.WithTimeout(r.Context(), a.opts.SlowStop)
	defer cancel()
	_, err := a.hub.AwaitSeen(wait, s, func(now hub.Server) bool { return isStopped(now) || now.Generation != s.Generation })
	switch {
	case err == nil:
		empty(w, http.StatusNoContent)
	case errors.Is(wait.Err(), context.DeadlineExceeded) && r.Context().Err() == nil:
		empty(w, http.StatusAccepted)
	default:
		return err
	}
	return nil
}

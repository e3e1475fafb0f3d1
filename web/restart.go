package web

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
)

// mountRunning adds what is done with a server that runs.
func (h *Web) mountRunning(r chi.Router) {
	for _, target := range []string{"/{user}", "/{user}/{server}"} {
		read(r, "/restart"+target, h.do(h.restart))
		r.Post("/restart"+target, h.do(h.postRestart))
		r.Post("/move"+target, h.do(h.move))
		r.Post("/keep"+target, h.do(h.keep))
		read(r, "/server"+target, h.do(h.details))
	}
}

// restart shows the choice while a server runs. One that does not run is started the usual way.
func (h *Web) restart(w http.ResponseWriter, r *http.Request) error {
	user, s, err := h.targetServer(r)
	if err != nil {
		return err
	}
	if s.State != hub.Ready {
		redirect(w, withNext(h.urls.Spawn(user.Name, s.Name), h.next(r)), http.StatusFound)
		return nil
	}
	forms, err := h.hub.Forms(r.Context(), user.Name, s.Name)
	if err != nil {
		return err
	}
	return h.showForm(w, r, http.StatusOK, s, forms, choicesOf(s.Options).with(choicesIn(r.URL.Query())), "")
}

// postRestart stops the server and starts it again with what was chosen.
func (h *Web) postRestart(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	options, err := sentOptions(r)
	if err != nil {
		return err
	}
	_, err = h.hub.RestartServer(r.Context(), hub.StartRequest{User: user.Name, Server: name, Options: options, Queue: true})
	if hub.KindOf(err) == hub.Invalid {
		return h.askAgain(w, r, user, name, options, err)
	}
	if err != nil {
		return err
	}
	redirect(w, withNext(h.urls.SpawnPending(user.Name, name), h.next(r)), http.StatusSeeOther)
	return nil
}

// move has the server go on elsewhere as it is; see [hub.Hub.MoveServer].
func (h *Web) move(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return err
	}
	if _, err := h.hub.MoveServer(r.Context(), user.Name, name); err != nil {
		return err
	}
	redirect(w, h.urls.SpawnPending(user.Name, name), http.StatusSeeOther)
	return nil
}

// keep holds off a stop for idleness.
func (h *Web) keep(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return err
	}
	if _, err := h.hub.KeepServer(r.Context(), user.Name, name); err != nil {
		return err
	}
	to := h.next(r)
	if to == "" {
		to = h.urls.Home()
	}
	h.lead(w, to, http.StatusSeeOther)
	return nil
}

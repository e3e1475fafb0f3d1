package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountKeep adds what an owner can do against a stop for idleness.
func (a *API) mountKeep(r chi.Router) {
	for _, path := range serverPaths {
		r.With(a.need(onServer("servers", "start:servers"))).Post(path+"/keep", a.do(a.keepServer))
	}
}

// keepServer holds off a stop for idleness.
func (a *API) keepServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	if _, err := a.server(r.Context(), t); err != nil {
		return err
	}
	s, err := a.hub.KeepServer(r.Context(), t.user.Name, t.server)
	if hub.KindOf(err) == hub.Conflict {
		return asInvalid(err)
	}
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, map[string]any{"keep_until": timestamp(s.KeepUntil)})
}

// failureView is why a server's last run ended, if not by its user's wish. It is not JupyterHub's.
type failureView struct {
	Message  string   `json:"message"`
	Cause    string   `json:"cause,omitempty"`
	Time     any      `json:"time"`
	Evidence []string `json:"evidence,omitempty"` // what a stop by the hub itself was decided by
}

package api

import (
	"net/http"
	"os"
	"runtime"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountRoot lists what nobody needs credentials for. A single-user server asks the root before it begins, and gives up if it gets no answer.
func (a *API) mountRoot(r chi.Router) {
	r.Get("/", a.do(a.root))
	r.Get("/health", a.do(a.health))
	r.Head("/health", a.do(a.health))
}

func (a *API) mountInfo(r chi.Router) {
	r.With(a.need(anywhere("read:hub"))).Get("/info", a.do(a.info))
}

func (a *API) root(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return httpd.JSON(w, http.StatusOK, map[string]string{"version": hub.Version})
}

func (a *API) health(w http.ResponseWriter, _ *http.Request) error {
	empty(w, http.StatusOK)
	return nil
}

// Info is what /info tells of this hub's parts.
type Info struct {
	Version       string // of NomadHub
	Spawner       Part   // how servers are run
	Authenticator Part   // how people log in
}

// Part is one exchangeable part of the hub.
type Part struct {
	Class   string `json:"class"`
	Version string `json:"version"`
}

// info has JupyterHub's keys. There is no Python here; the key says what runs instead.
func (a *API) info(w http.ResponseWriter, _ *http.Request) error {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	return httpd.JSON(w, http.StatusOK, map[string]any{
		"version": hub.Version, "nomadhub_version": a.opts.Info.Version,
		"python": runtime.Version(), "sys_executable": executable,
		"spawner": a.opts.Info.Spawner, "authenticator": a.opts.Info.Authenticator,
	})
}

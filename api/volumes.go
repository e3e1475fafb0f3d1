package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Volumes are no part of JupyterHub's API. Administrators see and change all; a user sees those that their servers mount, and gives up or takes back their own.
func (a *API) mountVolumes(r chi.Router) {
	r.With(a.need(anywhere("admin:servers"))).Get("/volumes", a.do(a.listVolumes))
	r.With(a.need(anywhere("admin:servers"))).Get("/volumes/{volume}", a.do(a.getVolume))
	r.With(a.need(anywhere("admin:servers"))).Patch("/volumes/{volume}", a.do(a.changeVolume))
	r.With(a.need(anywhere("admin:servers"))).Delete("/volumes/{volume}", a.do(a.deleteVolume))
	r.With(a.need(anywhere("admin:servers"))).Post("/volumes/{volume}/restore", a.do(a.restoreVolume))
	r.With(a.need(anywhere("admin:servers"))).Post("/volumes/{volume}/keep", a.do(a.keepVolume))

	r.With(a.need(onUser("read:servers"))).Get("/users/{name}/volumes", a.do(a.listUserVolumes))
	r.With(a.need(onUser("read:servers"))).Get("/users/{name}/volumes/{volume}", a.do(a.getUserVolume))
	r.With(a.need(onUser("delete:servers"))).Delete("/users/{name}/volumes/{volume}", a.do(a.deleteUserVolume))
	r.With(a.need(onUser("servers"))).Post("/users/{name}/volumes/{volume}/restore", a.do(a.restoreUserVolume))
}

// viewVolume shows a volume.
func viewVolume(v hub.VolumeInfo) map[string]any {
	uses := []any{}
	for _, use := range v.Uses {
		uses = append(uses, map[string]any{"user": use.UserName, "server": use.ServerName, "active": use.Active})
	}
	m := map[string]any{
		"kind": "volume", "id": v.ID, "name": v.Name, "profile": orNull(v.Profile), "type": string(v.Kind), "share": string(v.Share),
		"user": orNull(v.UserName), "server": nil, "group": orNull(v.Group),
		"state": string(v.State), "node": orNull(v.Node), "source": orNull(v.Source), "capacity_mb": nil,
		"retain": string(v.Retain), "grace_seconds": int64(v.Grace.Seconds()), "fate": v.Fate(), "note": orNull(v.Note),
		"created": timestamp(v.Created), "last_used": timestamp(v.LastUsed), "released": timestamp(v.Released), "delete_after": timestamp(v.DeleteAfter),
		"used_by": uses,
	}
	if v.CapacityMB > 0 {
		m["capacity_mb"] = v.CapacityMB
	}
	if v.Share == "server" {
		m["server"] = v.ServerName
	}
	return m
}

// volumeStates are what the parameter state may be; "live" are those that servers may use.
func volumeStates(r *http.Request) ([]hub.VolumeState, error) {
	switch state := hub.VolumeState(r.URL.Query().Get("state")); state {
	case "":
		return nil, nil
	case "live":
		return []hub.VolumeState{hub.VolumeMaking, hub.VolumeReady}, nil
	case hub.VolumeMaking, hub.VolumeReady, hub.VolumeReleased, hub.VolumeDeleting:
		return []hub.VolumeState{state}, nil
	}
	return nil, hub.Errorf(hub.Invalid, "The parameter state must be live, making, ready, released or deleting.")
}

func (a *API) listVolumes(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	q := hub.VolumeQuery{Offset: p.offset, Limit: p.limit}
	if q.States, err = volumeStates(r); err != nil {
		return err
	}
	list, total, err := a.hub.Volumes(r.Context(), q)
	if err != nil {
		return err
	}
	return p.write(w, r, a.urls, viewVolumes(list), total)
}

func viewVolumes(list []hub.VolumeInfo) []any {
	items := make([]any, 0, len(list))
	for _, v := range list {
		items = append(items, viewVolume(v))
	}
	return items
}

// answerVolume shows what became of a volume, 202 while its deletion is under way.
func answerVolume(w http.ResponseWriter, v hub.VolumeInfo, err error) error {
	if err != nil {
		return err
	}
	status := http.StatusOK
	if v.State == hub.VolumeDeleting {
		status = http.StatusAccepted
	}
	return httpd.JSON(w, status, viewVolume(v))
}

func (a *API) getVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	v, err := a.hub.Volume(r.Context(), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, viewVolume(v))
}

// volumeBody is what an administrator may change.
type volumeBody struct {
	User   *string `json:"user"`
	Server *string `json:"server"`
	Name   *string `json:"name"`
}

func (a *API) changeVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	body, err := httpd.Decode[volumeBody](r)
	if err != nil {
		return err
	}
	if body == (volumeBody{}) {
		return hub.Errorf(hub.Invalid, "Say what to change: user, server or name.")
	}
	v, err := a.hub.ChangeVolume(r.Context(), id, hub.VolumeChange{Owner: body.User, Server: body.Server, Name: body.Name})
	return answerVolume(w, v, err)
}

// deleteBody is the body of a DELETE, which few clients send.
type deleteBody struct {
	Now bool `json:"now"`
}

func (a *API) deleteVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	body, err := httpd.DecodeLenient[deleteBody](r)
	if err != nil {
		return err
	}
	v, err := a.hub.DeleteVolume(r.Context(), id, body.Now)
	return answerVolume(w, v, err)
}

func (a *API) restoreVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	v, err := a.hub.RestoreVolume(r.Context(), id)
	return answerVolume(w, v, err)
}

func (a *API) keepVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	v, err := a.hub.KeepVolume(r.Context(), id)
	return answerVolume(w, v, err)
}

func (a *API) listUserVolumes(w http.ResponseWriter, r *http.Request) error {
	list, err := a.hub.VolumesOf(r.Context(), targetOf(r).user)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, viewVolumes(list))
}

// userVolume finds the volume of the path among those that the user's servers mount; with own, only among the user's own.
func (a *API) userVolume(r *http.Request, own bool) (hub.VolumeInfo, error) {
	u := targetOf(r).user
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return hub.VolumeInfo{}, err
	}
	list, err := a.hub.VolumesOf(r.Context(), u)
	if err != nil {
		return hub.VolumeInfo{}, err
	}
	for _, v := range list {
		if v.ID != id {
			continue
		}
		if own && v.UserID != u.ID {
			return v, hub.Errorf(hub.Forbidden, "The volume is shared. Only an administrator may do this to it.")
		}
		return v, nil
	}
	return hub.VolumeInfo{}, errHidden
}

func (a *API) getUserVolume(w http.ResponseWriter, r *http.Request) error {
	v, err := a.userVolume(r, false)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, viewVolume(v))
}

// deleteUserVolume gives a volume up. That a user deletes files at once, so that nobody can take them back, is for administrators.
func (a *API) deleteUserVolume(w http.ResponseWriter, r *http.Request) error {
	v, err := a.userVolume(r, true)
	if err != nil {
		return err
	}
	v, err = a.hub.DeleteVolume(r.Context(), v.ID, false)
	return answerVolume(w, v, err)
}

func (a *API) restoreUserVolume(w http.ResponseWriter, r *http.Request) error {
	v, err := a.userVolume(r, true)
	if err != nil {
		return err
	}
	v, err = a.hub.RestoreVolume(r.Context(), v.ID)
	return answerVolume(w, v, err)
}

package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountAdminVolumes adds the pages on which administrators look after the places of files, those of deleted users included.
func (h *Web) mountAdminVolumes(r chi.Router) {
	r.Use(h.need(scopeAdminServer))
	read(r, "/admin/volumes", h.do(h.adminVolumes))
	read(r, "/admin/volumes/{volume}", h.do(h.adminVolume))
	r.Post("/admin/volumes/{volume}/{action}", h.do(h.changeVolume))
}

func (h *Web) volumesURL() string { return h.urls.Hub() + "admin/volumes" }

// volumesPerPage is how many volumes are listed at once.
const volumesPerPage = 50

// volumesView is the list of volumes.
type volumesView struct {
	chrome
	Tabs               []tab
	ListURL            string
	Show, Owner        string // which are wanted
	NoOwner            bool   // there is no user of that name
	Volumes            []adminVolume
	Total, From, To    int
	Previous, NextPage string
	HasFilters         bool
}

// adminVolume is one volume as administrators see it.
type adminVolume struct {
	volumeView
	ID, URL   string
	Kind      string
	Profile   string // that it was made for
	Source    string // what the cluster calls it
	State     string // as a person says it
	Given     bool   // up, and not being deleted yet
	Live      bool
	Timed     bool // it will be deleted by itself
	Released  moment
	Deletion  moment
	Servers   []string // that mount it
	InUse     bool     // by one that is active
	OwnerName string
	OwnerGone bool // the user was deleted
}

// volumeStates are the choices of the list.
func volumeStates(show string) []hub.VolumeState {
	switch show {
	case "live":
		return []hub.VolumeState{hub.VolumeMaking, hub.VolumeReady}
	case "released":
		return []hub.VolumeState{hub.VolumeReleased}
	case "deleting":
		return []hub.VolumeState{hub.VolumeDeleting}
	}
	return nil
}

func (h *Web) adminVolumes(w http.ResponseWriter, r *http.Request) error {
	v := volumesView{
		chrome: h.chrome(w, r, "Volumes", "admin"), Tabs: h.tabs(httpd.Principal(r), h.volumesURL()), ListURL: h.volumesURL(),
		Show: r.FormValue("show"), Owner: r.FormValue("owner"),
	}
	v.HasFilters = v.Show != "" || v.Owner != ""
	q := hub.VolumeQuery{States: volumeStates(v.Show), Limit: volumesPerPage}
	if n, err := strconv.Atoi(r.FormValue("offset")); err == nil && n > 0 {
		q.Offset = n
	}
	if v.Owner != "" {
		u, err := h.hub.UserByName(r.Context(), v.Owner)
		if v.NoOwner = hub.KindOf(err) == hub.NotFound; err != nil && !v.NoOwner {
			return err
		}
		q.UserID = u.ID
	}
	if !v.NoOwner {
		if err := h.fillVolumes(r, q, &v); err != nil {
			return err
		}
	}
	return h.show(w, http.StatusOK, "volumes", v)
}

func (h *Web) fillVolumes(r *http.Request, q hub.VolumeQuery, v *volumesView) error {
	list, total, err := h.hub.Volumes(r.Context(), q)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, info := range list {
		v.Volumes = append(v.Volumes, h.viewAdminVolume(info, now))
	}
	v.Total = total
	if len(list) > 0 {
		v.From, v.To = q.Offset+1, q.Offset+len(list)
	}
	if q.Offset > 0 {
		v.Previous = v.pageURL(max(0, q.Offset-volumesPerPage))
	}
	if q.Offset+len(list) < total {
		v.NextPage = v.pageURL(q.Offset + volumesPerPage)
	}
	return nil
}

func (v *volumesView) pageURL(offset int) string {
	return v.ListURL + "?" + url.Values{"show": {v.Show}, "owner": {v.Owner}, "offset": {strconv.Itoa(offset)}}.Encode()
}

func (h *Web) viewAdminVolume(v hub.VolumeInfo, now time.Time) adminVolume {
	view := adminVolume{
		volumeView: viewVolume(v.Volume, now), ID: v.ID, URL: h.volumesURL() + "/" + hub.EscapePath(v.ID), Kind: string(v.Kind), Profile: v.Profile, Source: v.Source,
		Given: v.State == hub.VolumeReleased, Live: v.Live(), Timed: v.State == hub.VolumeReleased && !v.DeleteAfter.IsZero(),
		Released: when(v.Released, now), Deletion: when(v.DeleteAfter, now), OwnerName: v.UserName,
		State: map[hub.VolumeState]string{
			hub.VolumeMaking: "being made", hub.VolumeReady: "ready", hub.VolumeReleased: "given up", hub.VolumeDeleting: "being deleted",
		}[v.State],
	}
	if v.ServerName != "" {
		view.Whose = "of the server " + v.ServerName + " of " + v.UserName
	} else if v.UserID != "" {
		view.Whose = "of " + v.UserName
	}
	for _, use := range v.Uses {
		name := use.UserName
		if use.ServerName != "" {
			name += ": " + use.ServerName
		}
		if use.Active {
			name += " (active)"
			view.InUse = true
		}
		view.Servers = append(view.Servers, name)
	}
	return view
}

// volumePage is one volume, with what can be done about it.
type volumePage struct {
	chrome
	Volume  adminVolume
	ListURL string
	Problem string // why something was not done
	Typed   string // the name of a user to whom it was to be given
}

func (h *Web) adminVolume(w http.ResponseWriter, r *http.Request) error {
	return h.showVolume(w, r, http.StatusOK, volumePage{})
}

func (h *Web) showVolume(w http.ResponseWriter, r *http.Request, status int, page volumePage) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	v, err := h.hub.Volume(r.Context(), id)
	if err != nil {
		return err
	}
	page.chrome, page.Volume, page.ListURL = h.chrome(w, r, "Volume "+v.Name, "admin"), h.viewAdminVolume(v, time.Now()), h.volumesURL()
	if v.UserID != "" {
		u, err := h.hub.UserByName(r.Context(), v.UserName)
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
		page.Volume.OwnerGone = u.ID != v.UserID // also if somebody else has the name now
	}
	return h.show(w, status, "volume", page)
}

func (h *Web) changeVolume(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "volume")
	if err != nil {
		return err
	}
	action, owner := chi.URLParam(r, "action"), r.PostFormValue("owner")
	httpd.Note(r, "action", action)
	var v hub.VolumeInfo
	switch action {
	case "restore":
		v, err = h.hub.RestoreVolume(r.Context(), id)
	case "keep":
		v, err = h.hub.KeepVolume(r.Context(), id)
	case "give":
		v, err = h.hub.ChangeVolume(r.Context(), id, hub.VolumeChange{Owner: &owner})
	case "release":
		v, err = h.hub.DeleteVolume(r.Context(), id, false)
	case "delete":
		if r.PostFormValue("sure") == "" {
			return h.showVolume(w, r, http.StatusBadRequest, volumePage{Problem: "Say that you are sure: files that are deleted cannot be taken back."})
		}
		v, err = h.hub.DeleteVolume(r.Context(), id, true)
	default:
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	if message, ok := sentence(err); ok && hub.KindOf(err) != hub.NotFound {
		return h.showVolume(w, r, http.StatusBadRequest, volumePage{Problem: message, Typed: owner})
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "volume changed by an administrator", "volume_id", v.ID, "volume", v.Name, "action", action, "by", httpd.Principal(r).User.Name)
	to := h.volumesURL() + "/" + hub.EscapePath(id)
	if action == "delete" {
		to = h.volumesURL() // its own page is about to go
	}
	redirect(w, to, http.StatusSeeOther)
	return nil
}

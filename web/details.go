package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// detailsView is all that there is to see of one server: for its owner and for administrators.
type detailsView struct {
	chrome
	Server     serverView
	Heading    string
	Facts      []fact
	Volumes    []volumeView
	History    []happening
	RestartURL string // "" if there is nothing to choose
	LogURL     string // of the API, with a query begun; "" if the server never ran
	UsageURL   string // the event stream; "" if it does not run
}

type fact struct{ Name, Value string }

type happening struct {
	At      moment
	Message string
}

// volumeView is a place for files as its user sees it.
type volumeView struct {
	Name     string
	Whose    string
	Size     string
	Machine  string // that it binds its servers to; "" if none
	Fate     string
	Note     string
	LastUsed moment
}

// clusterPatience is how long a page waits for what the cluster tells.
const clusterPatience = 2 * time.Second

// maxHappenings bounds the history that a page shows.
const maxHappenings = 200

func (h *Web) details(w http.ResponseWriter, r *http.Request) error {
	user, s, err := h.targetServer(r)
	if err != nil {
		return err
	}
	forms, err := h.hub.Forms(r.Context(), user.Name, s.Name)
	if err != nil {
		return err
	}
	now := time.Now()
	v := detailsView{Server: h.viewServer(s, now), Heading: headingOf(s, own(httpd.Principal(r), user.Name)), Facts: factsAbout(s)}
	v.chrome = h.chrome(w, r, v.Heading, "")
	if choosable(forms) {
		v.RestartURL = v.Server.RestartURL
	}
	if s.ID != "" {
		token := "?_xsrf=" + url.QueryEscape(v.XSRF)
		at := h.urls.APIServer(s.UserName, s.Name)
		v.LogURL = at + "/log" + token
		if s.State == hub.Ready {
			v.UsageURL = at + "/usage" + token
		}
		v.History = h.history(r, s, now)
	}
	if v.Volumes, err = h.volumes(r, user, s, now); err != nil {
		return err
	}
	return h.show(w, http.StatusOK, "server", v)
}

func headingOf(s hub.Server, own bool) string {
	switch {
	case s.Name != "" && own:
		return "Server " + s.Name
	case s.Name != "":
		return "Server " + s.Name + " of " + s.UserName
	case own:
		return "My server"
	}
	return "Server of " + s.UserName
}

// factsAbout are what a run holds, and where.
func factsAbout(s hub.Server) []fact {
	var facts []fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{name, value})
		}
	}
	add("Profile", s.Profile)
	held := s.Held
	if held == nil {
		return facts
	}
	if held.Cores > 0 {
		add("Processor", counted(held.Cores, "core"))
	} else if held.CPU > 0 {
		add("Processor", strconv.Itoa(held.CPU)+" MHz")
	}
	if held.MemoryMB > 0 {
		add("Memory", scheduler.Megabytes(held.MemoryMB))
	}
	var devices []string
	for name, n := range held.Devices {
		devices = append(devices, strconv.Itoa(n)+" × "+name)
	}
	add("Devices", strings.Join(devices, ", "))
	add("Image", held.Image)
	add("Pool", held.Pool)
	add("Machine", held.Node)
	return facts
}

// history is what the cluster remembers, newest first; what it does not tell soon is left out.
func (h *Web) history(r *http.Request, s hub.Server, now time.Time) []happening {
	ctx, cancel := context.WithTimeout(r.Context(), clusterPatience)
	defer cancel()
	events, err := h.hub.History(ctx, s.UserName, s.Name)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		h.log.WarnContext(r.Context(), "no history for a page", "server_id", s.ID, "err", err)
	}
	var all []happening
	for i := len(events) - 1; i >= 0 && len(all) < maxHappenings; i-- {
		if events[i].Message != "" {
			all = append(all, happening{when(events[i].Time, now), events[i].Message})
		}
	}
	return all
}

// volumes are the places for files that the user's servers see.
func (h *Web) volumes(r *http.Request, user hub.User, s hub.Server, now time.Time) ([]volumeView, error) {
	list, err := h.hub.VolumesOf(r.Context(), user)
	if err != nil {
		return nil, err
	}
	var views []volumeView
	for _, v := range list {
		if v.ServerName != "" && v.ServerName != s.Name {
			continue
		}
		views = append(views, viewVolume(v.Volume, now))
	}
	return views, nil
}

func viewVolume(v hub.Volume, now time.Time) volumeView {
	view := volumeView{Name: v.Name, Whose: whose(v), Machine: v.Node, Fate: v.Fate(), Note: v.Note, LastUsed: when(v.LastUsed, now)}
	if v.CapacityMB > 0 {
		view.Size = scheduler.Megabytes(v.CapacityMB)
	}
	return view
}

func whose(v hub.Volume) string {
	switch {
	case v.Group != "":
		return "of the group " + v.Group
	case v.UserID == "":
		return "of everybody"
	case v.ServerName != "":
		return "of this server"
	}
	return "of all servers of " + v.UserName
}

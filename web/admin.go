package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountAdmin adds the pages of administrators.
func (h *Web) mountAdmin(r chi.Router) {
	r.Group(func(r chi.Router) {
		r.Use(h.need(scopeAdminUI))
		read(r, "/admin", h.do(h.admin))
		r.Post("/admin/users", h.do(h.addUser))
		read(r, "/admin/users/{user}/delete", h.do(h.confirmDelete))
		r.Post("/admin/users/{user}/delete", h.do(h.deleteUser))
		r.Post("/admin/users/{user}/admin", h.do(h.setAdmin))
		r.Group(h.mountAdminVolumes)
		r.Group(h.mountAdminGroups)
	})
}

// need lets only those pass who hold the scope on everything.
func (h *Web) need(name string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return h.do(func(w http.ResponseWriter, r *http.Request) error {
			if !httpd.Principal(r).Can(name, everything) {
				return hub.Errorf(hub.Forbidden, "This page is for administrators.")
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}

// usersPerPage is how many users the administration lists at once.
const usersPerPage = 50

// adminView is the list of users with their servers.
type adminView struct {
	chrome
	Query      string
	Show       string // "": all users; "active": those with a server up
	Users      []userView
	Total      int
	From, To   int // which of Total are shown, counted from 1
	Previous   string
	NextPage   string
	Problem    string // why a user was not added
	Typed      string
	CanEdit    bool // users
	Tabs       []tab
	AddURL     string
	SearchURL  string
	ServersUp  int
	Live       bool
	HasFilters bool
}

type userView struct {
	Name         string
	Admin        bool
	Self         bool
	LastActivity moment
	Created      moment
	Servers      []serverView
	Busy         bool // a server is active, so the user cannot be deleted
	AdminURL     string
	DeleteURL    string
}

func (h *Web) admin(w http.ResponseWriter, r *http.Request) error {
	return h.showAdmin(w, r, http.StatusOK, adminView{})
}

func (h *Web) showAdmin(w http.ResponseWriter, r *http.Request, status int, v adminView) error {
	p := httpd.Principal(r)
	for _, needed := range []string{scopeListUsers, scopeReadUsers, scopeReadServers} { // the page shows all of it
		if !p.Can(needed, everything) {
			return hub.Errorf(hub.Forbidden, "You may not see the list of users with their servers.")
		}
	}
	v.chrome = h.chrome(w, r, "Administration", "admin")
	v.SearchURL, v.AddURL, v.CanEdit = h.urls.Hub()+"admin", h.urls.Hub()+"admin/users", p.Can(scopeAdminUsers, everything)
	v.Tabs = h.tabs(p, v.SearchURL)
	v.Query, v.Show = strings.TrimSpace(r.FormValue("q")), r.FormValue("show")
	v.HasFilters = v.Query != "" || v.Show != ""
	offset, err := strconv.Atoi(r.FormValue("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	q := hub.UserQuery{NameContains: v.Query, Sort: hub.SortByName, Offset: offset, Limit: usersPerPage}
	if v.Show == "active" {
		q.Activity = hub.ActiveServers
	}
	if err := h.fillAdmin(r, q, &v); err != nil {
		return err
	}
	if v.Live {
		v.Refresh = refreshSeconds
	}
	return h.show(w, status, "admin", v)
}

func (h *Web) fillAdmin(r *http.Request, q hub.UserQuery, v *adminView) error {
	users, total, err := h.hub.Users(r.Context(), q)
	if err != nil {
		return err
	}
	_, up, err := h.hub.Servers(r.Context(), hub.ServerQuery{States: []hub.ServerState{hub.Starting, hub.Ready, hub.Stopping}, Limit: 1})
	if err != nil {
		return err
	}
	servers, err := h.serversOf(r, users)
	if err != nil {
		return err
	}
	v.Total, v.ServersUp = total, up
	if len(users) > 0 {
		v.From, v.To = q.Offset+1, q.Offset+len(users)
	}
	if q.Offset > 0 {
		v.Previous = v.pageURL(max(0, q.Offset-usersPerPage))
	}
	if q.Offset+len(users) < total {
		v.NextPage = v.pageURL(q.Offset + usersPerPage)
	}
	now, here := time.Now(), v.pageURL(q.Offset)
	for _, u := range users {
		v.Users = append(v.Users, h.viewUser(u, servers[u.ID], here, httpd.Principal(r), now))
		v.Live = v.Live || hasPending(servers[u.ID])
	}
	return nil
}

// pageURL is the list, searched as now, from an offset on.
func (v *adminView) pageURL(offset int) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": v.Query, "show": v.Show} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if offset > 0 {
		q.Set("offset", strconv.Itoa(offset))
	}
	if len(q) == 0 {
		return v.SearchURL
	}
	return v.SearchURL + "?" + q.Encode()
}

func (h *Web) serversOf(r *http.Request, users []hub.User) (map[string][]hub.Server, error) {
	of := map[string][]hub.Server{}
	ids := make([]string, 0, len(users))
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	if len(ids) == 0 {
		return of, nil
	}
	servers, _, err := h.hub.Servers(r.Context(), hub.ServerQuery{UserIDs: ids, Limit: usersPerPage * maxShown})
	for _, s := range servers {
		of[s.UserID] = append(of[s.UserID], s)
	}
	return of, err
}

func hasPending(servers []hub.Server) bool {
	for _, s := range servers {
		if s.Pending() != "" {
			return true
		}
	}
	return false
}

func (h *Web) viewUser(u hub.User, servers []hub.Server, here string, p hub.Principal, now time.Time) userView {
	at := h.urls.Hub() + "admin/users/" + hub.EscapePath(u.Name)
	v := userView{
		Name: u.Name, Admin: u.Admin, Self: u.ID == p.User.ID, LastActivity: when(u.LastActivity, now), Created: when(u.Created, now),
		AdminURL: withNext(at+"/admin", here), DeleteURL: at + "/delete",
	}
	hasDefault := false
	for _, s := range servers {
		hasDefault = hasDefault || s.Name == ""
		v.Busy = v.Busy || s.Active()
	}
	if !hasDefault {
		servers = append([]hub.Server{{UserName: u.Name, State: hub.Stopped}}, servers...)
	}
	for _, s := range servers {
		sv := h.viewServer(s, now)
		sv.StopURL, sv.StartURL = withNext(sv.StopURL, here), withNext(sv.StartURL, here) // administrators go on with the list, not with the server
		v.Servers = append(v.Servers, sv)
	}
	return v
}

// sentence returns what an error of the person's own making says.
func sentence(err error) (string, bool) {
	he, ok := errors.AsType[*hub.Error](err)
	if !ok || he.Kind == hub.Internal || he.Kind == hub.Unavailable {
		return "", false
	}
	return he.Message, true
}

func (h *Web) addUser(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	name, admin := r.PostFormValue("name"), r.PostFormValue("admin") != ""
	if !p.Can(scopeAdminUsers, everything) || admin && !p.User.Admin {
		return hub.Errorf(hub.Forbidden, "You may not add such a user.")
	}
	httpd.Did(r, "user.create", "user/"+hub.NormalizeUserName(name))
	httpd.Note(r, "admin", admin)
	u, err := h.hub.CreateUser(r.Context(), name, admin)
	if message, ok := sentence(err); ok {
		return h.showAdmin(w, r, http.StatusBadRequest, adminView{Problem: message, Typed: name})
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "user added", "user", u.Name, "admin", admin, "by", p.User.Name)
	redirect(w, h.urls.Hub()+"admin?q="+url.QueryEscape(u.Name), http.StatusSeeOther)
	return nil
}

// subject finds the user whom an administrator is about to change. Administrators are changed by administrators only, and nobody changes themselves: the last one
// could lock the door from outside.
func (h *Web) subject(r *http.Request, need string) (hub.User, error) {
	p := httpd.Principal(r)
	name, err := httpd.Param(r, "user")
	if err != nil {
		return hub.User{}, err
	}
	u, err := h.hub.UserByName(r.Context(), name)
	httpd.Concerns(r, u)
	switch {
	case err != nil:
		return hub.User{}, err
	case !p.Can(need, scope.User(u.Name, u.Groups...)) || u.Admin && !p.User.Admin:
		return hub.User{}, hub.Errorf(hub.Forbidden, "You may not change this user.")
	case u.ID == p.User.ID:
		return hub.User{}, hub.Errorf(hub.Invalid, "You cannot do this to yourself. Ask another administrator.")
	}
	return u, nil
}

func (h *Web) setAdmin(w http.ResponseWriter, r *http.Request) error {
	u, err := h.subject(r, scopeAdminUsers)
	if err != nil {
		return err
	}
	admin := r.PostFormValue("admin") != ""
	if admin && !httpd.Principal(r).User.Admin {
		return hub.Errorf(hub.Forbidden, "Only administrators can make others administrators.")
	}
	httpd.Note(r, "admin", admin)
	if _, err := h.hub.SetAdmin(r.Context(), u.Name, admin); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "administrator changed", "user", u.Name, "admin", admin, "by", httpd.Principal(r).User.Name)
	return h.backToAdmin(w, r)
}

// deleteView asks before a user is deleted.
type deleteView struct {
	chrome
	Name    string
	Action  string
	Back    string
	Volumes []hub.VolumeInfo // the user's own
}

func (h *Web) confirmDelete(w http.ResponseWriter, r *http.Request) error {
	u, err := h.subject(r, scopeDeleteUsers)
	if err != nil {
		return err
	}
	volumes, err := h.hub.VolumesOf(r.Context(), u)
	if err != nil {
		return err
	}
	return h.show(w, http.StatusOK, "delete", deleteView{
		chrome: h.chrome(w, r, "Delete a user", "admin"), Name: u.Name, Back: h.urls.Hub() + "admin",
		Action:  h.urls.Hub() + "admin/users/" + hub.EscapePath(u.Name) + "/delete",
		Volumes: slices.DeleteFunc(volumes, func(v hub.VolumeInfo) bool { return v.UserID != u.ID }),
	})
}

func (h *Web) deleteUser(w http.ResponseWriter, r *http.Request) error {
	u, err := h.subject(r, scopeDeleteUsers)
	if err != nil {
		return err
	}
	if err := h.hub.DeleteUser(r.Context(), u.Name); err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "user deleted", "user", u.Name, "by", httpd.Principal(r).User.Name)
	return h.backToAdmin(w, r)
}

func (h *Web) backToAdmin(w http.ResponseWriter, r *http.Request) error {
	to := h.next(r)
	if to == "" {
		to = h.urls.Hub() + "admin"
	}
	h.lead(w, to, http.StatusSeeOther)
	return nil
}

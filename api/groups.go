package api

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountGroups(r chi.Router) {
	r.With(a.need(listingGroups("list:groups"))).Get("/groups", a.do(a.listGroups))
	r.With(a.need(anywhere("admin:groups"))).Post("/groups", a.do(a.createGroups))

	r.With(a.need(onGroup("read:groups", "read:groups:name", "read:roles:groups"))).Get("/groups/{group}", a.do(a.getGroup))
	r.With(a.need(onNewGroup("admin:groups"))).Post("/groups/{group}", a.do(a.createGroup))
	r.With(a.need(onGroup("delete:groups"))).Delete("/groups/{group}", a.do(a.deleteGroup))

	r.With(a.need(onGroup("groups"))).Post("/groups/{group}/users", a.do(a.addMembers))
	r.With(a.need(onGroup("groups"))).Delete("/groups/{group}/users", a.do(a.removeMembers))
	r.With(a.need(onGroup("groups"))).Put("/groups/{group}/properties", a.do(a.setProperties))
}

// group shows a group. It is empty if the caller may read nothing of it. Who may read a group may read who its members are, and no more of them than the name.
func (v *viewer) group(g hub.Group, roles []string) map[string]any {
	m, on := map[string]any{}, scope.Group(g.Name)
	if v.scopes.Has("read:groups", on) {
		m["users"], m["properties"] = append([]string{}, g.Users...), options(g.Properties)
	}
	if v.scopes.Has("read:roles:groups", on) {
		m["roles"] = append([]string{}, roles...)
	}
	if len(m) > 0 || v.scopes.Has("read:groups:name", on) {
		m["kind"], m["name"] = "group", g.Name
	}
	return m
}

func (a *API) viewGroup(r *http.Request, g hub.Group) map[string]any {
	return a.viewer(r).group(g, a.hub.Roles().RolesOfGroup(g.Name))
}

func (a *API) listGroups(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	q := hub.GroupQuery{Offset: p.offset, Limit: p.limit}
	if f := httpd.Principal(r).Scopes.Filter("list:groups"); !f.All() {
		q.Names = f.Names(scope.ByGroup)
	}
	switch r.URL.Query().Get("sort") {
	case "", "id":
	case "name":
		q.ByName = true
	default:
		return hub.Errorf(hub.Invalid, "The parameter sort must be id or name.")
	}
	groups, total, err := a.hub.Groups(r.Context(), q)
	if err != nil {
		return err
	}
	items := []any{}
	for _, g := range groups {
		if m := a.viewGroup(r, g); len(m) > 0 {
			items = append(items, m)
		}
	}
	return p.write(w, r, a.urls, items, total)
}

func (a *API) getGroup(w http.ResponseWriter, r *http.Request) error {
	return httpd.JSON(w, http.StatusOK, a.viewGroup(r, targetOf(r).group))
}

// groupBody is what may be said of a group. As in JupyterHub, name and roles may be there and mean nothing: the name is the path's, and roles are configuration.
type groupBody struct {
	Name       string          `json:"name"`
	Users      []string        `json:"users"`
	Roles      []string        `json:"roles"`
	Properties json.RawMessage `json:"properties"`
}

// newGroups is the body of a request for several groups at once.
type newGroups struct {
	groupBody

	Groups []string `json:"groups"`
}

// createGroups makes one group after the other, all with the same users. As in JupyterHub, those before one that exists are made and stay.
func (a *API) createGroups(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[newGroups](r)
	if err != nil {
		return err
	}
	if len(body.Groups) == 0 {
		return hub.Errorf(hub.Invalid, "Name at least one group to create, in groups.")
	}
	for _, name := range body.Groups { // none or all, as far as names go
		if err := hub.ValidateGroupName(name); err != nil {
			return err
		}
	}
	httpd.Note(r, "groups", body.Groups)
	items := []any{}
	for _, name := range body.Groups {
		g, err := a.hub.CreateGroup(r.Context(), name, body.Users, body.Properties)
		if err != nil {
			return err
		}
		items = append(items, a.viewGroup(r, g))
	}
	return httpd.JSON(w, http.StatusCreated, items)
}

func (a *API) createGroup(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[groupBody](r)
	if err != nil {
		return err
	}
	g, err := a.hub.CreateGroup(r.Context(), targetOf(r).group.Name, body.Users, body.Properties)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusCreated, a.viewGroup(r, g))
}

func (a *API) deleteGroup(w http.ResponseWriter, r *http.Request) error {
	err := a.hub.DeleteGroup(r.Context(), targetOf(r).group.Name)
	if err != nil && hub.KindOf(err) != hub.NotFound { // somebody else deleted it at the same moment
		return err
	}
	empty(w, http.StatusNoContent)
	return nil
}

// members decodes the names of users. Without the key it is a mistake, and not an empty list.
func members(r *http.Request) ([]string, error) {
	body, err := httpd.Decode[groupBody](r)
	if err == nil && body.Users == nil {
		err = hub.Errorf(hub.Invalid, "Name the users in the body, as {\"users\": [...]}.")
	}
	return body.Users, err
}

func (a *API) addMembers(w http.ResponseWriter, r *http.Request) error {
	users, err := members(r)
	if err != nil {
		return err
	}
	httpd.Note(r, "users", users)
	g, err := a.hub.AddMembers(r.Context(), targetOf(r).group.Name, users)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, a.viewGroup(r, g))
}

func (a *API) removeMembers(w http.ResponseWriter, r *http.Request) error {
	users, err := members(r)
	if err != nil {
		return err
	}
	httpd.Note(r, "users", users)
	g, err := a.hub.RemoveMembers(r.Context(), targetOf(r).group.Name, users)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, a.viewGroup(r, g))
}

// setProperties replaces all properties by the body.
func (a *API) setProperties(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Body(r)
	if err != nil {
		return err
	}
	g, err := a.hub.SetGroupProperties(r.Context(), targetOf(r).group.Name, body)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, a.viewGroup(r, g))
}

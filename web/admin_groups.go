package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountAdminGroups adds the pages on which administrators look after groups, and those who may manage one look after theirs.
func (h *Web) mountAdminGroups(r chi.Router) {
	r.Use(h.needAny(scopeListGroups))
	read(r, "/admin/groups", h.do(h.adminGroups))
	r.Post("/admin/groups", h.do(h.addGroup))
	read(r, "/admin/groups/{group}", h.do(h.adminGroup))
	r.Post("/admin/groups/{group}/{action}", h.do(h.changeGroup))
}

func (h *Web) groupsURL() string { return h.urls.Hub() + "admin/groups" }

func (h *Web) groupURL(name string) string { return h.groupsURL() + "/" + hub.EscapePath(name) }

// groupsPerPage is how many groups are listed at once, membersPerPage how many members of one.
const (
	groupsPerPage  = 50
	membersPerPage = 100
)

// groupsView is the list of groups.
type groupsView struct {
	chrome
	Tabs               []tab
	ListURL            string
	Groups             []groupLine
	Total, From, To    int
	Previous, NextPage string
	CanAdd             bool
	Problem            string // why a group was not made
	Typed, TypedUsers  string
}

// groupLine is one group of the list.
type groupLine struct {
	Name, URL string
	Members   int
}

func (h *Web) adminGroups(w http.ResponseWriter, r *http.Request) error {
	return h.showGroups(w, r, http.StatusOK, groupsView{})
}

func (h *Web) showGroups(w http.ResponseWriter, r *http.Request, status int, v groupsView) error {
	p := httpd.Principal(r)
	v.chrome, v.Tabs = h.chrome(w, r, "Groups", "admin"), h.tabs(p, h.groupsURL())
	v.ListURL, v.CanAdd = h.groupsURL(), p.Can(scopeAdminGroups, everything)
	q := hub.GroupQuery{ByName: true, Limit: groupsPerPage, Offset: offsetOf(r)}
	if f := p.Scopes.Filter(scopeListGroups); !f.All() {
		q.Names = f.Names(scope.ByGroup)
	}
	groups, total, err := h.hub.Groups(r.Context(), q)
	if err != nil {
		return err
	}
	for _, g := range groups {
		v.Groups = append(v.Groups, groupLine{Name: g.Name, URL: h.groupURL(g.Name), Members: len(g.Users)})
	}
	v.Total = total
	v.From, v.To, v.Previous, v.NextPage = pager(v.ListURL, q.Offset, len(groups), total, groupsPerPage)
	return h.show(w, status, "groups", v)
}

// offsetOf reads from where on a list is wanted; what is no number is the beginning.
func offsetOf(r *http.Request) int {
	n, err := strconv.Atoi(r.FormValue("offset"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// pager tells which entries a page shows, counted from 1, and where those before and after it are.
func pager(at string, offset, shown, total, size int) (from, to int, previous, next string) {
	if shown > 0 {
		from, to = offset+1, offset+shown
	}
	if offset > 0 {
		previous = at + "?offset=" + strconv.Itoa(max(0, offset-size))
	}
	if offset+shown < total && shown > 0 {
		next = at + "?offset=" + strconv.Itoa(offset+shown)
	}
	return from, to, previous, next
}

func (h *Web) addGroup(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	if !p.Can(scopeAdminGroups, everything) {
		return hub.Errorf(hub.Forbidden, "You may not make groups.")
	}
	name, users := strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("users")
	g, err := h.hub.CreateGroup(r.Context(), name, userNames(users), nil)
	if message, ok := sentence(err); ok {
		return h.showGroups(w, r, http.StatusBadRequest, groupsView{Problem: message, Typed: name, TypedUsers: users})
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "group made by an administrator", "group", g.Name, "by", p.User.Name)
	redirect(w, h.groupURL(g.Name), http.StatusSeeOther)
	return nil
}

// userNames takes apart what a person typed or pasted: names with commas or line breaks between them.
func userNames(text string) []string {
	names := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;\r\n\t", r) })
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// groupView is one group, with what can be done about it.
type groupView struct {
	chrome
	Tabs               []tab
	Name, URL, ListURL string
	Members            []string // those of this page
	Total, From, To    int
	Previous, NextPage string
	Properties         string // as JSON
	CanEdit            bool   // members and properties
	CanDelete          bool
	Problem            string // why something was not done
	Typed              string // the names that were to be added
}

func (h *Web) adminGroup(w http.ResponseWriter, r *http.Request) error {
	return h.showGroup(w, r, http.StatusOK, groupView{})
}

// groupOf is the group of the path, if the person holds the scope for it.
func (h *Web) groupOf(r *http.Request, need string) (hub.Group, error) {
	name, err := httpd.Param(r, "group")
	if err != nil {
		return hub.Group{}, err
	}
	if !httpd.Principal(r).Can(need, scope.Group(name)) {
		return hub.Group{}, hub.Errorf(hub.NotFound, "There is no such group, or you may not do this to it.")
	}
	return h.hub.Group(r.Context(), name)
}

func (h *Web) showGroup(w http.ResponseWriter, r *http.Request, status int, v groupView) error {
	g, err := h.groupOf(r, scopeReadGroups)
	if err != nil {
		return err
	}
	p, on := httpd.Principal(r), scope.Group(g.Name)
	v.chrome, v.Tabs = h.chrome(w, r, "Group "+g.Name, "admin"), h.tabs(p, h.groupsURL())
	v.Name, v.URL, v.ListURL = g.Name, h.groupURL(g.Name), h.groupsURL()
	v.CanEdit, v.CanDelete = p.Can(scopeGroups, on), p.Can(scopeDeleteGroups, on)
	offset := min(offsetOf(r), len(g.Users))
	v.Members, v.Total = g.Users[offset:min(offset+membersPerPage, len(g.Users))], len(g.Users)
	v.From, v.To, v.Previous, v.NextPage = pager(v.URL, offset, len(v.Members), v.Total, membersPerPage)
	if v.Properties == "" {
		v.Properties = "{}"
		if g.Properties != nil {
			v.Properties = string(g.Properties)
		}
	}
	return h.show(w, status, "group", v)
}

func (h *Web) changeGroup(w http.ResponseWriter, r *http.Request) error {
	action := chi.URLParam(r, "action")
	need := scopeGroups
	if action == "delete" {
		need = scopeDeleteGroups
	}
	g, err := h.groupOf(r, need)
	if err != nil {
		return err
	}
	noteGroup(r, g.Name, action)
	to, typed := h.groupURL(g.Name), groupView{}
	switch action {
	case "add":
		typed.Typed = r.PostFormValue("users")
		_, err = h.hub.AddMembers(r.Context(), g.Name, userNames(typed.Typed))
	case "remove":
		_, err = h.hub.RemoveMembers(r.Context(), g.Name, []string{r.PostFormValue("user")})
	case "properties":
		typed.Properties = r.PostFormValue("properties")
		_, err = h.hub.SetGroupProperties(r.Context(), g.Name, json.RawMessage(typed.Properties))
	case "delete":
		if to = h.groupsURL(); r.PostFormValue("sure") == "" {
			err = hub.Errorf(hub.Invalid, "Say that you are sure: who belonged to the group is not kept.")
			break
		}
		err = h.hub.DeleteGroup(r.Context(), g.Name)
	default:
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	if message, ok := sentence(err); ok && hub.KindOf(err) != hub.NotFound {
		typed.Problem = message
		return h.showGroup(w, r, http.StatusBadRequest, typed)
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "group changed on its page", "group", g.Name, "action", action, "by", httpd.Principal(r).User.Name)
	redirect(w, to, http.StatusSeeOther)
	return nil
}

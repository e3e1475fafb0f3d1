package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// readsUser are the scopes that each show a part of a user.
var readsUser = onUser("read:users", "read:users:name", "read:servers", "read:users:groups", "read:users:activity", "read:roles:users")

func (a *API) mountUsers(r chi.Router) {
	r.With(a.need(listing("list:users"))).Get("/users", a.do(a.listUsers))
	r.With(a.need(anywhere("admin:users"))).Post("/users", a.do(a.createUsers))

	r.With(a.need(readsUser)).Get("/users/{name}", a.do(a.getUser))
	r.With(a.need(onNewUser("admin:users"))).Post("/users/{name}", a.do(a.createUser))
	r.With(a.need(onUser("admin:users"))).Patch("/users/{name}", a.do(a.changeUser))
	r.With(a.need(onUser("delete:users"))).Delete("/users/{name}", a.do(a.deleteUser))
}

func (a *API) viewer(r *http.Request) *viewer {
	q := r.URL.Query()
	stopped := q.Has("include_stopped_servers")
	switch strings.ToLower(q.Get("include_stopped_servers")) {
	case "0", "false":
		stopped = false
	}
	v := newViewer(httpd.Principal(r).Scopes, a.hub.Roles(), a.urls)
	v.stopped = stopped
	return v
}

func (a *API) listUsers(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	q, err := userQuery(r)
	if err != nil {
		return err
	}
	within := httpd.Principal(r).Scopes.Filter("list:users")
	l := hub.NewListing()
	defer l.Done()
	if err := a.listWithin(r.Context(), l, within, q, p); err != nil {
		return err
	}
	v := a.viewer(r)
	if err := a.listServers(r, v, l, within.All() && q.Adjacent(v.stopped)); err != nil {
		return err
	}
	return write(w, http.StatusOK, func(e writer) {
		p.around(e, r, a.urls, l.Total, func() { v.users(e, l.Users, l) })
	})
}

func userQuery(r *http.Request) (hub.UserQuery, error) {
	v := r.URL.Query()
	q := hub.UserQuery{NameContains: v.Get("name_filter"), Activity: hub.UserServers(v.Get("state"))}
	switch q.Activity {
	case hub.AnyServers, hub.ActiveServers, hub.ReadyServers, hub.InactiveServers:
	default:
		return q, hub.Errorf(hub.Invalid, "The parameter state must be active, inactive or ready.")
	}
	if !v.Has("sort") {
		return q, nil
	}
	var sort string
	sort, q.Descending = strings.CutPrefix(v.Get("sort"), "-")
	switch sort {
	case "id":
	case "name":
		q.Sort = hub.SortByName
	case "last_activity":
		q.Sort = hub.SortByLastActivity
	default:
		return q, hub.Errorf(hub.Invalid, "The parameter sort must be id, name or last_activity, with - before it for the reverse.")
	}
	return q, nil
}

// scanSize is how many users are read at once to find those whom a caller may list.
const scanSize = 500

// listWithin reads one page of the users whom the filter covers. A filter on some users is rare: only tokens that were narrowed on purpose have one. So it
// is applied here, over all users that match, and not in the database.
func (a *API) listWithin(ctx context.Context, l *hub.Listing, f scope.Filter, q hub.UserQuery, p page) error {
	if f.All() {
		q.Offset, q.Limit, q.Uncounted = p.offset, p.limit, !p.told
		return a.hub.ListUsers(ctx, l, q)
	}
	for q.Limit = scanSize; ; q.Offset += scanSize {
		some, all, err := a.hub.Users(ctx, q)
		if err != nil {
			return err
		}
		for _, u := range some {
			if !f.Covers(userObject(u)) {
				continue
			}
			if l.Total++; l.Total > p.offset && len(l.Users) < p.limit {
				l.Users = append(l.Users, u)
			}
		}
		if q.Offset+scanSize >= all {
			return nil
		}
	}
}

func (a *API) getUser(w http.ResponseWriter, r *http.Request) error {
	return a.showUser(w, r, a.viewer(r), targetOf(r).user)
}

// newUsers is the body of a request for several users at once.
type newUsers struct {
	Usernames []string `json:"usernames"`
	Admin     bool     `json:"admin"`
}

func (a *API) createUsers(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[newUsers](r)
	if err != nil {
		return err
	}
	if len(body.Usernames) == 0 {
		return hub.Errorf(hub.Invalid, "Name at least one user to create, in usernames.")
	}
	if body.Admin {
		if err := mayMakeAdmins(r); err != nil {
			return err
		}
	}
	for _, name := range body.Usernames { // all or none, as far as names go
		if err := hub.ValidateUserName(hub.NormalizeUserName(name)); err != nil {
			return err
		}
	}
	httpd.Note(r, "users", body.Usernames)
	httpd.Note(r, "admin", body.Admin)
	var made []hub.User
	for _, name := range body.Usernames {
		u, err := a.hub.CreateUser(r.Context(), name, body.Admin)
		if hub.KindOf(err) == hub.Conflict {
			continue
		}
		if err != nil {
			return err
		}
		made = append(made, u)
	}
	if len(made) == 0 {
		return hub.Errorf(hub.Conflict, "All of these users exist already.")
	}
	return write(w, http.StatusCreated, func(e writer) { a.viewer(r).users(e, made, nil) })
}

// userBody is what may be said of a user. What is not offered here is told apart from what is misspelt.
type userBody struct {
	Name      *string         `json:"name"`
	Admin     *bool           `json:"admin"`
	Groups    *[]string       `json:"groups"`
	Roles     *[]string       `json:"roles"`
	AuthState *map[string]any `json:"auth_state"`
}

// check refuses what cannot be set, rather than answer as if it were.
func (b userBody) check() error {
	switch {
	case b.Groups != nil:
		return hub.Errorf(hub.Invalid, "Groups cannot be set here. Add the user to a group at /groups/NAME/users, or leave it to the way in which they log in.")
	case b.Roles != nil:
		return hub.Errorf(hub.Invalid, "Roles cannot be set here.")
	case b.AuthState != nil:
		return hub.Errorf(hub.Invalid, "This hub keeps no auth_state.")
	}
	return nil
}

// mayMakeAdmins lets only administrators make others so, and only with credentials that hold all that an administrator may do: nobody makes what is more than they are.
func mayMakeAdmins(r *http.Request) error {
	if !httpd.Principal(r).MayMakeAdmins() {
		return hub.Errorf(hub.Forbidden, "Only an administrator can do this to administrators, or make some. A token must not have been narrowed for it.")
	}
	return nil
}

func (a *API) createUser(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	body, err := httpd.Decode[userBody](r)
	if err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	if body.Name != nil && hub.NormalizeUserName(*body.Name) != t.user.Name {
		return hub.Errorf(hub.Invalid, "The body names another user than the address.")
	}
	admin := body.Admin != nil && *body.Admin
	httpd.Note(r, "admin", admin)
	if admin {
		if err := mayMakeAdmins(r); err != nil {
			return err
		}
	}
	u, err := a.hub.CreateUser(r.Context(), t.user.Name, admin)
	if err != nil {
		return err
	}
	return a.viewer(r).writeUser(w, http.StatusCreated, u, nil, nil)
}

func (a *API) changeUser(w http.ResponseWriter, r *http.Request) error {
	u := targetOf(r).user
	body, err := httpd.Decode[*userBody](r)
	if err != nil {
		return err
	}
	if body == nil {
		return hub.Errorf(hub.Invalid, "The body must be an object that says what to change of the user.")
	}
	if err := body.check(); err != nil {
		return err
	}
	if u.Admin || body.Admin != nil && *body.Admin || body.Name != nil && a.hub.NameGivesMore(u, *body.Name) {
		if err := mayMakeAdmins(r); err != nil {
			return err
		}
	}
	if body.Name != nil {
		if u, err = a.hub.RenameUser(r.Context(), u, *body.Name); err != nil {
			return err
		}
	}
	if body.Admin != nil {
		if u, err = a.hub.SetAdmin(r.Context(), u.Name, *body.Admin); err != nil {
			return err
		}
	}
	v := a.viewer(r)
	v.may.authState = v.scopes.Filter("admin:users") // here whoever may change a user may read it
	return a.showUser(w, r, v, u)
}

func (a *API) deleteUser(w http.ResponseWriter, r *http.Request) error {
	u := targetOf(r).user
	if u.ID == httpd.Principal(r).User.ID {
		return hub.Errorf(hub.Invalid, "You cannot delete yourself.")
	}
	if err := a.stopAll(r.Context(), u); err != nil {
		return err
	}
	err := a.hub.DeleteUser(r.Context(), u.Name)
	if hub.KindOf(err) == hub.Conflict {
		return errStillStopping(u)
	}
	if err != nil && hub.KindOf(err) != hub.NotFound { // somebody else deleted them at the same moment
		return err
	}
	empty(w, http.StatusNoContent)
	return nil
}

func errStillStopping(u hub.User) error {
	return hub.Errorf(hub.Invalid, "%s has servers that are still stopping. Delete the user again when they have stopped.", u.Name)
}

// stopAll stops all servers of a user, at once, and waits for them within SlowStop.
func (a *API) stopAll(ctx context.Context, u hub.User) error {
	active, _, err := a.hub.Servers(ctx, hub.ServerQuery{
		UserIDs: []string{u.ID}, States: []hub.ServerState{hub.Starting, hub.Ready, hub.Stopping},
	})
	if err != nil {
		return err
	}
	for _, s := range active {
		if _, err := a.hub.StopServer(ctx, u.Name, s.Name, false); err != nil {
			return err
		}
	}
	wait, cancel := context.WithTimeout(ctx, a.opts.SlowStop)
	defer cancel()
	for _, s := range active {
		_, err := a.hub.AwaitServer(wait, s.ID, isStopped)
		if errors.Is(wait.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			return errStillStopping(u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

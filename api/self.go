package api

import (
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountSelf has the one route that any credential opens: who am I?
func (a *API) mountSelf(r chi.Router) {
	r.Get("/user", a.do(a.whoami))
}

// whoami is what servers and services ask of every token that is shown to them. They decide by "scopes", which therefore are expanded, with all filters
// resolved. That every token may read its owner's name and groups here does not make it a scope of the token.
func (a *API) whoami(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	if p.Service != nil {
		return a.whoamiService(w, p)
	}
	owner := scope.Owner{User: p.User.Name}
	readable := scope.Union(p.Scopes, scope.Expand(scope.Identify(owner), owner))
	v := newViewer(readable, a.hub.Roles(), a.urls)
	var servers []hub.ServerOutline
	if v.needsServers() {
		var err error
		if servers, err = a.hub.RecentServersOf(r.Context(), p.User, v.stopped); err != nil {
			return err
		}
	}
	return v.writeUser(w, http.StatusOK, p.User, servers, func(e writer) {
		textsField(e, "scopes", p.Scopes.Names())
		var session, token string
		if p.Token != nil {
			session, token = p.Token.BrowserID, tokenID(p.Token.ID)
		}
		textOrNullField(e, "session_id", session)
		textOrNullField(e, "token_id", token)
	})
}

func tokenID(id int64) string { return "a" + strconv.FormatInt(id, 10) }

// showUser answers with one user; their servers are read only if the caller may see something of them.
func (a *API) showUser(w http.ResponseWriter, r *http.Request, v *viewer, u hub.User) error {
	l := hub.NewListing()
	defer l.Done()
	l.Users = append(l.Users, u)
	if err := a.listServers(r, v, l, false); err != nil {
		return err
	}
	return v.writeUser(w, http.StatusOK, u, l.ServersOf(u.ID), nil)
}

// writeUser answers with one user, and with what more writes.
func (v *viewer) writeUser(w http.ResponseWriter, status int, u hub.User, servers []hub.ServerOutline, more func(e writer)) error {
	return write(w, status, func(e writer) {
		e.ObjStart()
		v.userFields(e, userObject(u), &u, servers)
		if more != nil {
			more(e)
		}
		e.ObjEnd()
	})
}

// listServers reads the servers of all the users at once, unless none of them is shown. For adjacent, see [hub.Owners].
func (a *API) listServers(r *http.Request, v *viewer, l *hub.Listing, adjacent bool) error {
	if len(l.Users) == 0 || !v.needsServers() {
		return nil
	}
	return a.hub.ListServers(r.Context(), l, adjacent, v.stopped)
}

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
	v := viewer{scopes: readable, roles: a.hub.Roles(), urls: a.urls}
	m, err := a.viewUser(r, v, p.User)
	if err != nil {
		return err
	}
	m["scopes"] = p.Scopes.Names()
	m["session_id"], m["token_id"] = nil, nil
	if p.Token != nil {
		m["session_id"], m["token_id"] = orNull(p.Token.BrowserID), tokenID(p.Token.ID)
	}
	return httpd.JSON(w, http.StatusOK, m)
}

func tokenID(id int64) string { return "a" + strconv.FormatInt(id, 10) }

// viewUser shows one user; their servers are read only if the caller may see something of them.
func (a *API) viewUser(r *http.Request, v viewer, u hub.User) (map[string]any, error) {
	of, err := a.serversOf(r, v, []hub.User{u})
	if err != nil {
		return nil, err
	}
	return v.user(u, of[u.ID]), nil
}

// serversOf reads the servers of all the users at once, by the users' IDs.
func (a *API) serversOf(r *http.Request, v viewer, users []hub.User) (map[string][]hub.Server, error) {
	if len(users) == 0 || !v.needsServers() {
		return nil, nil
	}
	q := hub.ServerQuery{States: []hub.ServerState{hub.Starting, hub.Ready, hub.Stopping}}
	if v.stopped {
		q.States = nil
	}
	for _, u := range users {
		q.UserIDs = append(q.UserIDs, u.ID)
	}
	servers, _, err := a.hub.Servers(r.Context(), q)
	of := make(map[string][]hub.Server, len(users))
	for _, s := range servers {
		of[s.UserID] = append(of[s.UserID], s)
	}
	return of, err
}

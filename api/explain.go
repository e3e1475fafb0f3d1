package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountExplain adds why somebody may do something, or may not.
func (a *API) mountExplain(r chi.Router) {
	r.With(a.need(onUser("read:roles:users"))).Get("/users/{name}/explain", a.do(a.explain))
}

// explain answers for the user of the path. What it tells of others is that they belong to a group, so it needs to be known to the caller; what it tells of tokens
// needs the scope for these.
func (a *API) explain(w http.ResponseWriter, r *http.Request) error {
	u, query := targetOf(r).user, r.URL.Query()
	if query.Get("scope") == "" {
		return hub.Errorf(hub.Invalid, "Say which scope is asked for, in the parameter scope.")
	}
	on, err := scope.ParseObject(query.Get("on"))
	if err != nil {
		return &hub.Error{Kind: hub.NotFound, Message: "There is nothing such as the parameter on says: " + err.Error() + ".", Err: err}
	}
	if err := a.mayKnowGroups(r, on.Owner(), u); err != nil {
		return err
	}
	q := scope.Question{User: hub.HolderOf(u), Scope: query.Get("scope"), On: on, Token: query["token_scope"]}
	var token *hub.Token
	if id := query.Get("token"); id != "" {
		if !httpd.Principal(r).Can("read:tokens", userObject(u)) {
			return errHidden
		}
		t, err := a.tokenByID(r, u, id)
		if err != nil {
			return err
		}
		token = &t
	}
	answer, err := a.hub.Explain(r.Context(), q, token)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

// mayKnowGroups hides whether there is a user of whom the caller may not know the groups.
func (a *API) mayKnowGroups(r *http.Request, name string, asked hub.User) error {
	if name == "" || name == asked.Name {
		return nil
	}
	u, err := a.hub.UserByName(r.Context(), name)
	if kind := hub.KindOf(err); err != nil && (kind == hub.NotFound || kind == hub.Invalid) || err == nil && !httpd.Principal(r).Can("read:users:groups", userObject(u)) {
		return errHidden
	}
	return err
}

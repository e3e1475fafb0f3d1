package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountTokens(r chi.Router) {
	r.With(a.need(onUser("read:tokens"))).Get("/users/{name}/tokens", a.do(a.listTokens))
	r.With(a.need(onUser("read:tokens"))).Get("/users/{name}/tokens/{token}", a.do(a.getToken))
	r.With(a.need(onUser("tokens"))).Delete("/users/{name}/tokens/{token}", a.do(a.deleteToken))
}

// viewToken shows a token, never its secret. ok is false for one that has died meanwhile with the server that it was issued to.
func (a *API) viewToken(ctx context.Context, owner hub.User, t hub.Token) (m map[string]any, ok bool, err error) {
	client := "JupyterHub"
	if t.ClientID != "" {
		c, err := a.hub.OAuthClient(ctx, hub.AuthorizeRequest{ClientID: t.ClientID})
		if err != nil {
			return nil, false, unlessGone(err)
		}
		client = cmp.Or(c.Description, c.ID)
	}
	scopes, err := a.hub.TokenScopes(ctx, t, owner)
	if err != nil {
		return nil, false, unlessGone(err)
	}
	return map[string]any{
		"user": owner.Name, "id": tokenID(t.ID), "kind": "api_token", "roles": []string{}, "scopes": scopes.Names(),
		"created": timestamp(t.Created), "last_activity": timestamp(t.LastActivity), "expires_at": timestamp(t.Expires),
		"note": t.Note, "session_id": orNull(t.BrowserID), "oauth_client": client,
	}, true, nil
}

// unlessGone is nil for an OAuth client that is gone: it went after the token was read, and took the token along.
func unlessGone(err error) error {
	if kind := hub.KindOf(err); kind == hub.NotFound || kind == hub.Invalid {
		return nil
	}
	return err
}

func (a *API) listTokens(w http.ResponseWriter, r *http.Request) error {
	owner := targetOf(r).user
	tokens, err := a.hub.Tokens(r.Context(), owner.ID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tokens, func(x, y hub.Token) int { return lastUse(x).Compare(lastUse(y)) })
	items := []any{}
	for _, t := range tokens {
		m, ok, err := a.viewToken(r.Context(), owner, t)
		if err != nil {
			return err
		}
		if ok {
			items = append(items, m)
		}
	}
	return httpd.JSON(w, http.StatusOK, map[string]any{"api_tokens": items})
}

// lastUse is when a token was used last, or made.
func lastUse(t hub.Token) time.Time {
	if t.LastActivity.IsZero() {
		return t.Created
	}
	return t.LastActivity
}

// tokenOf finds the token of the path.
func (a *API) tokenOf(r *http.Request) (hub.Token, error) {
	text, err := httpd.Param(r, "token")
	if err != nil {
		return hub.Token{}, err
	}
	return a.tokenByID(r, targetOf(r).user, text)
}

// tokenByID finds a token of the user by what the API calls it.
func (a *API) tokenByID(r *http.Request, owner hub.User, text string) (hub.Token, error) {
	digits, ok := strings.CutPrefix(text, "a")
	id, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || tokenID(id) != text {
		return hub.Token{}, errHidden
	}
	t, err := a.hub.Token(r.Context(), owner.ID, id)
	if hub.KindOf(err) == hub.NotFound {
		return t, errHidden
	}
	return t, err
}

func (a *API) getToken(w http.ResponseWriter, r *http.Request) error {
	t, err := a.tokenOf(r)
	if err != nil {
		return err
	}
	m, ok, err := a.viewToken(r.Context(), targetOf(r).user, t)
	if err != nil {
		return err
	}
	if !ok {
		return errHidden
	}
	return httpd.JSON(w, http.StatusOK, m)
}

func (a *API) deleteToken(w http.ResponseWriter, r *http.Request) error {
	t, err := a.tokenOf(r)
	if err != nil {
		return err
	}
	if err := a.hub.RevokeToken(r.Context(), t.UserID, t.ID); err != nil {
		return err
	}
	empty(w, http.StatusNoContent)
	return nil
}

// newToken is what a token shall be. JupyterHub ignores keys that it does not know here, and clients send some.
type newToken struct {
	Note      *string   `json:"note"`
	ExpiresIn *int64    `json:"expires_in"` // seconds; absent or 0: never
	Scopes    *[]string `json:"scopes"`
	Roles     *[]string `json:"roles"`
}

// maxTokenLife bounds expires_in, in seconds: a hundred years, so that the arithmetic of times holds.
const maxTokenLife = 100 * 365 * 24 * 60 * 60

// wish tells the hub what is asked for.
func (n newToken) wish(p hub.Principal, owner hub.User, roles *scope.Policy) (hub.NewToken, error) {
	var wish hub.NewToken
	if n.Note != nil {
		wish.Note = *n.Note
	}
	wish.Note = cmp.Or(wish.Note, defaultNote(p, owner))
	if n.ExpiresIn != nil {
		if *n.ExpiresIn < 0 || *n.ExpiresIn > maxTokenLife {
			return wish, hub.Errorf(hub.Invalid, "The field expires_in must be a number of seconds from 0 (never) to %d.", maxTokenLife)
		}
		wish.ExpiresIn = time.Duration(*n.ExpiresIn) * time.Second
	}
	switch {
	case n.Scopes != nil && n.Roles != nil:
		return wish, hub.Errorf(hub.Invalid, "Name scopes or roles, not both.")
	case n.Scopes != nil:
		wish.Scopes = append([]string{}, *n.Scopes...)
	case n.Roles != nil:
		wish.Scopes = []string{}
		for _, name := range *n.Roles {
			role, ok := roles.Role(name)
			if !ok {
				return wish, hub.Errorf(hub.Invalid, "There is no role %q.", clip(name))
			}
			wish.Scopes = append(wish.Scopes, role.Scopes...)
		}
	}
	return wish, nil
}

func defaultNote(p hub.Principal, owner hub.User) string {
	switch {
	case p.Service != nil:
		return "Requested via api by service " + p.Service.Name
	case p.User.ID == owner.ID:
		return "Requested via api"
	}
	return "Requested via api by user " + p.User.Name
}

func (a *API) createToken(w http.ResponseWriter, r *http.Request) error {
	owner := targetOf(r).user
	body, err := httpd.DecodeLenient[newToken](r)
	if err != nil {
		return err
	}
	wish, err := body.wish(httpd.Principal(r), owner, a.hub.Roles())
	if err != nil {
		return err
	}
	secret, t, err := a.hub.IssueToken(r.Context(), owner, wish)
	if err != nil {
		return err
	}
	httpd.Note(r, "token", tokenID(t.ID))
	httpd.Note(r, "scopes", t.Scopes)
	m, _, err := a.viewToken(r.Context(), owner, t)
	if err != nil {
		return err
	}
	m["token"] = secret
	return httpd.JSON(w, http.StatusCreated, m)
}

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// passwordPatience bounds how long a request waits for an authenticator.
const passwordPatience = 30 * time.Second

// mountTokenRequests adds the one route that takes a name and a password in place of other credentials.
func (a *API) mountTokenRequests(r chi.Router) {
	r.Use(a.sessions.NeedCredentialOr(a.group, a.byPassword))
	r.With(a.need(onUserBluntly("tokens"))).Post("/users/{name}/tokens", a.do(a.createToken))
}

// passwordLogin is the part of a token request that says who asks. JupyterHub hands what it finds there to its authenticator, which knows more keys in some
// cases; those are ignored here.
type passwordLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// Authenticator is the ID of the one to ask; "": the first that takes passwords. JupyterHub has one only.
	Authenticator string `json:"authenticator"`
}

// byPassword tells who makes a request by the name and the password in its body. The body can be read again afterwards.
func (a *API) byPassword(r *http.Request) (hub.Principal, error) {
	body, err := httpd.Body(r)
	if err != nil {
		return hub.Principal{}, httpd.ErrNoCredential // as of a body that says nothing of a password
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var asked struct {
		Auth *passwordLogin `json:"auth"`
	}
	if err := json.Unmarshal(body, &asked); err != nil || asked.Auth == nil || foreign(r) {
		return hub.Principal{}, httpd.ErrNoCredential
	}
	way := a.passwordWay(asked.Auth.Authenticator)
	if way == nil {
		return hub.Principal{}, hub.Errorf(hub.Forbidden, "No password can be used here. Make a token at %stoken with a browser.", a.urls.Hub())
	}
	p, err := a.login(r, way, strings.TrimSpace(asked.Auth.Username), asked.Auth.Password)
	if err != nil {
		httpd.NoteFailedLogin(r, a.hub.UserByName, way.Label(), asked.Auth.Username, err)
	}
	return p, err
}

// foreign tells that a browser makes the request for a page of another site, whose visitor shall not try out passwords for it.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// passwordWay finds the authenticator of this ID that takes passwords, or the first of all; nil if there is none.
func (a *API) passwordWay(id string) auth.Password {
	for _, way := range a.opts.Authenticators {
		if p, ok := way.(auth.Password); ok && (id == "" || p.ID() == id) {
			return p
		}
	}
	return nil
}

// login is the login page's, for one request and without a session.
func (a *API) login(r *http.Request, way auth.Password, name, password string) (hub.Principal, error) {
	try, err := a.sessions.Attempt(r, name)
	if err != nil {
		return hub.Principal{}, err
	}
	defer try.End()
	ctx, cancel := context.WithTimeout(r.Context(), passwordPatience)
	defer cancel()
	id, err := way.Login(ctx, name, password)
	switch {
	case errors.Is(err, auth.ErrDenied):
		try.Wrong()
		return hub.Principal{}, &hub.Error{Kind: hub.Forbidden, Message: "The user name or the password is wrong.", Err: err}
	case errors.Is(err, auth.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return hub.Principal{}, &hub.Error{Kind: hub.Unavailable, Message: way.Label() + " cannot be reached at this moment. Try again soon.", Err: err}
	case err != nil:
		return hub.Principal{}, err
	}
	b := hub.Browser{Address: httpd.ClientIPText(r), UserAgent: r.UserAgent()}
	p, err := a.hub.LoginOnce(r.Context(), id, b, hub.LoginOptions{LinkByName: a.opts.LinkByName[id.Provider]})
	if hub.KindOf(err) == hub.Invalid && err != nil { // the name is none that a user can have
		return p, &hub.Error{Kind: hub.Forbidden, Message: "This name cannot be used here.", Err: err}
	}
	if err != nil {
		return p, err
	}
	a.sessions.Welcome(nil, r, try)
	httpd.Note(r, "authenticator", way.Label())
	return p, nil
}

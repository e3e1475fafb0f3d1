package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// providerPatience bounds how long a person waits for an authenticator.
const providerPatience = 30 * time.Second

// mountLogin adds what needs no login.
func (h *Web) mountLogin(r chi.Router) {
	read(r, "/login", h.do(h.login))
	r.Post("/login", h.do(h.postLogin))
	read(r, "/login/link", h.do(h.linkPage))
	r.Post("/login/link", h.do(h.redeemLink))
	r.Get("/oauth_login/{id}", h.do(h.beginExternal))
	r.Get("/oauth_callback/{id}", h.do(h.finishExternal))
	r.Get("/logout", h.do(h.logout))
}

func (h *Web) sortAuthenticators(all []auth.Authenticator) error {
	seen := map[string]bool{}
	for _, a := range all {
		if a.ID() == "" || seen[a.ID()] {
			return errors.New("web: the authenticator ID \"" + a.ID() + "\" is empty or used twice")
		}
		seen[a.ID()] = true
		switch a := a.(type) {
		case auth.Password:
			h.passwords = append(h.passwords, a)
		case auth.Redirect:
			h.redirects = append(h.redirects, a)
		default:
			return errors.New("web: the authenticator \"" + a.ID() + "\" can neither ask for a password nor send browsers to a provider")
		}
	}
	return nil
}

// loginView is the login page.
type loginView struct {
	chrome
	Problem string // what went wrong at the last attempt
	Action  string
	Forms   []loginForm
	Buttons []loginButton
	LinkOn  bool // a one-time link is another way in
}

type loginForm struct {
	ID, Label, Name string
	Suffix          string // tells the fields of several forms apart; "" for the first
	First           bool
}

type loginButton struct{ Label, URL string }

func (h *Web) login(w http.ResponseWriter, r *http.Request) error {
	p, err := h.sessions.Browser(r)
	switch {
	case hub.KindOf(err) == hub.Unauthenticated:
		return h.showLogin(w, r, http.StatusOK, "", "")
	case err != nil:
		return err
	}
	h.sessions.Begin(w, r, *p.Session) // as new: a cookie may be near its end, or lost with the last window
	return h.goOn(w, r, p.User)
}

// goOn sends somebody who is logged in to where the login page's address says.
func (h *Web) goOn(w http.ResponseWriter, r *http.Request, u hub.User) error {
	to, err := h.landing(r, u, h.next(r), travels(r))
	if err != nil {
		return err
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

// travels are the arguments of an address that go on to the place where its visitor lands.
func travels(r *http.Request) url.Values {
	rest := r.URL.Query()
	rest.Del("next")
	rest.Del("_xsrf")
	return rest
}

// showLogin shows the login page, with the name that was typed last.
func (h *Web) showLogin(w http.ResponseWriter, r *http.Request, status int, trouble, name string) error {
	v := loginView{chrome: h.chrome(w, r, "Log in", ""), Problem: trouble, Action: h.urls.Login(), LinkOn: h.link != nil}
	if q := h.loginQuery(r); len(q) > 0 {
		v.Action += "?" + q.Encode()
	}
	typed := r.PostFormValue("authenticator")
	for i, a := range h.passwords {
		f := loginForm{ID: a.ID(), Label: a.Label(), First: i == 0}
		if i > 0 {
			f.Suffix = "_" + a.ID()
		}
		if typed == a.ID() || typed == "" && i == 0 {
			f.Name = name
		}
		v.Forms = append(v.Forms, f)
	}
	for _, a := range h.redirects {
		v.Buttons = append(v.Buttons, loginButton{Label: a.Label(), URL: withNext(h.urls.Hub()+"oauth_login/"+hub.EscapePath(a.ID()), h.next(r))})
	}
	if status != http.StatusOK || trouble != "" || name != "" || typed != "" || v.User != nil || v.XSRF == "" {
		return h.show(w, status, "login", v)
	}
	// What people who come to log in see is made of the address alone.
	body, err := h.stencils.fill(v.Action, v.XSRF, func(token string) ([]byte, error) {
		v.XSRF = token
		return h.pages.render("login", v)
	})
	if err != nil {
		return err
	}
	h.send(w, status, body)
	return nil
}

// loginQuery is what the login page's address carries on to the next step. What a provider or a link added to an address of its own is used up by now.
func (h *Web) loginQuery(r *http.Request) url.Values {
	q := url.Values{}
	if r.URL.Path == h.urls.Login() {
		q = r.URL.Query()
		q.Del("_xsrf")
	}
	if next := h.next(r); next != "" {
		q.Set("next", next)
	} else {
		q.Del("next")
	}
	return q
}

func (h *Web) postLogin(w http.ResponseWriter, r *http.Request) error {
	before, err := h.sessions.Browser(r)
	if err != nil && hub.KindOf(err) != hub.Unauthenticated {
		return err
	}
	if err := h.sessions.CheckXSRF(r, before.Session, false); err != nil {
		switch mode := r.Header.Get("Sec-Fetch-Mode"); {
		case mode != "" && mode != "navigate":
			return err
		case before.Session != nil: // logged in meanwhile in another window
			httpd.DidNothing(r)
			return h.goOn(w, r, before.User)
		}
		return h.showLogin(w, r, http.StatusForbidden, "This page was open for too long, or your browser keeps no cookies. Please try again.", "")
	}
	a := h.password(r.PostFormValue("authenticator"))
	if a == nil {
		return hub.Errorf(hub.Invalid, "There is no such way to log in here.")
	}
	name := strings.TrimSpace(r.PostFormValue("username"))
	user, err := h.tryPassword(w, r, a, name)
	if err != nil {
		return h.loginFailed(w, r, a.Label(), name, err)
	}
	return h.goOn(w, r, user)
}

// tryPassword logs in by the name and the password of a form, unless there were too many wrong ones.
func (h *Web) tryPassword(w http.ResponseWriter, r *http.Request, a auth.Password, name string) (hub.User, error) {
	try, err := h.sessions.Attempt(r, name)
	if err != nil {
		return hub.User{}, err
	}
	defer try.End()
	ctx, cancel := context.WithTimeout(r.Context(), providerPatience)
	defer cancel()
	id, err := a.Login(ctx, name, r.PostFormValue("password"))
	if errors.Is(err, auth.ErrDenied) {
		try.Wrong()
	}
	if err != nil {
		return hub.User{}, err
	}
	user, err := h.admit(w, r, id, hub.LoginOptions{LinkByName: h.linkByName[id.Provider]})
	if err == nil {
		h.sessions.Welcome(w, r, try)
	}
	return user, err
}

// password finds the authenticator of a form; the first one if the form names none, as scripts that were written for JupyterHub do.
func (h *Web) password(id string) auth.Password {
	for _, a := range h.passwords {
		if id == "" || a.ID() == id {
			return a
		}
	}
	return nil
}

// admit logs an identity in and gives the browser its cookies. A session that the browser had before ends, unless the login is refused.
func (h *Web) admit(w http.ResponseWriter, r *http.Request, id auth.Identity, o hub.LoginOptions) (hub.User, error) {
	session, user, err := h.hub.Login(r.Context(), id, h.sessions.Client(r), o)
	if err != nil {
		return hub.User{}, err
	}
	if before, err := h.sessions.Browser(r); err == nil {
		if err := h.hub.Supersede(r.Context(), *before.Session, session); err != nil {
			return hub.User{}, err
		}
	}
	h.sessions.Begin(w, r, session)
	httpd.DidAs(r, user, "login", "user/"+user.Name)
	httpd.Note(r, "provider", id.Provider)
	return user, nil
}

// loginFailed shows the login page again with a sentence; faults of ours become an error page.
func (h *Web) loginFailed(w http.ResponseWriter, r *http.Request, label, name string, err error) error {
	level := slog.LevelInfo
	if hub.KindOf(err) == hub.TooMany {
		level = slog.LevelDebug // as many as anybody likes to send
	}
	h.log.Log(r.Context(), level, "login failed", "authenticator", label, "client", h.sessions.Client(r).Address, "err", err)
	httpd.NoteFailedLogin(r, h.hub.UserByName, label, name, err)
	switch {
	case errors.Is(err, auth.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return h.showLogin(w, r, http.StatusServiceUnavailable, label+" cannot be reached at this moment. Please try again soon.", name)
	case errors.Is(err, auth.ErrDenied) && name != "":
		return h.showLogin(w, r, http.StatusForbidden, "The user name or the password is wrong. Please try again.", name)
	case errors.Is(err, auth.ErrDenied):
		return h.showLogin(w, r, http.StatusForbidden, label+" did not let you in, or the login took too long. Please try again.", name)
	}
	he, ok := errors.AsType[*hub.Error](err)
	switch {
	case ok && he.Kind == hub.TooMany:
		httpd.RetryAfter(w, he.RetryAfter)
		return h.showLogin(w, r, http.StatusTooManyRequests, he.Message, name)
	case ok && (he.Kind == hub.Forbidden || he.Kind == hub.Invalid):
		return h.showLogin(w, r, http.StatusForbidden, he.Message, name)
	}
	return err
}

// logout needs neither a page token nor a login: servers send their users here by a plain link.
func (h *Web) logout(w http.ResponseWriter, r *http.Request) error {
	p, err := h.sessions.Browser(r)
	switch {
	case err == nil:
		if err := h.hub.Logout(r.Context(), *p.Session); err != nil {
			return err
		}
		httpd.DidAs(r, p.User, "logout", "user/"+p.User.Name)
		h.log.InfoContext(r.Context(), "logged out", "user", p.User.Name)
	case hub.KindOf(err) != hub.Unauthenticated:
		return err
	}
	h.sessions.End(w, r)
	redirect(w, h.urls.Login(), http.StatusFound)
	return nil
}

// linkView asks before a one-time link is used: programs that look at links in messages must not use it up.
type linkView struct {
	chrome
	Action string
	Code   string
}

func (h *Web) linkPage(w http.ResponseWriter, r *http.Request) error {
	code := r.URL.Query().Get("code")
	if h.link == nil || code == "" {
		return h.notFound(w, r)
	}
	if p, err := h.sessions.Browser(r); err == nil {
		r = httpd.WithPrincipal(r, p)
	} else if hub.KindOf(err) != hub.Unauthenticated {
		return err
	}
	return h.show(w, http.StatusOK, "link", linkView{
		chrome: h.chrome(w, r, "Log in by link", ""), Action: withNext(h.urls.Hub()+"login/link", h.next(r)), Code: code,
	})
}

func (h *Web) redeemLink(w http.ResponseWriter, r *http.Request) error {
	if h.link == nil {
		return h.notFound(w, r)
	}
	before, err := h.sessions.Browser(r)
	if err != nil && hub.KindOf(err) != hub.Unauthenticated {
		return err
	}
	if err := h.sessions.CheckXSRF(r, before.Session, false); err != nil {
		return err
	}
	id, err := h.link.Redeem(r.PostFormValue("code"))
	if errors.Is(err, auth.ErrDenied) {
		return hub.Errorf(hub.Forbidden, "This link was used already, or it is too old. Have the hub print a new one, or log in another way.")
	}
	if err != nil {
		return err
	}
	if _, err := h.admit(w, r, id, hub.LoginOptions{Operator: true}); err != nil {
		return err
	}
	to := h.next(r)
	if to == "" {
		to = h.urls.Home() // operators come to look after things, not to start a server
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountUser adds what the proxy sends here because no server answers: see NotRunning.
func (h *Web) mountUser(r chi.Router) {
	for _, pattern := range []string{"/user/{user}", "/user/{user}/*"} {
		read(r, pattern, h.NotRunning)
		r.Post(pattern, h.NotRunning)
		r.Patch(pattern, h.NotRunning)
		r.Delete(pattern, h.NotRunning)
	}
}

// NotRunning answers a request for a server at the hub's own address of it, "/hub/user/NAME/...": browsers whose server is there after all are sent back to it,
// programs learn that it is not, and people get a way to start it. It never starts anything.
func (h *Web) NotRunning(w http.ResponseWriter, r *http.Request) {
	h.do(h.notRunning)(w, r)
}

func (h *Web) notRunning(w http.ResponseWriter, r *http.Request) error {
	p, err := h.anybody(r)
	switch {
	case err != nil && hub.KindOf(err) != hub.Unauthenticated:
		return err
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return h.refuseWrite(w, r, p)
	case err != nil:
		return h.sendToLogin(w, r)
	}
	r = httpd.WithPrincipal(r, p)
	s, err := h.meant(r, p)
	if err != nil {
		return err
	}
	switch {
	case s.State == hub.Ready:
		return h.sendBack(w, r)
	case h.wantsJSON(r):
		return h.jsonNotRunning(w, s.UserName, s.Name)
	case s.Active() || s.Failure != nil:
		redirect(w, withNext(h.urls.SpawnPending(s.UserName, s.Name), r.URL.RequestURI()), http.StatusSeeOther)
		return nil
	}
	v := h.pendingChrome(w, r, s, "The server is not running")
	v.StartURL = withNext(h.urls.Spawn(s.UserName, s.Name), r.URL.RequestURI())
	return h.show(w, http.StatusFailedDependency, "stopped", v)
}

// anybody tells who asks, by token or cookie.
func (h *Web) anybody(r *http.Request) (hub.Principal, error) {
	if p, present, err := h.sessions.Token(r); present && err == nil {
		return p, nil
	}
	return h.sessions.Browser(r)
}

// refuseWrite answers what a page of a server that is gone tries to save.
func (h *Web) refuseWrite(w http.ResponseWriter, r *http.Request, p hub.Principal) error {
	if p.Token == nil {
		if err := h.sessions.CheckXSRF(r, p.Session, false); err != nil {
			return err
		}
	}
	user, err := httpd.Param(r, "user")
	if err != nil {
		return err
	}
	return h.jsonNotRunning(w, user, "")
}

func (h *Web) jsonNotRunning(w http.ResponseWriter, user, server string) error {
	w.Header().Set("Cache-Control", "no-store")
	label := user
	if server != "" {
		label += "/" + server
	}
	return httpd.JSON(w, http.StatusFailedDependency, map[string]string{
		"message": "The server of " + label + " is not running. Start it at " + h.urls.Origin() + h.urls.Spawn(user, server),
	})
}

// meant finds which server an address below /hub/user/NAME/ is about: one named by its first segment, else the default one.
func (h *Web) meant(r *http.Request, p hub.Principal) (hub.Server, error) {
	user, err := httpd.Param(r, "user")
	if err != nil {
		return hub.Server{}, err
	}
	rest, err := httpd.Param(r, "*")
	if err != nil {
		return hub.Server{}, err
	}
	u, err := h.hub.UserByName(r.Context(), user)
	if hub.KindOf(err) == hub.NotFound {
		return hub.Server{}, errHidden
	}
	if err != nil {
		return hub.Server{}, err
	}
	first, _, _ := strings.Cut(rest, "/")
	if first != "" && h.hub.Limits().AllowNamed && p.Can(scopeAccess, serverObject(u, first)) {
		s, err := h.hub.Server(r.Context(), u.Name, first)
		if err == nil || hub.KindOf(err) != hub.NotFound {
			return s, err
		}
	}
	if !p.Can(scopeAccess, serverObject(u, "")) {
		return hub.Server{}, errHidden
	}
	return h.hub.Server(r.Context(), u.Name, "")
}

const (
	redirectArgument = "redirects" // counts how often a browser was sent back
	redirectLimit    = 4
	redirectMostWait = 10 * time.Second
)

// sendBack sends a browser to its server, which is there although its request came here: another replica may have routed it a moment too early. Each round waits
// longer, and the last one says that something is wrong.
func (h *Web) sendBack(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	n, _ := strconv.Atoi(q.Get(redirectArgument)) // nonsense is the first time
	if n >= redirectLimit {
		return &hub.Error{Kind: hub.Internal, Message: "Requests to a running server come back to the hub."}
	}
	if n > 0 {
		pause := time.NewTimer(min(time.Second<<n, redirectMostWait))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	n = max(n, 0)
	q.Set(redirectArgument, strconv.Itoa(n+1))
	to := h.urls.Base() + strings.TrimPrefix(r.URL.EscapedPath(), h.urls.Hub())
	w.Header().Set("Cache-Control", "no-store")
	h.lead(w, to+"?"+q.Encode(), http.StatusFound)
	return nil
}

// userRedirect leads to a path on the server of whoever asks, so that one link serves everybody.
func (h *Web) userRedirect(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	to := h.urls.Server(p.User.Name, "")
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.EscapedPath(), h.urls.Hub()+"user-redirect"), "/")
	to += strings.TrimLeft(rest, "/")
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	redirect(w, h.urls.Spawn(p.User.Name, "")+"?next="+url.QueryEscape(to), http.StatusFound)
	return nil
}

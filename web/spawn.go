package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// firstLook is how long a request for a start waits to see whether it fails at once.
const firstLook = time.Second

// mountServers adds the pages that start, watch and stop servers.
func (h *Web) mountServers(r chi.Router) {
	for _, target := range []string{"", "/{user}", "/{user}/{server}"} {
		read(r, "/spawn"+target, h.do(h.spawn))
		r.Post("/spawn"+target, h.do(h.postSpawn))
	}
	for _, target := range []string{"/{user}", "/{user}/{server}"} {
		read(r, "/spawn-pending"+target, h.do(h.pending))
		r.Post("/stop"+target, h.do(h.stop))
	}
	r.Post("/named", h.do(h.addNamed))
}

// target reads from the address which server is meant, and makes sure that the principal may do with it what the scope says. To those who may
// not, what exists looks like what does not.
func (h *Web) target(r *http.Request, need string) (user hub.User, server string, err error) {
	p := httpd.Principal(r)
	name, err := httpd.Param(r, "user")
	if err != nil {
		return hub.User{}, "", err
	}
	if server, err = httpd.Param(r, "server"); err != nil {
		return hub.User{}, "", err
	}
	if name == "" {
		name = p.User.Name
	}
	user, err = h.hub.UserByName(r.Context(), name)
	httpd.Concerns(r, user)
	if hub.KindOf(err) == hub.NotFound || err == nil && !p.Can(need, serverObject(user, server)) {
		return hub.User{}, "", errHidden
	}
	return user, server, err
}

// targetServer is the server that the address means, as [Web.target] reads it, with its owner.
func (h *Web) targetServer(r *http.Request) (hub.User, hub.Server, error) {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return hub.User{}, hub.Server{}, err
	}
	s, err := h.hub.Server(r.Context(), user.Name, name)
	return user, s, err
}

// errHidden is said of what does not exist and of what the person may not see.
var errHidden = hub.Errorf(hub.NotFound, "There is no such server, or you may not use it.")

// spawnView asks before a start that another site set in motion.
type spawnView struct {
	chrome
	Server serverView
	Own    bool
	Action string
	Next   string
}

// spawn leads to a running server, or to its start; it starts it if one of our own pages, or the person, asks.
func (h *Web) spawn(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return err
	}
	if name != "" && !h.hub.Limits().AllowNamed {
		return hub.Errorf(hub.Invalid, "Named servers are not switched on at this hub.")
	}
	s, err := h.hub.Server(r.Context(), user.Name, name)
	if hub.KindOf(err) == hub.NotFound {
		s, err = hub.Server{UserName: user.Name, Name: name, State: hub.Stopped}, nil
	}
	switch {
	case err != nil:
		return err
	case s.State == hub.Ready:
		h.lead(w, h.afterReady(r, s), http.StatusFound)
		return nil
	case s.Active():
		redirect(w, withNext(h.urls.SpawnPending(user.Name, name), h.next(r)), http.StatusFound)
		return nil
	}
	forms, err := h.hub.Forms(r.Context(), user.Name, name)
	switch {
	case err != nil:
		return err
	case choosable(forms):
		return h.showForm(w, r, http.StatusOK, s, forms, choicesOf(s.Options).with(choicesIn(r.URL.Query())), "")
	case r.Method == http.MethodHead || !byOwnWish(r):
		return h.confirmSpawn(w, r, s)
	}
	options, err := optionsOf(spawnArguments(r.URL.Query()))
	if err != nil {
		return err
	}
	return h.start(w, r, user.Name, name, options)
}

// confirmSpawn shows a button instead of starting.
func (h *Web) confirmSpawn(w http.ResponseWriter, r *http.Request, s hub.Server) error {
	return h.show(w, http.StatusOK, "spawn", spawnView{
		chrome: h.chrome(w, r, "Start a server", ""), Server: h.viewServer(s, time.Now()),
		Own: own(httpd.Principal(r), s.UserName), Action: r.URL.RequestURI(), Next: h.next(r),
	})
}

func (h *Web) postSpawn(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeServers)
	if err != nil {
		return err
	}
	if s, err := h.hub.Server(r.Context(), user.Name, name); err == nil && s.Active() {
		return hub.Errorf(hub.Invalid, "The server is %s already.", strings.ToLower(h.viewServer(s, time.Now()).StateText))
	}
	if err := parseForm(r); err != nil {
		return err
	}
	options, err := sentOptions(r)
	if err != nil {
		return err
	}
	err = h.start(w, r, user.Name, name, options)
	if hub.KindOf(err) == hub.Invalid {
		return h.askAgain(w, r, user, name, options, err)
	}
	return err
}

// sentOptions are the options that a form and its address hold; nil if there are none.
func sentOptions(r *http.Request) (json.RawMessage, error) {
	fields := url.Values{}
	maps.Copy(fields, r.PostForm)
	for k, v := range spawnArguments(r.URL.Query()) {
		fields[k] = append(fields[k], v...)
	}
	fields.Del("_xsrf")
	return optionsFrom(fields)
}

// askAgain shows the form once more, with what was chosen and what is wrong with it. Where there is no form, the fault is the answer.
func (h *Web) askAgain(w http.ResponseWriter, r *http.Request, user hub.User, name string, options json.RawMessage, fault error) error {
	forms, err := h.hub.Forms(r.Context(), user.Name, name)
	if err != nil {
		return err
	}
	said, ok := errors.AsType[*hub.Error](fault)
	if !choosable(forms) || !ok {
		return fault
	}
	s, err := h.hub.Server(r.Context(), user.Name, name)
	if hub.KindOf(err) == hub.NotFound {
		s, err = hub.Server{UserName: user.Name, Name: name, State: hub.Stopped}, nil
	}
	if err != nil {
		return err
	}
	return h.showForm(w, r, http.StatusBadRequest, s, forms, choicesOf(options), said.Message)
}

// maxForm bounds what of a form is kept in memory, in bytes.
const maxForm = 1 << 20

// parseForm reads a form of either kind. Its size was bounded when its page token was looked for.
func parseForm(r *http.Request) error {
	err := r.ParseMultipartForm(maxForm)
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return &hub.Error{Kind: hub.Invalid, Message: "The form could not be read.", Err: err}
	}
	if r.MultipartForm != nil && len(r.MultipartForm.File) > 0 {
		return hub.Errorf(hub.Invalid, "Files cannot be given to a server at its start.")
	}
	return nil
}

// start starts a server and waits a moment, so that a failure that is there at once is shown at once.
func (h *Web) start(w http.ResponseWriter, r *http.Request, user, name string, options json.RawMessage) error {
	httpd.Did(r, "server.start", hub.AuditServer(user, name))
	decided := h.hub.Asking()
	s, err := h.hub.Start(r.Context(), hub.StartRequest{User: user, Server: name, Options: options, Queue: true})
	decided()
	if err != nil {
		return err
	}
	httpd.Done(r)
	ctx, cancel := context.WithTimeout(r.Context(), firstLook)
	defer cancel()
	now, err := h.hub.AwaitSeen(ctx, s, func(s hub.Server) bool { return s.State == hub.Ready || s.State == hub.Stopped })
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if now.State == hub.Stopped && now.Failure != nil {
		return h.showFailed(w, r, now)
	}
	to := h.urls.SpawnPending(user, name)
	if rest := h.passedOn(r); len(rest) > 0 {
		to += "?" + rest.Encode()
	}
	redirect(w, to, http.StatusFound)
	return nil
}

// passedOn is what travels from the start to the page that shows it.
func (h *Web) passedOn(r *http.Request) url.Values {
	q := r.URL.Query()
	for _, own := range []string{"next", "display_name", "_xsrf"} {
		q.Del(own)
	}
	if next := h.next(r); next != "" {
		q.Set("next", next)
	}
	return q
}

// afterReady is where the person goes once the server is ready.
func (h *Web) afterReady(r *http.Request, s hub.Server) string {
	if next := h.next(r); next != "" {
		return next
	}
	return h.urls.Server(s.UserName, s.Name)
}

// optionPrefix marks options among other arguments, as in JupyterHub 6.
const optionPrefix = "opt-"

// spawnArguments are the options in an address: those marked as options, if any are, else all but the hub's own.
func spawnArguments(q url.Values) url.Values {
	marked, all := url.Values{}, url.Values{}
	for k, v := range q {
		if name, ok := strings.CutPrefix(k, optionPrefix); ok && name != "" {
			marked[name] = v
		}
		if k != "next" && k != "_xsrf" && k != "display_name" {
			all[k] = v
		}
	}
	if len(marked) > 0 {
		return marked
	}
	return all
}

// optionsOf makes user options of form fields, each a list of strings as in JupyterHub; nil if there are none.
func optionsOf(fields url.Values) (json.RawMessage, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	return json.Marshal(fields)
}

package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountShares adds the page on which a server is shared, and where somebody joins or leaves one of another's.
func (h *Web) mountShares(r chi.Router) {
	read(r, "/accept-share", h.do(h.accept))
	r.Post("/accept-share", h.do(h.postAccept))
	for _, target := range []string{"/{user}", "/{user}/{server}"} {
		read(r, "/share"+target, h.do(h.share))
		r.Post("/share"+target, h.do(h.postShare))
		r.Post("/leave-share"+target, h.do(h.leaveShare))
	}
}

// shareView is who may use a server, and how more may.
type shareView struct {
	chrome
	Server  serverView
	Heading string
	Action  string
	Link    string // just made; shown this once
	Problem string // why nothing was done
	Typed   string
	Lives   []expiry
	Shares  []shareRow
	Codes   []codeRow
	Total   int // of shares
	ByUser  bool
	ByGroup bool
}

// shareRow is one share on a page.
type shareRow struct {
	User, Group string
	Scopes      string
	Since       moment
}

type codeRow struct {
	ID            string
	Made, Expires moment
	Joined        string
}

// lives are how long a link may work.
var lives = [...]struct {
	life  time.Duration
	label string
}{{time.Hour, "1 hour"}, {day, "1 day"}, {7 * day, "1 week"}, {30 * day, "30 days"}}

func (h *Web) share(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeShares)
	if err != nil {
		return err
	}
	return h.showShare(w, r, http.StatusOK, user, name, shareView{})
}

func (h *Web) showShare(w http.ResponseWriter, r *http.Request, status int, user hub.User, name string, v shareView) error {
	s, err := h.hub.Server(r.Context(), user.Name, name)
	if err != nil {
		return err
	}
	now, p := time.Now(), httpd.Principal(r)
	v.Server, v.Action, v.Heading = h.viewServer(s, now), h.action("share", s), "Share my server"
	if mine := own(p, user.Name); s.Name != "" || !mine {
		v.Heading = "Share the " + lowerFirst(headingOf(s, mine))
	}
	v.chrome = h.chrome(w, r, v.Heading, "")
	v.ByUser, v.ByGroup = readsOthers(p), !p.Scopes.Filter("read:groups:name").Empty()
	for _, l := range lives {
		v.Lives = append(v.Lives, expiry{Value: strconv.Itoa(int(l.life.Seconds())), Label: l.label, Selected: l.life == hub.DefaultShareCodeLife})
	}
	shares, total, err := h.hub.SharesOfServer(r.Context(), user, name, 0, maxShown)
	if err != nil {
		return err
	}
	v.Total = total
	for _, sh := range shares {
		v.Shares = append(v.Shares, shareRow{User: sh.User, Group: sh.Group, Scopes: h.describe(sh.Scopes), Since: when(sh.Created, now)})
	}
	codes, _, err := h.hub.ShareCodesOfServer(r.Context(), user, name, 0, maxShown)
	if err != nil {
		return err
	}
	for _, c := range codes {
		row := codeRow{ID: strconv.FormatInt(c.ID, 10), Made: when(c.Created, now), Expires: when(c.Expires, now), Joined: "not yet"}
		if c.Exchanges > 0 {
			row.Joined = number(c.Exchanges) + " times, " + when(c.LastExchanged, now).Ago
		}
		v.Codes = append(v.Codes, row)
	}
	return h.show(w, status, "share", v)
}

// readsOthers tells whether somebody may share by the names of users: their own is of no use.
func readsOthers(p hub.Principal) bool {
	f := p.Scopes.Filter("read:users:name")
	return f.All() || len(f.Names(scope.ByGroup)) > 0 || slices.ContainsFunc(f.Names(scope.ByUser), func(name string) bool { return name != p.User.Name })
}

// describe says in words what scopes allow.
func (h *Web) describe(names []string) string {
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = h.hub.Roles().Describe(name)
		if words[i] == "" { // a custom scope that the configuration has no more
			words[i] = name
		}
	}
	return strings.Join(words, " ")
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// postShare does one of the things that the page offers: act says which.
func (h *Web) postShare(w http.ResponseWriter, r *http.Request) error {
	user, name, err := h.target(r, scopeShares)
	if err != nil {
		return err
	}
	if err := parseForm(r); err != nil {
		return err
	}
	at := "server/" + scope.FullName(user.Name, name)
	wish, who := hub.ShareWish{Owner: user, Server: name}, strings.TrimSpace(r.PostFormValue("name"))
	with := hub.Grantee{User: who}
	if r.PostFormValue("kind") == "group" {
		with = hub.Grantee{Group: who}
	}
	switch r.PostFormValue("act") {
	case "link":
		httpd.Did(r, "share.code.create", at)
		return h.makeLink(w, r, wish)
	case "grant":
		httpd.Did(r, "share.grant", at)
		noteGrantee(r, with)
		_, err = h.hub.ShareServer(r.Context(), httpd.Principal(r), wish, with)
	case "revoke":
		httpd.Did(r, "share.revoke", at)
		noteGrantee(r, with)
		_, _, err = h.hub.UnshareServer(r.Context(), wish, with)
	case "revoke-all":
		httpd.Did(r, "share.revoke", at)
		err = h.hub.UnshareAll(r.Context(), user, name)
	case "forget":
		httpd.Did(r, "share.code.delete", at)
		id, parseErr := strconv.ParseInt(r.PostFormValue("id"), 10, 64)
		if parseErr != nil || id <= 0 {
			return hub.Errorf(hub.Invalid, "There is no such link.")
		}
		err = ignoreGone(h.hub.DeleteShareCode(r.Context(), user, name, id, ""))
	default:
		return hub.Errorf(hub.Invalid, "The form does not say what to do. Reload the page and try again.")
	}
	if problem, ok := sentence(err); ok {
		return h.showShare(w, r, refusal(err), user, name, shareView{Problem: problem, Typed: who})
	}
	if err != nil {
		return err
	}
	redirect(w, h.action("share", hub.Server{UserName: user.Name, Name: name}), http.StatusSeeOther)
	return nil
}

// refusal is the status of a page that says why nothing was done.
func refusal(err error) int {
	if hub.KindOf(err) == hub.Forbidden {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

func noteGrantee(r *http.Request, with hub.Grantee) {
	if with.Group != "" {
		httpd.Note(r, "with_group", with.Group)
	} else {
		httpd.Note(r, "with_user", with.User)
	}
}

// ignoreGone is nil for what is not there: it was to go.
func ignoreGone(err error) error {
	if err != nil && hub.KindOf(err) == hub.NotFound {
		return nil
	}
	return err
}

func (h *Web) makeLink(w http.ResponseWriter, r *http.Request, wish hub.ShareWish) error {
	seconds, err := strconv.ParseInt(r.PostFormValue("expires_in"), 10, 64)
	if err != nil || seconds < 0 || seconds > int64(hub.MaxShareCodeLife/time.Second) {
		return hub.Errorf(hub.Invalid, "Choose from the list how long the link shall work.")
	}
	secret, _, err := h.hub.NewShareCode(r.Context(), httpd.Principal(r), wish, time.Duration(seconds)*time.Second)
	if problem, ok := sentence(err); ok {
		return h.showShare(w, r, refusal(err), wish.Owner, wish.Server, shareView{Problem: problem})
	}
	if err != nil {
		return err
	}
	return h.showShare(w, r, http.StatusOK, wish.Owner, wish.Server, shareView{Link: h.absolute(r) + h.urls.AcceptShare(secret)})
}

// absolute is scheme and host under which browsers reach the hub: the configured ones, or those of this request.
func (h *Web) absolute(r *http.Request) string {
	at := url.URL{Scheme: "http", Host: r.Host}
	switch proto := r.Header.Get("X-Forwarded-Proto"); {
	case h.urls.Public() != nil:
		at.Scheme, at.Host = h.urls.Public().Scheme, h.urls.Public().Host
	case r.TLS != nil || proto == "https":
		at.Scheme = "https"
	}
	return at.String()
}

// acceptView asks somebody who holds a link whether they want to join.
type acceptView struct {
	chrome
	Server  serverView
	Scopes  []string
	Expires moment
	Action  string
	Code    string
	Next    string
}

func (h *Web) accept(w http.ResponseWriter, r *http.Request) error {
	code := r.URL.Query().Get("code")
	c, err := h.hub.ShareCode(r.Context(), code)
	if err != nil {
		return err
	}
	p := httpd.Principal(r)
	if own(p, c.UserName) {
		return hub.Errorf(hub.Forbidden, "This link is for others: the server is your own. Send it to those who shall use the server.")
	}
	now := time.Now()
	v := acceptView{
		chrome:  h.chrome(w, r, "Join the server of "+c.UserName+"?", ""),
		Server:  h.viewServer(hub.Server{UserName: c.UserName, Name: c.ServerName}, now),
		Expires: when(c.Expires, now), Action: h.urls.Hub() + "accept-share", Code: code, Next: h.next(r),
	}
	for _, name := range c.Scopes {
		v.Scopes = append(v.Scopes, h.describe([]string{name}))
	}
	return h.show(w, http.StatusOK, "accept", v)
}

// postAccept exchanges the code for a share. A code that is no good is a fault of the request here, as in JupyterHub.
func (h *Web) postAccept(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	share, err := h.hub.AcceptShare(r.Context(), httpd.Principal(r).User, r.FormValue("code"))
	if problem, ok := sentence(err); ok {
		return &hub.Error{Kind: hub.Invalid, Message: problem, Err: err}
	}
	if err != nil {
		return err
	}
	httpd.Did(r, "share.accept", "server/"+scope.FullName(share.UserName, share.ServerName))
	h.concernsOwner(r, share)
	to := httpd.SafeNext(r, h.urls, r.FormValue("next"))
	if to == "" {
		to = h.urls.Server(share.UserName, share.ServerName)
	}
	h.lead(w, to, http.StatusFound)
	return nil
}

// concernsOwner lets the owner of a server read in the audit log who came and went.
func (h *Web) concernsOwner(r *http.Request, share hub.Share) {
	if owner, err := h.hub.UserByName(r.Context(), share.UserName); err == nil {
		httpd.Concerns(r, owner)
	}
}

// sharedView is one server of somebody else on the home page.
type sharedView struct {
	Owner    string
	Label    string
	By       string // the group by way of which; "" if directly
	Usable   bool   // it may be opened, not just be looked at
	Running  bool
	OpenURL  string
	LeaveURL string
}

// addShareURLs shows on the home page where servers are shared, to those who may share them.
func (h *Web) addShareURLs(p hub.Principal, v *homeView) {
	if !p.Holds(scopeShares) {
		return
	}
	add := func(s *serverView) {
		if p.Can(scopeShares, serverObject(p.User, s.Name)) {
			s.ShareURL = h.action("share", hub.Server{UserName: p.User.Name, Name: s.Name})
		}
	}
	add(&v.Server)
	for i := range v.Named {
		add(&v.Named[i])
	}
}

// sharedWith lists the servers of others that somebody may use. Who has none, as most, costs no look into the database.
func (h *Web) sharedWith(r *http.Request, u hub.User) ([]sharedView, error) {
	if len(u.Shared) == 0 {
		return nil, nil
	}
	shares, _, err := h.hub.Shares(r.Context(), hub.ShareQuery{UserID: u.ID, Groups: u.Groups, Either: true, Limit: maxShown})
	if err != nil {
		return nil, err
	}
	var list []sharedView
	for _, sh := range shares {
		if sh.UserName == u.Name { // with a group of theirs
			continue
		}
		s := hub.Server{UserName: sh.UserName, Name: sh.ServerName}
		list = append(list, sharedView{
			Owner: sh.UserName, Label: h.viewServer(s, time.Now()).Label, By: sh.Group, Running: sh.Ready,
			Usable:  slices.Contains(sh.Scopes, scopeAccess) || slices.Contains(sh.Scopes, scopeShares),
			OpenURL: h.urls.ServerURL(sh.UserName, sh.ServerName), LeaveURL: h.action("leave-share", s),
		})
	}
	return list, nil
}

// leaveShare gives up what is shared with the person who asks. The address names whose server it is.
func (h *Web) leaveShare(w http.ResponseWriter, r *http.Request) error {
	owner, err := httpd.Param(r, "user")
	if err != nil {
		return err
	}
	server, err := httpd.Param(r, "server")
	if err != nil {
		return err
	}
	p := httpd.Principal(r)
	if !p.Can("users:shares", scope.User(p.User.Name, p.User.Groups...)) {
		return hub.Errorf(hub.Forbidden, "You may not change what is shared with you.")
	}
	share, err := h.hub.ShareOf(r.Context(), owner, server, p.User.ID, "")
	if err == nil {
		h.concernsOwner(r, share)
		err = h.hub.DropShare(r.Context(), share)
	}
	if err := ignoreGone(err); err != nil {
		return err
	}
	redirect(w, h.urls.Home(), http.StatusSeeOther)
	return nil
}

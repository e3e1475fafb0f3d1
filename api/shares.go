package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountShares(r chi.Router) {
	r.With(a.need(onUser("read:shares"))).Get("/shares/{name}", a.do(a.listShares))
	r.With(a.need(onUser("read:shares"))).Get("/share-codes/{name}", a.do(a.listShareCodes))
	for _, server := range []string{"{name}/", "{name}/{server}"} {
		r.With(a.need(onServer("read:shares"))).Get("/shares/"+server, a.do(a.listSharesOfServer))
		r.With(a.need(onServer("shares"))).Post("/shares/"+server, a.do(a.grantShare))
		r.With(a.need(onServer("shares"))).Patch("/shares/"+server, a.do(a.revokeShare))
		r.With(a.need(onServer("shares"))).Delete("/shares/"+server, a.do(a.deleteShares))

		r.With(a.need(onServer("read:shares"))).Get("/share-codes/"+server, a.do(a.listShareCodesOfServer))
		r.With(a.need(onServer("shares"))).Post("/share-codes/"+server, a.do(a.createShareCode))
		r.With(a.need(onServer("shares"))).Delete("/share-codes/"+server, a.do(a.deleteShareCodes))
	}
	a.mountShared(r)
}

// mountShared adds what is shared with a user or a group. Its paths name two users: {name} is who it is shared with, and the one that the rule is about.
func (a *API) mountShared(r chi.Router) {
	r.With(a.need(onUser("read:users:shares"))).Get("/users/{name}/shared", a.do(a.listSharedWithUser))
	r.With(a.need(onGroup("read:groups:shares"))).Get("/groups/{group}/shared", a.do(a.listSharedWithGroup))
	for _, server := range []string{"/shared/{owner}/", "/shared/{owner}/{server}"} {
		r.With(a.need(onUser("read:users:shares"))).Get("/users/{name}"+server, a.do(a.getShared))
		r.With(a.need(onUser("users:shares"))).Delete("/users/{name}"+server, a.do(a.dropShared))
		r.With(a.need(onGroup("read:groups:shares"))).Get("/groups/{group}"+server, a.do(a.getShared))
		r.With(a.need(onGroup("groups:shares"))).Delete("/groups/{group}"+server, a.do(a.dropShared))
	}
}

// shareServer shows as much of a server as everybody may know whom it is shared with.
func (v *viewer) shareServer(user, server string, ready bool) map[string]any {
	at := v.urls.Server(user, server)
	m := map[string]any{"user": map[string]any{"name": user}, "name": server, "url": at, "full_url": nil, "ready": ready}
	if p := v.urls.Public(); p != nil {
		m["full_url"] = p.Scheme + "://" + p.Host + at
	}
	return m
}

// limited makes raw scopes of what a share names.
func limited(names []string, user, server string) []string {
	raw := make([]string, len(names))
	for i, name := range names {
		raw[i] = name + "!server=" + user + "/" + server
	}
	return raw
}

func (v *viewer) share(s hub.Share) map[string]any {
	m := map[string]any{
		"server": v.shareServer(s.UserName, s.ServerName, s.Ready), "scopes": limited(s.Scopes, s.UserName, s.ServerName),
		"user": nil, "group": nil, "kind": "user", "created_at": timestamp(s.Created),
	}
	if s.Group != "" {
		m["kind"], m["group"] = "group", map[string]any{"name": s.Group}
	} else {
		m["user"] = map[string]any{"name": s.User}
	}
	return m
}

// shareCode shows a code without its secret, which only its hash is kept of.
func (v *viewer) shareCode(c hub.ShareCode) map[string]any {
	return map[string]any{
		"server": v.shareServer(c.UserName, c.ServerName, c.Ready), "scopes": limited(c.Scopes, c.UserName, c.ServerName),
		"id": shareCodePrefix + strconv.FormatInt(c.ID, 10), "created_at": timestamp(c.Created), "expires_at": timestamp(c.Expires),
		"exchange_count": c.Exchanges, "last_exchanged_at": timestamp(c.LastExchanged),
	}
}

const shareCodePrefix = "sc_"

// sharePage is the page that is asked for. Lists of shares are always told in pages.
func sharePage(r *http.Request) (page, error) {
	p, err := pageOf(r)
	p.told = true
	return p, err
}

// writeShares answers with a page that list makes.
func writeShares[T any](a *API, w http.ResponseWriter, r *http.Request, list func(p page) ([]T, int, error), view func(*viewer, T) map[string]any) error {
	p, err := sharePage(r)
	if err != nil {
		return err
	}
	found, total, err := list(p)
	if err != nil {
		return hidden(err)
	}
	items, v := make([]any, len(found)), a.viewer(r)
	for i, one := range found {
		items[i] = view(v, one)
	}
	return p.write(w, r, a.urls, items, total)
}

// hidden tells of what does not exist in the words that are used for what may not be seen.
func hidden(err error) error {
	if err != nil && hub.KindOf(err) == hub.NotFound {
		return errHidden
	}
	return err
}

func (a *API) listShares(w http.ResponseWriter, r *http.Request) error {
	return writeShares(a, w, r, func(p page) ([]hub.Share, int, error) {
		return a.hub.Shares(r.Context(), hub.ShareQuery{OwnerID: targetOf(r).user.ID, Offset: p.offset, Limit: p.limit})
	}, (*viewer).share)
}

func (a *API) listSharesOfServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	return writeShares(a, w, r, func(p page) ([]hub.Share, int, error) {
		return a.hub.SharesOfServer(r.Context(), t.user, t.server, p.offset, p.limit)
	}, (*viewer).share)
}

func (a *API) listShareCodes(w http.ResponseWriter, r *http.Request) error {
	return writeShares(a, w, r, func(p page) ([]hub.ShareCode, int, error) {
		return a.hub.ShareCodes(r.Context(), targetOf(r).user, p.offset, p.limit)
	}, (*viewer).shareCode)
}

func (a *API) listShareCodesOfServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	return writeShares(a, w, r, func(p page) ([]hub.ShareCode, int, error) {
		return a.hub.ShareCodesOfServer(r.Context(), t.user, t.server, p.offset, p.limit)
	}, (*viewer).shareCode)
}

func (a *API) listSharedWithUser(w http.ResponseWriter, r *http.Request) error {
	u := targetOf(r).user
	return writeShares(a, w, r, func(p page) ([]hub.Share, int, error) {
		return a.hub.Shares(r.Context(), hub.ShareQuery{UserID: u.ID, Groups: u.Groups, Either: true, Offset: p.offset, Limit: p.limit})
	}, (*viewer).share)
}

func (a *API) listSharedWithGroup(w http.ResponseWriter, r *http.Request) error {
	g := targetOf(r).group
	return writeShares(a, w, r, func(p page) ([]hub.Share, int, error) {
		return a.hub.Shares(r.Context(), hub.ShareQuery{Groups: []string{g.Name}, Offset: p.offset, Limit: p.limit})
	}, (*viewer).share)
}

// shareBody says what is to be shared with whom, or taken back.
type shareBody struct {
	User   *string  `json:"user"`
	Group  *string  `json:"group"`
	Scopes []string `json:"scopes"`
}

// wish is what the hub is asked for. A name that is empty is nobody's.
func (b shareBody) wish(t target) (hub.ShareWish, hub.Grantee, error) {
	w := hub.ShareWish{Owner: t.user, Server: t.server, Scopes: b.Scopes}
	switch {
	case b.User != nil && b.Group == nil:
		return w, hub.Grantee{User: *b.User}, nil
	case b.Group != nil && b.User == nil:
		return w, hub.Grantee{Group: *b.Group}, nil
	}
	return w, hub.Grantee{}, hub.Errorf(hub.Invalid, "Name exactly one of user and group.")
}

// noteGrantee adds to the audit log who it is.
func noteGrantee(r *http.Request, with hub.Grantee) {
	if with.Group != "" {
		httpd.Note(r, "with_group", with.Group)
	} else {
		httpd.Note(r, "with_user", with.User)
	}
}

func (a *API) grantShare(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[shareBody](r)
	if err != nil {
		return err
	}
	wish, with, err := body.wish(targetOf(r))
	if err != nil {
		return err
	}
	noteGrantee(r, with)
	share, err := a.hub.ShareServer(r.Context(), httpd.Principal(r), wish, with)
	if err != nil {
		return hidden(err)
	}
	return httpd.JSON(w, http.StatusOK, a.viewer(r).share(share))
}

func (a *API) revokeShare(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[shareBody](r)
	if err != nil {
		return err
	}
	wish, with, err := body.wish(targetOf(r))
	if err != nil {
		return err
	}
	noteGrantee(r, with)
	share, remains, err := a.hub.UnshareServer(r.Context(), wish, with)
	if err != nil {
		return hidden(err)
	}
	if !remains {
		return httpd.JSON(w, http.StatusOK, map[string]any{})
	}
	return httpd.JSON(w, http.StatusOK, a.viewer(r).share(share))
}

func (a *API) deleteShares(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	if err := a.hub.UnshareAll(r.Context(), t.user, t.server); err != nil {
		return hidden(err)
	}
	empty(w, http.StatusNoContent)
	return nil
}

// shared finds the share of the path, which names whom it is for and whose server it is.
func (a *API) shared(r *http.Request) (hub.Share, error) {
	owner, err := httpd.Param(r, "owner")
	if err != nil {
		return hub.Share{}, err
	}
	server, err := httpd.Param(r, "server")
	if err != nil {
		return hub.Share{}, err
	}
	t := targetOf(r)
	share, err := a.hub.ShareOf(r.Context(), owner, server, t.user.ID, t.group.Name)
	return share, hidden(err)
}

func (a *API) getShared(w http.ResponseWriter, r *http.Request) error {
	share, err := a.shared(r)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, a.viewer(r).share(share))
}

func (a *API) dropShared(w http.ResponseWriter, r *http.Request) error {
	share, err := a.shared(r)
	if err != nil {
		return err
	}
	if owner, err := a.hub.UserByName(r.Context(), share.UserName); err == nil {
		httpd.Concerns(r, owner)
	}
	if err := a.hub.DropShare(r.Context(), share); err != nil {
		return err
	}
	empty(w, http.StatusNoContent)
	return nil
}

// newShareCode is what a code shall be.
type newShareCode struct {
	Scopes    []string `json:"scopes"`
	ExpiresIn *int64   `json:"expires_in"` // seconds
}

func (n newShareCode) life() (time.Duration, error) {
	if n.ExpiresIn == nil {
		return hub.DefaultShareCodeLife, nil
	}
	const least, most = int64(hub.MinShareCodeLife / time.Second), int64(hub.MaxShareCodeLife / time.Second)
	if *n.ExpiresIn < least || *n.ExpiresIn > most {
		return 0, hub.Errorf(hub.Invalid, "The field expires_in must be a number of seconds from %d to %d.", least, most)
	}
	return time.Duration(*n.ExpiresIn) * time.Second, nil
}

func (a *API) createShareCode(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Decode[newShareCode](r)
	if err != nil {
		return err
	}
	life, err := body.life()
	if err != nil {
		return err
	}
	t := targetOf(r)
	secret, code, err := a.hub.NewShareCode(r.Context(), httpd.Principal(r), hub.ShareWish{Owner: t.user, Server: t.server, Scopes: body.Scopes}, life)
	if err != nil {
		return hidden(err)
	}
	m := a.viewer(r).shareCode(code)
	m["code"], m["accept_url"], m["full_accept_url"] = secret, a.urls.AcceptShare(secret), nil
	if p := a.urls.Public(); p != nil {
		m["full_accept_url"] = p.Scheme + "://" + p.Host + a.urls.AcceptShare(secret)
	}
	return httpd.JSON(w, http.StatusOK, m)
}

// deleteShareCodes deletes the code that the query names by itself or by its ID, or all of the server if it names none.
func (a *API) deleteShareCodes(w http.ResponseWriter, r *http.Request) error {
	t, q := targetOf(r), r.URL.Query()
	var err error
	switch code, id := q.Get("code"), q.Get("id"); {
	case code != "":
		err = a.hub.DeleteShareCode(r.Context(), t.user, t.server, 0, code)
	case id != "":
		digits, prefixed := strings.CutPrefix(id, shareCodePrefix)
		n, parseErr := strconv.ParseInt(digits, 10, 64)
		if !prefixed || parseErr != nil || n <= 0 {
			return errHidden
		}
		err = a.hub.DeleteShareCode(r.Context(), t.user, t.server, n, "")
	default:
		err = a.hub.DeleteShareCodes(r.Context(), t.user, t.server)
	}
	if err != nil {
		return hidden(err)
	}
	empty(w, http.StatusNoContent)
	return nil
}

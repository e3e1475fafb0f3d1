package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountTokens adds the page of a person's tokens and sessions.
func (h *Web) mountTokens(r chi.Router) {
	read(r, "/token", h.do(h.tokens))
	r.Post("/token", h.do(h.createToken))
	r.Post("/token/{id}/revoke", h.do(h.revokeToken))
	r.Post("/session/{id}/revoke", h.do(h.revokeSession))
	r.Post("/session/revoke-others", h.do(h.revokeOthers))
}

// tokensView is the page of tokens and sessions.
type tokensView struct {
	chrome
	Secret   string // of the token just made; shown this once
	Note     string
	Problem  string // why no token was made
	Scopes   string // as typed last
	Expiries []expiry
	Tokens   []tokenView // made by the person
	Apps     []tokenView // issued to servers and other programs
	Sessions []sessionView
	Others   bool // there are other sessions than this
	Create   string
	EndAll   string
}

type tokenView struct {
	Note, Scopes string
	Created      moment
	LastUsed     moment
	Expires      moment
	RevokeURL    string
	OfServer     bool // a server speaks with it; it goes when the server stops
}

type sessionView struct {
	Browser, Address, Provider string
	Created, LastSeen          moment
	Current                    bool
	RevokeURL                  string
}

// expiry is one choice of how long a token shall live.
type expiry struct {
	Value    string // seconds; "0": for ever
	Label    string
	Selected bool
}

var expiries = [...]struct {
	days  int
	label string
}{{1, "1 day"}, {7, "1 week"}, {30, "30 days"}, {90, "90 days"}, {365, "1 year"}, {0, "Never"}}

const (
	defaultExpiryDays = 90
	day               = 24 * time.Hour
)

func (h *Web) tokens(w http.ResponseWriter, r *http.Request) error {
	v := tokensView{}
	return h.showTokens(w, r, http.StatusOK, v)
}

func (h *Web) showTokens(w http.ResponseWriter, r *http.Request, status int, v tokensView) error {
	p := httpd.Principal(r)
	v.chrome = h.chrome(w, r, "Tokens and sessions", "token")
	v.Create, v.EndAll = h.urls.Hub()+"token", h.urls.Hub()+"session/revoke-others"
	for _, e := range expiries {
		v.Expiries = append(v.Expiries, expiry{
			Value: strconv.Itoa(e.days * int(day.Seconds())), Label: e.label, Selected: e.days == defaultExpiryDays,
		})
	}
	now := time.Now()
	tokens, err := h.hub.Tokens(r.Context(), p.User.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		view := h.viewToken(t, now)
		if t.ClientID == "" && t.ServerID == "" {
			v.Tokens = append(v.Tokens, view)
		} else {
			v.Apps = append(v.Apps, view)
		}
	}
	sessions, err := h.hub.Sessions(r.Context(), p.User.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		v.Sessions = append(v.Sessions, h.viewSession(s, p, now))
	}
	v.Others = len(v.Sessions) > 1
	return h.show(w, status, "tokens", v)
}

func (h *Web) viewToken(t hub.Token, now time.Time) tokenView {
	note := t.Note
	if note == "" && t.ClientID != "" {
		note = t.ClientID
	}
	return tokenView{
		Note: note, Scopes: strings.Join(t.Scopes, " "), Created: when(t.Created, now), LastUsed: when(t.LastActivity, now),
		Expires: when(t.Expires, now), OfServer: t.ServerID != "",
		RevokeURL: h.urls.Hub() + "token/" + strconv.FormatInt(t.ID, 10) + "/revoke",
	}
}

func (h *Web) viewSession(s hub.Session, p hub.Principal, now time.Time) sessionView {
	return sessionView{
		Browser: browserName(s.UserAgent), Address: s.Address, Provider: s.Provider,
		Created: when(s.Created, now), LastSeen: when(s.LastSeen, now), Current: p.Session != nil && p.Session.ID == s.ID,
		RevokeURL: h.urls.Hub() + "session/" + hub.EscapePath(s.ID) + "/revoke",
	}
}

// browserName tells in two words what a User-Agent means. The order matters: most browsers also claim to be others.
func browserName(agent string) string {
	pick := func(fallback string, choices ...[2]string) string {
		for _, c := range choices {
			if strings.Contains(agent, c[0]) {
				return c[1]
			}
		}
		return fallback
	}
	name := pick("", [2]string{"Edg", "Edge"}, [2]string{"OPR/", "Opera"}, [2]string{"Firefox/", "Firefox"}, [2]string{"Chrome/", "Chrome"},
		[2]string{"Safari/", "Safari"})
	system := pick("", [2]string{"Android", "Android"}, [2]string{"iPhone", "iPhone"}, [2]string{"iPad", "iPad"}, [2]string{"Windows", "Windows"},
		[2]string{"Mac OS", "macOS"}, [2]string{"CrOS", "ChromeOS"}, [2]string{"Linux", "Linux"})
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name+system != "":
		return name + system
	case agent == "":
		return "Unknown browser"
	}
	return agent[:min(len(agent), 40)]
}

func (h *Web) createToken(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	note := strings.TrimSpace(r.PostFormValue("note"))
	wanted := hub.NewToken{Note: note, Scopes: strings.Fields(r.PostFormValue("scopes"))}
	if len(wanted.Scopes) == 0 {
		wanted.Scopes = nil
	}
	seconds, err := strconv.ParseInt(r.PostFormValue("expires_in"), 10, 64)
	if err != nil || seconds < 0 || seconds > int64((100*365*day).Seconds()) {
		return hub.Errorf(hub.Invalid, "Choose from the list how long the token shall live.")
	}
	wanted.ExpiresIn = time.Duration(seconds) * time.Second
	secret, made, err := h.hub.IssueToken(r.Context(), p.User, wanted)
	httpd.Note(r, "scopes", made.Scopes)
	httpd.Note(r, "token", made.ID)
	if he, ok := sentence(err); ok {
		return h.showTokens(w, r, http.StatusBadRequest, tokensView{Problem: he, Note: note, Scopes: strings.Join(wanted.Scopes, " ")})
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "token made", "user", p.User.Name, "scopes", wanted.Scopes)
	return h.showTokens(w, r, http.StatusOK, tokensView{Secret: secret})
}

func (h *Web) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		return hub.Errorf(hub.NotFound, "There is no such token.")
	}
	if err := h.hub.RevokeToken(r.Context(), httpd.Principal(r).User.ID, id); err != nil {
		return err
	}
	return h.backToTokens(w)
}

func (h *Web) revokeSession(w http.ResponseWriter, r *http.Request) error {
	id, err := httpd.Param(r, "id")
	if err != nil {
		return err
	}
	p := httpd.Principal(r)
	if err := h.hub.RevokeSession(r.Context(), p.User.ID, id); err != nil {
		return err
	}
	return h.backToTokens(w)
}

// revokeOthers ends every session but the one that asks.
func (h *Web) revokeOthers(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	sessions, err := h.hub.Sessions(r.Context(), p.User.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if p.Session != nil && s.ID == p.Session.ID {
			continue
		}
		if err := h.hub.RevokeSession(r.Context(), p.User.ID, s.ID); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return h.backToTokens(w)
}

func (h *Web) backToTokens(w http.ResponseWriter) error {
	redirect(w, h.urls.Hub()+"token", http.StatusSeeOther)
	return nil
}

package httpd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// Names of cookies, as JupyterHub has them.
const (
	LoginCookie   = "jupyterhub-hub-login"  // below /hub/ only, so that no server ever sees it; see [Sessions.LoginName]
	BrowserCookie = "jupyterhub-session-id" // everywhere, unsigned: servers tell one browser session from the next by it
	flowCookie    = "nomadhub-login-flow"
)

const (
	loginPurpose = "cookie.login.v1"
	flowPurpose  = "cookie.flow.v1"
	flowLifetime = 10 * time.Minute
)

// KeyRing signs and seals; old keys verify and open.
type KeyRing interface {
	Sign(purpose string, message []byte) (code string)
	Verify(purpose string, message []byte, code string) bool
	Seal(purpose string, plaintext []byte) (string, error)
	Open(purpose, sealed string) ([]byte, error)
}

// Accounts is what Sessions needs of the hub.
type Accounts interface {
	SessionPrincipal(ctx context.Context, sessionID string) (hub.Principal, error)
	TokenPrincipal(ctx context.Context, secret string) (hub.Principal, error)
}

// Sessions ties browsers to the hub's sessions by cookies.
type Sessions struct {
	Accounts Accounts
	Keys     KeyRing
	URLs     hub.URLs
	// Throttle bounds how often the API may be asked with one credential; nil: nothing does.
	Throttle *Throttle
	// Guesses slows down who guesses passwords and tokens; nil: nothing does.
	Guesses *Guesses
}

// Begin gives the browser the cookies of a new session, and the page token that belongs to it.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, sess hub.Session) {
	s.set(w, r, &http.Cookie{
		Name: s.LoginName(), Value: sess.ID + "." + s.Keys.Sign(loginPurpose, []byte(sess.ID)),
		Path: s.ownPath(), HttpOnly: true, Expires: sess.Expires, SameSite: http.SameSiteLaxMode,
	})
	s.setBrowserID(w, r, sess.BrowserID)
	s.setPageToken(w, r, s.pageToken(sess.ID))
}

// KeepBrowserID sees to it that the browser has the cookie by which servers tell its session from the next one. Without it a server would go on trusting
// what it remembers of a browser after the logout.
func (s *Sessions) KeepBrowserID(w http.ResponseWriter, r *http.Request, sess hub.Session) {
	if c, err := r.Cookie(BrowserCookie); err == nil && c.Value == sess.BrowserID {
		return
	}
	s.setBrowserID(w, r, sess.BrowserID)
}

// setBrowserID gives the cookie to all hosts on which there are servers.
func (s *Sessions) setBrowserID(w http.ResponseWriter, r *http.Request, id string) {
	s.set(w, r, &http.Cookie{Name: BrowserCookie, Value: id, Path: s.URLs.Base(), Domain: s.URLs.CookieDomain(), HttpOnly: true})
}

// LoginName is the name of the login cookie.
func (s *Sessions) LoginName() string { return s.ownName(LoginCookie) }

// ownName is the name of a cookie that only the hub reads and writes. With its prefix, no page of a host below the hub's can put one beside it.
func (s *Sessions) ownName(name string) string {
	if s.URLs.HostPrefix() {
		return "__Host-" + name
	}
	return name
}

// ownPath is where such a cookie is sent: to the hub alone, unless the prefix wants it everywhere. Then the proxy keeps it from servers.
func (s *Sessions) ownPath() string {
	if s.URLs.HostPrefix() {
		return "/"
	}
	return s.URLs.Hub()
}

// End takes the cookies back.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) {
	for name, path := range map[string]string{
		s.LoginName(): s.ownPath(), BrowserCookie: s.URLs.Base(), xsrfCookie: s.URLs.Hub(), "jupyterhub-services": s.URLs.Base() + "services",
	} {
		c := &http.Cookie{Name: name, Path: path, MaxAge: -1, HttpOnly: true}
		if name == BrowserCookie {
			c.Domain = s.URLs.CookieDomain()
		}
		s.set(w, r, c)
	}
}

func (s *Sessions) set(w http.ResponseWriter, r *http.Request, c *http.Cookie) {
	c.Secure = s.secure(r) || strings.HasPrefix(c.Name, "__Host-")
	http.SetCookie(w, c)
}

// secure tells whether the browser speaks TLS to us, or to what stands before us.
func (s *Sessions) secure(r *http.Request) bool { return s.URLs.Secure() || r.TLS != nil }

// maxLoginCookies bounds how many sessions one request has looked up.
const maxLoginCookies = 4

// Browser tells the principal by the login cookie, or hub.ErrNoSession. A page on the same site can add cookies of this name: those that are not ours, and those of
// sessions that have ended, do not hide a good one.
func (s *Sessions) Browser(r *http.Request) (hub.Principal, error) {
	looked := 0
	for _, c := range r.CookiesNamed(s.LoginName()) {
		id, code, ok := strings.Cut(c.Value, ".")
		if !ok || !s.Keys.Verify(loginPurpose, []byte(id), code) {
			continue
		}
		p, err := s.Accounts.SessionPrincipal(r.Context(), id)
		if looked++; hub.KindOf(err) != hub.Unauthenticated || looked == maxLoginCookies {
			return p, err
		}
	}
	return hub.Principal{}, hub.ErrNoSession
}

// Token tells the principal by the Authorization header. present is false if there is no token at all. A TooMany
// error says that so many wrong ones came from the same address that this one was not looked at.
func (s *Sessions) Token(r *http.Request) (p hub.Principal, present bool, err error) {
	token := tokenOf(r)
	if token == "" {
		return hub.Principal{}, false, nil
	}
	from := addressOf(r)
	if err := s.Guesses.mayTry(from); err != nil {
		return hub.Principal{}, true, err
	}
	p, err = s.Accounts.TokenPrincipal(r.Context(), token)
	if err == nil || hub.KindOf(err) == hub.Forbidden {
		s.Guesses.tried(from, token, err == nil)
	}
	return p, true, err
}

// LoginOf tells whose login a value of the login cookie stands for, or hub.ErrNoSession.
func (s *Sessions) LoginOf(ctx context.Context, value string) (hub.Principal, error) {
	id, code, ok := strings.Cut(value, ".")
	if !ok || !s.Keys.Verify(loginPurpose, []byte(id), code) {
		return hub.Principal{}, hub.ErrNoSession
	}
	return s.Accounts.SessionPrincipal(ctx, id)
}

const blanks = " \t\n\f\r"

// tokenOf is the secret that the request carries, or "". Tokens are sent by JupyterHub's own scheme or OAuth's.
func tokenOf(r *http.Request) string {
	header := r.Header.Get("Authorization")
	end := strings.IndexAny(header, blanks)
	if end < 0 {
		return ""
	}
	scheme, token := header[:end], strings.TrimLeft(header[end:], blanks)
	if !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") || strings.ContainsAny(token, blanks) {
		return ""
	}
	return token
}

var browserID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Client describes the browser for a login.
func (s *Sessions) Client(r *http.Request) hub.Browser {
	b := hub.Browser{Address: ClientIPText(r), UserAgent: r.UserAgent()}
	if c, err := r.Cookie(BrowserCookie); err == nil && browserID.MatchString(c.Value) {
		b.ID = c.Value
	}
	return b
}

// sealedFlow is a value that a browser keeps for us for minutes.
type sealedFlow struct {
	Expires time.Time       `json:"expires"`
	Value   json.RawMessage `json:"value"`
}

// KeepFlow seals v into a cookie that lasts for one login through a provider. key tells one provider from another.
func (s *Sessions) KeepFlow(w http.ResponseWriter, r *http.Request, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealedFlow{Expires: time.Now().Add(flowLifetime), Value: raw})
	if err != nil {
		return err
	}
	sealed, err := s.Keys.Seal(flowPurpose+"."+key, plain)
	if err != nil {
		return err
	}
	s.set(w, r, &http.Cookie{
		Name: s.flowName(key), Value: sealed, Path: s.ownPath(), HttpOnly: true,
		MaxAge: int(flowLifetime.Seconds()), SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// TakeFlow opens what KeepFlow sealed, and has the browser forget it. False if there is none, it is too old, or it is not ours.
func (s *Sessions) TakeFlow(w http.ResponseWriter, r *http.Request, key string, v any) bool {
	c, err := r.Cookie(s.flowName(key))
	if err != nil {
		return false
	}
	s.set(w, r, &http.Cookie{Name: s.flowName(key), Path: s.ownPath(), MaxAge: -1, HttpOnly: true})
	plain, err := s.Keys.Open(flowPurpose+"."+key, c.Value)
	if err != nil {
		return false
	}
	var f sealedFlow
	return json.Unmarshal(plain, &f) == nil && time.Now().Before(f.Expires) && json.Unmarshal(f.Value, v) == nil
}

// flowName is a cookie's name for a key that may hold anything.
func (s *Sessions) flowName(key string) string {
	return s.ownName(flowCookie) + "-" + base64.RawURLEncoding.EncodeToString([]byte(key))
}

package httpd

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	xsrfCookie   = "_xsrf"
	xsrfPurpose  = "xsrf.session.v1"
	anonPurpose  = "xsrf.anonymous.v1"
	anonPrefix   = "anon."
	anonLifetime = time.Hour
)

// A page token proves that a request was made by one of our own pages: other sites can send a browser's cookies here, but cannot read them. For a session it
// is a code over the session's ID; for a visitor it is a signed random value which must also be in the cookie.

func (s *Sessions) pageToken(sessionID string) string {
	return s.Keys.Sign(xsrfPurpose, []byte(sessionID))
}

// setPageToken hides the cookie from scripts, unlike JupyterHub: one of a notebook on the hub's own host can give its page an address below /hub/, without loading it, and
// read the cookies of that path.
func (s *Sessions) setPageToken(w http.ResponseWriter, r *http.Request, token string) {
	c := &http.Cookie{Name: xsrfCookie, Value: token, Path: s.URLs.Hub(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strings.HasPrefix(token, anonPrefix) {
		c.MaxAge = int(anonLifetime.Seconds())
	}
	s.set(w, r, c)
}

// PageToken returns the token for the forms of a page, and sees to it that the browser has the cookie. session is nil for a visitor. A script that does not know the
// token does not learn it from the page: "".
func (s *Sessions) PageToken(w http.ResponseWriter, r *http.Request, session *hub.Session) string {
	if readByScript(r) && !s.carriesPageToken(r, session) {
		return ""
	}
	for _, c := range r.CookiesNamed(xsrfCookie) {
		if s.validPageToken(c.Value, session) {
			return c.Value
		}
	}
	var token string
	if session != nil {
		token = s.pageToken(session.ID)
	} else {
		nonce := rand.Text()
		token = anonPrefix + nonce + "." + s.Keys.Sign(anonPurpose, []byte(nonce))
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode == "" || mode == "navigate" {
		s.setPageToken(w, r, token)
	}
	return token
}

func (s *Sessions) validPageToken(token string, session *hub.Session) bool {
	if session != nil {
		return s.Keys.Verify(xsrfPurpose, []byte(session.ID), token)
	}
	rest, ok := strings.CutPrefix(token, anonPrefix)
	nonce, code, found := strings.Cut(rest, ".")
	return ok && found && s.Keys.Verify(anonPurpose, []byte(nonce), code)
}

// errXSRF is what a forged or outdated request gets.
var errXSRF = hub.Errorf(hub.Forbidden, "This page is out of date, or the request came from another site. Reload the page and try again.")

// CheckXSRF refuses a request that lives on the browser's cookies but was not made by one of our pages. api tells that even reading is checked when the
// browser says that a script asks. Source: hub-protocol of JupyterHub since 4.1.
func (s *Sessions) CheckXSRF(r *http.Request, session *hub.Session, api bool) error {
	if !needsPageToken(r, api) {
		return nil
	}
	if !isReading(r.Method) && madeElsewhere(r, s.URLs) || !s.carriesPageToken(r, session) {
		return errXSRF
	}
	return nil
}

// carriesPageToken tells whether the request has the token of the session's pages, or, for a visitor, the one that is in the visitor's cookie.
func (s *Sessions) carriesPageToken(r *http.Request, session *hub.Session) bool {
	for _, token := range []string{r.Header.Get("X-XSRFToken"), r.Header.Get("X-CSRFToken"), r.URL.Query().Get(xsrfCookie), formToken(r)} {
		if token == "" || !s.validPageToken(token, session) {
			continue
		}
		if session != nil {
			return true
		}
		for _, c := range r.CookiesNamed(xsrfCookie) {
			if subtle.ConstantTimeCompare([]byte(c.Value), []byte(token)) == 1 {
				return true
			}
		}
	}
	return false
}

func isReading(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func formToken(r *http.Request) string {
	switch ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); ct {
	case "application/x-www-form-urlencoded", "multipart/form-data":
	default:
		return ""
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody) // also where a request comes by another way than the router's
	return r.PostFormValue(xsrfCookie)
}

func needsPageToken(r *http.Request, api bool) bool {
	reading := isReading(r.Method)
	if !api && reading || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return false
	}
	mode, site := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case reading && mode == "websocket": // a handshake; browsers have no other request of this mode
		return false
	case reading && (mode == "" || mode == "navigate"):
		return false
	case reading && mode == "no-cors" && site == "same-origin":
		return false
	}
	return true
}

package httpd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/secret"
)

// accounts know the sessions and tokens that a test gives them.
type accounts struct {
	sessions, tokens map[string]hub.Principal
}

func (a accounts) SessionPrincipal(_ context.Context, id string) (hub.Principal, error) {
	if p, ok := a.sessions[id]; ok {
		return p, nil
	}
	return hub.Principal{}, hub.ErrNoSession
}

func (a accounts) TokenPrincipal(_ context.Context, token string) (hub.Principal, error) {
	if p, ok := a.tokens[token]; ok {
		return p, nil
	}
	return hub.Principal{}, hub.Errorf(hub.Forbidden, "The token is not known.")
}

// aliceSession is a session of alice.
func aliceSession() hub.Session {
	return hub.Session{ID: "s-alice", UserID: "u1", BrowserID: strings.Repeat("ab", 16), Expires: time.Now().Add(time.Hour)}
}

func bobSession() hub.Session {
	return hub.Session{ID: "s-bob", UserID: "u2", BrowserID: strings.Repeat("cd", 16), Expires: time.Now().Add(time.Hour)}
}

func newSessions(t testing.TB, keyIDs ...string) *httpd.Sessions {
	t.Helper()
	if len(keyIDs) == 0 {
		keyIDs = []string{"k1"}
	}
	keys := secret.Secret{Values: map[string]secret.Value{}}
	for _, id := range keyIDs {
		keys.Values[id] = secret.Value(strings.Repeat(id, 32)[:64])
	}
	ring, err := secret.NewKeyRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := aliceSession(), bobSession()
	a := accounts{
		sessions: map[string]hub.Principal{
			alice.ID: {User: hub.User{ID: "u1", Name: "alice"}, Session: &alice}, bob.ID: {User: hub.User{ID: "u2", Name: "bob"}, Session: &bob},
		},
		tokens: map[string]hub.Principal{"t0ken": {User: hub.User{ID: "u1", Name: "alice"}, Token: &hub.Token{ID: 7}}},
	}
	for i := range 500 {
		a.tokens[fmt.Sprintf("alice-%d", i)] = hub.Principal{User: hub.User{ID: "u1", Name: "alice"}, Token: &hub.Token{ID: int64(100 + i)}}
	}
	return &httpd.Sessions{Accounts: a, Keys: ring, URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081")}
}

// request is one to the hub, with the cookies of an earlier answer.
func request(method, target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "hub.example"
	for _, c := range cookies {
		if c.MaxAge >= 0 {
			r.AddCookie(c)
		}
	}
	return r
}

// cookies are those that an answer sets.
func cookies(w *httptest.ResponseRecorder) []*http.Cookie { return w.Result().Cookies() }

func cookie(t *testing.T, w *httptest.ResponseRecorder, name string) *http.Cookie {
	t.Helper()
	for _, c := range cookies(w) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no cookie %s in %v", name, w.Header())
	return nil
}

// begin logs the session in and returns the cookies of its browser.
func begin(s *httpd.Sessions, sess hub.Session) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Begin(w, request(http.MethodPost, "/hub/login"), sess)
	return w
}

func postForm(target string, form url.Values, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Host = "hub.example"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

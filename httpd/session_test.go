package httpd_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func TestCookiesOfALogin(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	w := begin(s, aliceSession())
	login, browser, page := cookie(t, w, httpd.LoginCookie), cookie(t, w, httpd.BrowserCookie), cookie(t, w, "_xsrf")
	if login.Path != "/hub/" || !login.HttpOnly || login.SameSite != http.SameSiteLaxMode || login.Expires.IsZero() {
		t.Errorf("login cookie: %+v", login)
	}
	if browser.Path != "/" || !browser.HttpOnly || browser.Value != aliceSession().BrowserID || !browser.Expires.IsZero() || browser.MaxAge != 0 {
		t.Errorf("browser cookie: %+v", browser)
	}
	if page.Path != "/hub/" || !page.HttpOnly || page.MaxAge != 0 {
		t.Errorf("page cookie: %+v", page)
	}
	for _, c := range cookies(w) {
		if c.Secure {
			t.Errorf("%s would be lost without TLS", c.Name)
		}
	}
	p, err := s.Browser(request("GET", "/hub/home", cookies(w)...))
	if err != nil || p.User.Name != "alice" {
		t.Errorf("the browser is %+v (%v)", p, err)
	}
}

func TestCookiesAreSecureWithTLS(t *testing.T) {
	t.Parallel()
	direct, behind := newSessions(t), newSessions(t)
	behind.URLs = hub.NewURLs("/", &url.URL{Scheme: "https", Host: "public.example"}, "http://127.0.0.1:8081")
	overTLS := request("POST", "/hub/login")
	overTLS.TLS = &tls.ConnectionState{}
	for name, c := range map[string]struct {
		s *httpd.Sessions
		r *http.Request
	}{"own TLS": {direct, overTLS}, "TLS before us": {behind, request("POST", "/hub/login")}} {
		w := httptest.NewRecorder()
		c.s.Begin(w, c.r, aliceSession())
		for _, cookie := range cookies(w) {
			if !cookie.Secure {
				t.Errorf("%s: %s is not secure", name, cookie.Name)
			}
		}
	}
}

func TestForgedLoginCookies(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	good := cookie(t, begin(s, aliceSession()), httpd.LoginCookie)
	id, code, _ := strings.Cut(good.Value, ".")
	other := cookie(t, begin(newSessions(t, "k2"), aliceSession()), httpd.LoginCookie)
	for _, bad := range []string{
		"", ".", id, id + ".", "." + code, "s-bob." + code, good.Value + "x", good.Value[1:], strings.ToUpper(good.Value), other.Value,
		id + "." + s.Keys.Sign("xsrf.session.v1", []byte(id)), // signed for another purpose
		"gone." + s.Keys.Sign("cookie.login.v1", []byte("gone")),
	} {
		_, err := s.Browser(request("GET", "/hub/home", &http.Cookie{Name: httpd.LoginCookie, Value: bad}))
		if hub.KindOf(err) != hub.Unauthenticated {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// A server on the same host can plant a cookie of the same name beside ours; the one that we signed counts.
	planted := &http.Cookie{Name: httpd.LoginCookie, Value: "x.y"}
	if p, err := s.Browser(request("GET", "/hub/home", planted, good)); err != nil || p.User.Name != "alice" {
		t.Errorf("a planted cookie hides ours: %v", err)
	}
}

// TestKeyRotation: cookies that an older key signed stay good, and new ones are signed by the newest.
// TestA06_AnEndedSessionHidesNoGoodOne: a page on the same site can put a cookie of its own before the good one, by a longer path.
func TestA06_AnEndedSessionHidesNoGoodOne(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	ended := bobSession()
	ended.ID = "s-ended"
	old, good := cookie(t, begin(s, ended), httpd.LoginCookie), cookie(t, begin(s, aliceSession()), httpd.LoginCookie)
	for name, given := range map[string][]*http.Cookie{"before": {old, good}, "after": {good, old}} {
		if p, err := s.Browser(request("GET", "/hub/home", given...)); err != nil || p.User.Name != "alice" {
			t.Errorf("%s: %+v, %v", name, p.User, err)
		}
	}
	if _, err := s.Browser(request("GET", "/hub/home", old, old, old, old, good)); !errors.Is(err, hub.ErrNoSession) {
		t.Errorf("there is no end to the sessions that one request has looked up: %v", err)
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	old, rotated := newSessions(t, "k1"), newSessions(t, "k1", "k2")
	before := begin(old, aliceSession())
	if _, err := rotated.Browser(request("GET", "/hub/home", cookies(before)...)); err != nil {
		t.Errorf("the rotation logged alice out: %v", err)
	}
	if _, err := old.Browser(request("GET", "/hub/home", cookies(begin(rotated, aliceSession()))...)); err == nil {
		t.Error("the old ring knows what the new key signed")
	}
}

func TestEndTakesAllCookiesBack(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	given, taken := begin(s, aliceSession()), httptest.NewRecorder()
	s.End(taken, request("GET", "/hub/logout"))
	for _, c := range cookies(given) {
		if back := cookie(t, taken, c.Name); back.MaxAge >= 0 || back.Path != c.Path || back.Value != "" {
			t.Errorf("%s is not taken back: %+v", c.Name, back)
		}
	}
}

func TestKeepBrowserID(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	sess := aliceSession()
	for value, set := range map[string]bool{"": true, "other": true, sess.BrowserID: false} {
		r, w := request("GET", "/hub/home"), httptest.NewRecorder()
		if value != "" {
			r.AddCookie(&http.Cookie{Name: httpd.BrowserCookie, Value: value})
		}
		s.KeepBrowserID(w, r, sess)
		if got := len(cookies(w)) == 1; got != set {
			t.Errorf("cookie %q: set is %v", value, got)
		}
	}
}

func TestClientTakesOnlyAPlausibleBrowserID(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	good := strings.Repeat("0f", 16)
	for value, want := range map[string]string{good: good, strings.ToUpper(good): "", good[1:]: "", good + "0": "", "x": "", "": ""} {
		r := request("POST", "/hub/login")
		r.AddCookie(&http.Cookie{Name: httpd.BrowserCookie, Value: value})
		if got := s.Client(r).ID; got != want {
			t.Errorf("%q is taken as %q", value, got)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	for header, want := range map[string]struct{ present, ok bool }{
		"token t0ken": {true, true}, "Bearer t0ken": {true, true}, "TOKEN   t0ken": {true, true}, "bearer\tt0ken": {true, true},
		"token other": {true, false}, "token t0ken x": {false, false}, "Basic t0ken": {false, false}, "t0ken": {false, false}, "token": {false, false}, "": {false, false},
	} {
		r := request("GET", "/hub/api/user")
		r.Header.Set("Authorization", header)
		p, present, err := s.Token(r)
		if present != want.present || (present && err == nil) != want.ok || want.ok && p.User.Name != "alice" {
			t.Errorf("%q: %+v, present %v, %v", header, p, present, err)
		}
	}
	r := request("GET", "/hub/api/user?token=t0ken")
	if _, present, _ := s.Token(r); present {
		t.Error("a token in the address is taken; addresses end up in logs")
	}
}

type flow struct{ State, Next string }

func TestFlow(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	const key = `corp "é";,=`
	kept := httptest.NewRecorder()
	if err := s.KeepFlow(kept, request("GET", "/hub/oauth_login/x"), key, flow{"the state", "/hub/home"}); err != nil {
		t.Fatal(err)
	}
	c := cookies(kept)[0]
	if !c.HttpOnly || c.Path != "/hub/" || c.MaxAge <= 0 || c.MaxAge > 3600 || strings.Contains(c.Value, "the state") {
		t.Errorf("cookie %+v", c)
	}
	var got flow
	taken := httptest.NewRecorder()
	if !s.TakeFlow(taken, request("GET", "/hub/oauth_callback/x", c), key, &got) || got != (flow{"the state", "/hub/home"}) {
		t.Errorf("took %+v", got)
	}
	if back := cookies(taken)[0]; back.Name != c.Name || back.MaxAge >= 0 {
		t.Errorf("the browser keeps it: %+v", back)
	}
	for name, bad := range map[string]*http.Cookie{
		"changed": {Name: c.Name, Value: c.Value + "x"}, "empty": {Name: c.Name}, "plain": {Name: c.Name, Value: `{"value":{"State":"the state"}}`},
	} {
		if s.TakeFlow(httptest.NewRecorder(), request("GET", "/x", bad), key, &got) {
			t.Errorf("%s is taken", name)
		}
	}
	if s.TakeFlow(httptest.NewRecorder(), request("GET", "/x"), key, &got) {
		t.Error("nothing is taken")
	}
	if s.TakeFlow(httptest.NewRecorder(), request("GET", "/x", c), "other", &got) {
		t.Error("the flow of one provider is taken for another")
	}
}

func TestNeedLogin(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	g := httpd.Group{Render: httpd.RenderJSON, Log: discard()}
	handler := s.NeedLogin(g)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(httpd.Principal(r).User.Name))
	}))
	serve := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	if w := serve(request("GET", "/hub/token?a=b&c=d")); w.Code != http.StatusFound || w.Header().Get("Location") != "/hub/login?next=%2Fhub%2Ftoken%3Fa%3Db%26c%3Dd" {
		t.Errorf("a visitor gets %d %v", w.Code, w.Header())
	}
	if w := serve(request("POST", "/hub/token")); w.Code != http.StatusForbidden {
		t.Errorf("a visitor's write gets %d", w.Code)
	}
	login := cookies(begin(s, aliceSession()))
	if w := serve(request("GET", "/hub/token", login...)); w.Code != http.StatusOK || w.Body.String() != "alice" {
		t.Errorf("alice gets %d %s", w.Code, w.Body)
	}
	reopened := serve(request("GET", "/hub/token", cookie(t, begin(s, aliceSession()), httpd.LoginCookie)))
	if c := cookie(t, reopened, httpd.BrowserCookie); c.Value != aliceSession().BrowserID {
		t.Errorf("a browser that was closed gets the cookie %+v", c)
	}
	if w := serve(request("POST", "/hub/token", login...)); w.Code != http.StatusForbidden {
		t.Errorf("a forged write gets %d", w.Code)
	}
	token := s.PageToken(httptest.NewRecorder(), request("GET", "/hub/home", login...), new(aliceSession()))
	if w := serve(postForm("/hub/token", url.Values{"_xsrf": {token}}, login...)); w.Code != http.StatusOK {
		t.Errorf("her own write gets %d %s", w.Code, w.Body)
	}
	r := request("GET", "/hub/token")
	r.Header.Set("Authorization", "token t0ken")
	if w := serve(r); w.Code != http.StatusFound {
		t.Errorf("a token opens a page: %d", w.Code)
	}
}

func TestNeedCredential(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	g := httpd.Group{Render: httpd.RenderJSON, Log: discard()}
	handler := s.NeedCredential(g)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(httpd.Principal(r).User.Name))
	}))
	login := cookies(begin(s, bobSession()))
	token := s.PageToken(httptest.NewRecorder(), request("GET", "/hub/home", login...), new(bobSession()))
	for name, c := range map[string]struct {
		method string
		header map[string]string
		cookie bool
		status int
		who    string
	}{
		"nobody":                         {"GET", nil, false, 403, ""},
		"a token":                        {"POST", map[string]string{"Authorization": "token t0ken"}, false, 200, "alice"},
		"the token wins over the cookie": {"GET", map[string]string{"Authorization": "Bearer t0ken"}, true, 200, "alice"},
		"a bad token, and a cookie":      {"GET", map[string]string{"Authorization": "token x"}, true, 200, "bob"},
		"a bad token":                    {"GET", map[string]string{"Authorization": "token x"}, false, 403, ""},
		"a cookie, reading":              {"GET", nil, true, 200, "bob"},
		"a script without page token":    {"GET", map[string]string{"Sec-Fetch-Mode": "cors"}, true, 403, ""},
		"a script with it":               {"GET", map[string]string{"Sec-Fetch-Mode": "cors", "X-XSRFToken": token}, true, 200, "bob"},
		"a write without it":             {"POST", nil, true, 403, ""},
		"a write with it":                {"POST", map[string]string{"X-XSRFToken": token}, true, 200, "bob"},
		"JSON with it":                   {"POST", map[string]string{"X-XSRFToken": token, "Content-Type": "application/json"}, true, 200, "bob"},
		"JSON in capitals":               {"POST", map[string]string{"X-XSRFToken": token, "Content-Type": "Application/JSON; charset=utf-8"}, true, 200, "bob"},
		"what only begins like JSON":     {"POST", map[string]string{"X-XSRFToken": token, "Content-Type": "application/jsonp"}, true, 403, ""},
		"another site's form":            {"POST", map[string]string{"X-XSRFToken": token, "Content-Type": "text/plain"}, true, 403, ""},
	} {
		r := request(c.method, "/hub/api/user")
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		if c.cookie {
			for _, k := range login {
				r.AddCookie(k)
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status || c.status == 200 && w.Body.String() != c.who {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

package httpd_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// apart are the addresses of a hub that keeps its users apart in every way.
func apart() hub.URLs {
	return hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.example"}, "http://127.0.0.1:8081").WithSubdomains().WithHostPrefix()
}

// TestA06_HostPrefix: with the prefix the cookies are as browsers want them, and those that another host could have planted count for nothing.
func TestA06_HostPrefix(t *testing.T) {
	t.Parallel()
	s, plain := newSessions(t), newSessions(t)
	s.URLs = apart()
	w := begin(s, aliceSession())
	login := cookie(t, w, "__Host-jupyterhub-hub-login")
	if login.Path != "/" || !login.Secure || !login.HttpOnly || login.Domain != "" {
		t.Errorf("login cookie: %+v", login)
	}
	if c := cookie(t, w, "jupyterhub-session-id"); c.Domain != "hub.example" || c.Path != "/" || !c.Secure {
		t.Errorf("the cookie by which servers tell sessions apart: %+v", c)
	}
	if c := cookie(t, w, "_xsrf"); c.Path != "/hub/" || c.Domain != "" {
		t.Errorf("page cookie: %+v", c)
	}
	planted := cookie(t, begin(plain, bobSession()), httpd.LoginCookie) // signed by the hub, for a session of the attacker's own
	for name, given := range map[string][]*http.Cookie{"before": {planted, login}, "after": {login, planted}} {
		if p, err := s.Browser(request("GET", "/hub/home", given...)); err != nil || p.User.Name != "alice" {
			t.Errorf("%s: %+v, %v", name, p.User, err)
		}
	}
	if _, err := s.Browser(request("GET", "/hub/home", planted)); hub.KindOf(err) != hub.Unauthenticated {
		t.Errorf("a cookie without the prefix logs in: %v", err)
	}
	taken := httptest.NewRecorder()
	s.End(taken, request("GET", "/hub/logout"))
	for _, c := range cookies(w) {
		if back := cookie(t, taken, c.Name); back.MaxAge >= 0 || back.Path != c.Path || back.Domain != c.Domain || back.Secure != c.Secure {
			t.Errorf("%s is not taken back: %+v", c.Name, back)
		}
	}
	kept := httptest.NewRecorder()
	if err := s.KeepFlow(kept, request("GET", "/hub/oauth_login/x"), "x.y", flow{}); err != nil {
		t.Fatal(err)
	}
	if c := cookies(kept)[0]; !strings.HasPrefix(c.Name, "__Host-nomadhub-login-flow-") || c.Path != "/" || !c.Secure {
		t.Errorf("the cookie of a login through a provider: %+v", c)
	}
	var got flow
	if !s.TakeFlow(httptest.NewRecorder(), request("GET", "/hub/oauth_callback/x", cookies(kept)...), "x.y", &got) {
		t.Error("the flow is lost")
	}
}

// TestA06_LoginFromElsewhere: somebody with a host below the hub's has a visitor's token of their own, plants it as a cookie, and sends a form that logs the visitor in
// as them. The token is right; where the form comes from is not.
func TestA06_LoginFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	s.URLs = hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.example"}, "http://127.0.0.1:8081")
	w := httptest.NewRecorder()
	token := s.PageToken(w, request("GET", "/hub/login"), nil)
	planted := cookie(t, w, "_xsrf")
	alice := aliceSession()
	aliceToken := s.PageToken(httptest.NewRecorder(), request("GET", "/hub/home"), &alice)
	for _, c := range []struct {
		site, origin string
		ok           bool
	}{
		{"same-origin", "https://hub.example", true}, {"none", "", true}, {"", "", true}, {"", "https://hub.example", true}, {"", "https://HUB.example", true},
		{"same-origin", "null", true}, // the browser's word counts
		{"same-site", "https://mallory.hub.example", false}, {"cross-site", "https://evil.example", false}, {"same-site", "", false}, {"odd", "", false},
		{"", "https://mallory.hub.example", false}, {"", "null", false}, {"", "https://hub.example.evil.example", false}, {"", "https://hub.example:8443", false}, {"", "%", false},
	} {
		for who, session := range map[string]*hub.Session{"visitor": nil, "alice": &alice} {
			form := url.Values{"_xsrf": {token}}
			if session != nil {
				form = url.Values{"_xsrf": {aliceToken}}
			}
			r := postForm("/hub/login", form, planted)
			for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			if err := s.CheckXSRF(r, session, false); (err == nil) != c.ok {
				t.Errorf("%+v as %s: %v", c, who, err)
			}
		}
	}
	// Without a configured address nobody knows what a proxy made of the host; browsers' own word still counts.
	s.URLs = hub.NewURLs("/", nil, "http://127.0.0.1:8081")
	r := postForm("/hub/login", url.Values{"_xsrf": {token}}, planted)
	r.Header.Set("Origin", "https://public.example")
	if err := s.CheckXSRF(r, nil, false); err != nil {
		t.Errorf("behind a proxy: %v", err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-site")
	if s.CheckXSRF(r, nil, false) == nil {
		t.Error("the browser says that another host sent the form, and it is taken")
	}
}

// TestA27_ScriptsDoNotReadPages: a notebook on the hub's own host has its origin, and asks in its visitor's name.
func TestA27_ScriptsDoNotReadPages(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	g := httpd.Group{Render: httpd.RenderJSON, Log: discard()}
	page := s.NeedLogin(g)(s.NeedPerson(g)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(s.PageToken(w, r, httpd.Principal(r).Session)))
	})))
	login := begin(s, aliceSession())
	token := cookie(t, login, "_xsrf").Value
	for _, c := range []struct {
		method, mode, dest, token string
		status                    int
	}{
		{"GET", "navigate", "document", "", 200}, {"GET", "", "", "", 200}, {"GET", "no-cors", "image", "", 200},
		{"GET", "cors", "empty", "", 403}, {"GET", "same-origin", "empty", "", 403}, {"HEAD", "cors", "empty", "", 403}, {"GET", "cors", "empty", "x", 403},
		{"GET", "cors", "empty", token, 200}, {"GET", "same-origin", "empty", token, 200},
	} {
		r, w := request(c.method, "/hub/home", cookies(login)...), httptest.NewRecorder()
		for name, value := range map[string]string{"Sec-Fetch-Mode": c.mode, "Sec-Fetch-Dest": c.dest, "X-XSRFToken": c.token} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		page.ServeHTTP(w, r)
		if w.Code != c.status || w.Code == http.StatusOK && w.Body.String() != token {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
		if w.Code != http.StatusOK && strings.Contains(w.Body.String(), token) {
			t.Errorf("%+v: the refusal shows the token", c)
		}
	}
	// Pages that anybody may see hide it, too.
	r := request("GET", "/hub/login", cookies(login)...)
	r.Header.Set("Sec-Fetch-Mode", "cors")
	if got := s.PageToken(httptest.NewRecorder(), r, new(aliceSession())); got != "" {
		t.Errorf("a script learns the token %q", got)
	}
}

// TestHostsOfOthersHaveNoHub: what is served on a user's host never has the hub's pages beside it.
func TestHostsOfOthersHaveNoHub(t *testing.T) {
	t.Parallel()
	say := func(what string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, what) }
	}
	mount := func(what string) func(chi.Router) {
		return func(r chi.Router) { r.HandleFunc("/home", say(what)); r.HandleFunc("/user", say(what)) }
	}
	public := httpd.NewRouters(httpd.Parts{
		URLs: apart(), Pages: mount("page"), API: mount("api"), OAuth: mount("oauth"), Proxy: say("proxy"),
		RenderPage: httpd.RenderJSON, Log: slog.New(slog.DiscardHandler),
	}).Public
	for _, c := range []struct {
		method, host, path, body, location string
		status                             int
	}{
		{"GET", "hub.example", "/hub/home", "page", "", 200}, {"GET", "10.0.0.7:8000", "/hub/home", "page", "", 200}, {"GET", "hub.example:8443", "/hub/api/user", "api", "", 200},
		{"GET", "al.hub.example", "/hub/home?a=%2F", "", "https://hub.example/hub/home?a=%2F", 302}, {"HEAD", "AL.hub.example:443", "/hub/home", "", "https://hub.example/hub/home", 302},
		{"GET", "al.hub.example", "/hub", "", "https://hub.example/hub", 302}, {"GET", "al.hub.example", "/hub/user/a%2Fb/x", "", "https://hub.example/hub/user/a%2Fb/x", 302},
		{"POST", "al.hub.example", "/hub/home", "not at this host", "", 404}, {"GET", "al.hub.example", "/hub/api/user", "not at this host", "", 404},
		{"GET", "al.hub.example", "/user/al/", "proxy", "", 200}, {"GET", "hub.example", "/user/al/", "proxy", "", 200}, {"POST", "al.hub.example", "/hubs", "proxy", "", 200},
	} {
		r, w := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody), httptest.NewRecorder()
		r.Host = c.host
		public.ServeHTTP(w, r)
		said := strings.Replace(w.Body.String(), "This is a host of a user or a service", "not at this host", 1)
		if w.Code != c.status || w.Header().Get("Location") != c.location || !strings.Contains(said, c.body) {
			t.Errorf("%s %s%s: %d %q %s", c.method, c.host, c.path, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
}

// TestNextOnOtherHosts: a place on a user's host is one of ours, and loses its host, which is looked up anew.
func TestNextOnOtherHosts(t *testing.T) {
	t.Parallel()
	r := request(http.MethodGet, "/hub/login")
	for next, want := range map[string]string{
		"https://al.hub.example/user/al/lab?x=1": "/user/al/lab?x=1", "//al.hub.example/user/al/": "/user/al/", "https://hub.example/hub/home": "/hub/home",
		"https://bo.hub.example/user/al/": "/user/al/",
		"https://evilhub.example/x":       "", "https://al.hub.example.evil.example/x": "", "https://al.hub.example@evil.example/": "", "https://al.hub.example\\@evil.example/": "",
		"javascript://al.hub.example/%0aalert(1)": "", "https://example/x": "", "https://other.example/": "",
	} {
		if got := httpd.SafeNext(r, apart(), next); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
		if got := httpd.SafeNext(r, hub.NewURLs("/", &url.URL{Scheme: "https", Host: "hub.example"}, ""), next); strings.Contains(next, ".hub.example") && got != "" {
			t.Errorf("without such hosts %q leads to %q", next, got)
		}
	}
}

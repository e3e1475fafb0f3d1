package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
)

func credentials(name, password string) url.Values {
	return url.Values{"username": {name}, "password": {password}}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, c := range map[string]struct {
		user, password string
		status         int
		says           string
	}{
		"wrong password":  {"alice", "nope", http.StatusForbidden, "The user name or the password is wrong."},
		"blocked":         {"mallory", "open", http.StatusForbidden, "you may not use this hub"},
		"a name too bad":  {"a/b", "open", http.StatusForbidden, "slash"},
		"provider is out": {"outage", "open", http.StatusServiceUnavailable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			v := b.in(t).visit()
			page := v.get("/hub/login?next=%2Fhub%2Ftoken").want(http.StatusOK)
			a := v.submit(page.form("login"), credentials(c.user, c.password)).want(c.status).says(c.says)
			again := a.form("login")
			if again.fields.Get("username") != c.user || !strings.Contains(again.action, "next=%2Fhub%2Ftoken") {
				t.Errorf("the form forgot what was typed or where to go: %+v", again)
			}
			v.get("/hub/home").want(http.StatusFound)
		})
	}
}

// TestLoginXSRF: a form that another site sends, with its own token or none, logs nobody in.
func TestLoginXSRF(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.visit()
	own := v.get("/hub/login").form("login").fields.Get("_xsrf")
	foreign := b.visit().get("/hub/login").form("login").fields.Get("_xsrf")
	if own == foreign {
		t.Fatal("two visitors have one page token")
	}
	for name, token := range map[string]string{"none": "", "of another visitor": foreign, "made up": "anon.x.y", "changed": own + "x"} {
		form := credentials("alice", "open")
		form.Set("_xsrf", token)
		a := v.post("/hub/login", form)
		if a.status != http.StatusForbidden || !strings.Contains(a.text(), "try again") || !a.has("login_submit") {
			t.Errorf("token %s: status %d\n%s", name, a.status, a.text())
		}
		v.get("/hub/home").want(http.StatusFound)
	}
	script := v.with("Sec-Fetch-Mode", "cors")
	script.post("/hub/login", credentials("alice", "open")).want(http.StatusForbidden)
	// Another visitor's cookie does not make another visitor's token good either.
	bare := b.visit()
	form := credentials("alice", "open")
	form.Set("_xsrf", own)
	bare.post("/hub/login", form).want(http.StatusForbidden)
	form.Set("_xsrf", own)
	v.post("/hub/login", form).want(http.StatusFound)
}

func TestLoginLeadsOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.visit()
	v.login("alice", "").to("/hub/spawn")
	v.get("/hub/login").want(http.StatusFound).to("/hub/spawn")
	v.get("/hub/login?next=%2Fhub%2Ftoken%3Fa%3Db").want(http.StatusFound).to("/hub/token?a=b")
	for _, bad := range []string{"https://evil.example/", "//evil.example", `\\evil.example`, "javascript:alert(1)"} {
		v.get("/hub/login?next=" + url.QueryEscape(bad)).want(http.StatusFound).to("/hub/spawn")
	}
	v.get("/hub/login?image=x&_xsrf=1").want(http.StatusFound).to("/hub/spawn?image=x")
	v.with("Sec-Fetch-Site", "cross-site").get("/hub/").want(http.StatusFound).to("/hub/home") // no start by a foreign link
	v.get("/hub/spawn").want(http.StatusFound)
	b.await("alice", "", hub.Ready)
	v.get("/hub/").want(http.StatusFound).to("/user/alice/")

	other := newBench(t, func(s *setup) { s.pages.HomeFirst = true })
	other.visit().login("alice", "").to("/hub/home")
}

// TestLoginPageLeftOpen: a login page that was open in a second window while the first one logged in leads on instead of complaining.
func TestLoginPageLeftOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.visit()
	stale := v.get("/hub/login?next=%2Fhub%2Ftoken").form("login")
	v.login("alice", "")
	v.submit(stale, credentials("alice", "open")).want(http.StatusFound).to("/hub/token")
	v.get("/hub/home").want(http.StatusOK).says("alice")
}

func TestLoginAsSomebodyElseEndsTheFormerSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	form := credentials("bob", "open")
	form.Set("_xsrf", v.get("/hub/home").form("start").fields.Get("_xsrf"))
	v.post("/hub/login", form).want(http.StatusFound)
	v.get("/hub/home").want(http.StatusOK).says("bob")
	u, err := b.hub.UserByName(t.Context(), "alice")
	check(t, err)
	left, err := b.hub.Sessions(t.Context(), u.ID)
	check(t, err)
	if len(left) != 0 {
		t.Errorf("alice is still logged in: %+v", left)
	}
}

// TestALoginThatIsRefusedEndsNothing: whoever tries another account and may not use it is still who they were.
func TestALoginThatIsRefusedEndsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	form := credentials("mallory", "open")
	form.Set("_xsrf", v.get("/hub/home").form("start").fields.Get("_xsrf"))
	v.post("/hub/login", form).want(http.StatusForbidden)
	v.get("/hub/home").want(http.StatusOK).says("alice")
}

func TestSeveralAuthenticatorsOnOnePage(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) {
		s.pages.Authenticators = []auth.Authenticator{door{"door", "Door"}, &provider{id: "corp", label: "Corp <Inc>"}, door{"gate", "Gate"}}
	})
	v := b.visit()
	page := v.get("/hub/login").want(http.StatusOK).says("Log in with Corp <Inc>").says("Door").says("Gate")
	v.submit(page.form("login_gate"), credentials("alice", "open")).want(http.StatusFound)
	u, err := b.hub.UserByName(t.Context(), "alice")
	check(t, err)
	sessions, err := b.hub.Sessions(t.Context(), u.ID)
	check(t, err)
	if len(sessions) != 1 || sessions[0].Provider != "gate" {
		t.Errorf("logged in by %+v", sessions)
	}
	form := credentials("bob", "open")
	v = b.visit()
	form.Set("_xsrf", v.get("/hub/login").form("login").fields.Get("_xsrf"))
	form.Set("authenticator", "nobody")
	v.post("/hub/login", form).want(http.StatusBadRequest)
}

func TestLoginThroughAProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.visit()
	away := v.get("/hub/oauth_login/corp?next=%2Fhub%2Ftoken").want(http.StatusFound)
	if !strings.HasPrefix(away.location, "https://id.example/authorize?state=s1&redirect_uri=") ||
		!strings.HasSuffix(away.location, url.QueryEscape("/hub/oauth_callback/corp")) {
		t.Fatalf("sent to %s", away.location)
	}
	back := v.with("Sec-Fetch-Site", "cross-site")
	back.get("/hub/oauth_callback/corp?state=s1&code=alice").want(http.StatusFound).to("/hub/token")
	v.get("/hub/token").want(http.StatusOK).says("corp")

	b.visit().get("/hub/oauth_callback/corp?state=s1&code=alice").want(http.StatusForbidden).says("try again") // not begun in this browser
	again := b.visit()
	again.get("/hub/oauth_login/corp").want(http.StatusFound)
	again.get("/hub/oauth_callback/corp?state=other&code=alice").want(http.StatusForbidden).says("try again")
	again.get("/hub/oauth_callback/corp?state=s1&code=alice").want(http.StatusForbidden)            // another browser's
	again.get("/hub/oauth_callback/corp?state=s2&code=alice").want(http.StatusFound)                // a wrong answer does not spoil the right one
	again.get("/hub/oauth_callback/corp?state=s2&code=bob").want(http.StatusFound).to("/hub/spawn") // which counts once
	again.get("/hub/home").want(http.StatusOK).says("alice")
	b.visit().get("/hub/oauth_login/nobody").want(http.StatusNotFound)
	b.visit().get("/hub/oauth_login/door").want(http.StatusNotFound)
	evil := b.visit()
	evil.get("/hub/oauth_login/corp?next=https%3A%2F%2Fevil.example%2F").want(http.StatusFound)
	evil.with("Sec-Fetch-Site", "cross-site").get("/hub/oauth_callback/corp?state=s3&code=bob").want(http.StatusFound).to("/hub/home")
}

// TestF43_TwoTabsLogInAtOnce begins a login in each of two tabs of one browser, and finishes both.
func TestF43_TwoTabsLogInAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.visit()
	v.get("/hub/oauth_login/corp?next=%2Fhub%2Ftoken").want(http.StatusFound)
	v.get("/hub/oauth_login/corp?next=%2Fhub%2Fhome").want(http.StatusFound)
	v.get("/hub/oauth_callback/corp?state=s1&code=alice").want(http.StatusFound).to("/hub/token")
	v.get("/hub/oauth_callback/corp?state=s2&code=alice").want(http.StatusFound).to("/hub/home")
}

func TestOneTimeLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const link = "/hub/login/link?code=c0de"
	b.visit().get(link).want(http.StatusOK) // a preview does not use it up
	b.visit().do(http.MethodHead, link, nil).want(http.StatusOK)
	v := b.visit()
	page := v.get(link).want(http.StatusOK)
	foreign := page.form("confirm")
	foreign.fields.Set("_xsrf", "")
	v.submit(foreign, nil).want(http.StatusForbidden)
	v.submit(page.form("confirm"), nil).want(http.StatusFound).to("/hub/home")
	v.get("/hub/admin").want(http.StatusOK)
	late := b.visit()
	late.submit(late.get(link).form("confirm"), nil).want(http.StatusForbidden).says("used already")
	b.visit().get("/hub/login/link").want(http.StatusNotFound)

	none := newBench(t, func(s *setup) { s.pages.Link = nil })
	none.visit().get(link).want(http.StatusNotFound)
	none.visit().post("/hub/login/link", url.Values{"code": {"c0de"}}).want(http.StatusNotFound)
}

// TestLogout: the session ends, the browser forgets everything, and what other browsers of the same person hold stays good.
func TestLogout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, other := b.loggedIn("alice"), b.loggedIn("alice")
	a := v.get("/hub/logout").want(http.StatusFound).to("/hub/login")
	gone := map[string]bool{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		gone[c.Name] = c.MaxAge < 0
	}
	for _, name := range []string{"jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"} {
		if !gone[name] {
			t.Errorf("the cookie %s stays", name)
		}
	}
	v.get("/hub/home").want(http.StatusFound)
	other.get("/hub/home").want(http.StatusOK)
	v.get("/hub/logout").want(http.StatusFound).to("/hub/login") // again is fine
}

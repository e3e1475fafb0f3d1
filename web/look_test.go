package web_test

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// story is one page in one state, as a browser opens it.
type story struct {
	name string
	as   string // who is logged in; "": nobody
	path string
	act  func(p *browser.Page) // what is done on the page before it is looked at
	// noisy: the page itself is an error for the browser, which says so on its console.
	noisy bool
}

// stage makes a hub whose users stand in every state that a page can show.
func stage(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, func(s *setup) { s.pages.HomeFirst = true; s.hub.Limits.NamedServers = 3 })
	notebooks := newNotebooks(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	check(t, err)
	t.Cleanup(func() { _ = silent.Close() })

	b.fake.OnStart = func(s scheduler.Spec) {
		go func() {
			switch s.Labels["user"] {
			case "fay":
				b.fake.Print(s.ID, "Traceback (most recent call last):", `  File "/usr/bin/jupyterhub-singleuser", line 5, in <module>`,
					"    from jupyterhub.singleuser import main", "ModuleNotFoundError: No module named 'jupyterhub'")
				b.fake.Kill(s.ID, "The server ended with exit code 1. Its log may tell why.")
			case "stan":
				b.fake.Say(s.ID, "Nomad placed the server on the machine node-7.")
				b.fake.Say(s.ID, "Downloading the image company/scipy-notebook:2026-11-02.")
				b.fake.Place(s.ID, silent.Addr().String())
				b.fake.Run(s.ID)
			default:
				b.fake.Place(s.ID, notebooks.open())
				b.fake.Run(s.ID)
			}
		}()
	}
	for _, name := range []string{"admin", "ada", "fay", "rita", "stan", "stella"} {
		b.loggedIn(name)
	}
	b.addUsers("zoe", "a-rather-long-user-name.with.dots@department.university.example", `<script>alert(1)<b>"'&`)
	for _, name := range []string{"fay", "rita", "stan", "stella"} {
		b.start(name, "")
	}
	b.start("rita", "gpu")
	b.start("rita", "course-2026")
	b.await("fay", "", hub.Stopped)
	for _, name := range []string{"", "gpu", "course-2026"} {
		b.await("rita", name, hub.Ready)
	}
	b.await("stella", "", hub.Ready)
	_, err = b.hub.StopServer(t.Context(), "rita", "course-2026", false)
	check(t, err)
	b.await("rita", "course-2026", hub.Stopped)
	b.fake.FailStop(errors.New("the machine does not answer"))
	_, err = b.hub.StopServer(t.Context(), "stella", "", false)
	check(t, err)
	b.addTokens("rita")
	return b
}

func (b *bench) addUsers(names ...string) {
	b.t.Helper()
	for _, name := range names {
		_, err := b.hub.CreateUser(b.t.Context(), name, false)
		check(b.t, err)
	}
}

func (b *bench) start(user, server string) {
	b.t.Helper()
	_, err := b.hub.StartServer(b.t.Context(), user, server, nil)
	check(b.t, err)
}

func (b *bench) addTokens(name string) {
	b.t.Helper()
	u, err := b.hub.UserByName(b.t.Context(), name)
	check(b.t, err)
	for _, n := range []hub.NewToken{
		{Note: "nightly report", Scopes: []string{"servers!user", "read:users!user"}, ExpiresIn: 90 * 24 * time.Hour}, {Note: "laptop"},
	} {
		_, _, err := b.hub.IssueToken(b.t.Context(), u, n)
		check(b.t, err)
	}
}

func stories() []story {
	click := func(selector string) func(*browser.Page) { return func(p *browser.Page) { p.Click(selector) } }
	return []story{
		{name: "login", path: "/hub/login"},
		{name: "login-refused", path: "/hub/login", noisy: true, act: func(p *browser.Page) {
			p.Fill("#username_input", "ada")
			p.Fill("#password_input", "wrong")
			p.Click("#login_submit")
			p.WaitText("is wrong")
		}},
		{name: "link", path: "/hub/login/link?code=c0de"},
		{name: "home-stopped", as: "ada", path: "/hub/home"},
		{name: "home-ready", as: "rita", path: "/hub/home"},
		{name: "home-starting", as: "stan", path: "/hub/home"},
		{name: "home-stopping", as: "stella", path: "/hub/home"},
		{name: "home-failed", as: "fay", path: "/hub/home", act: click("summary")},
		{name: "pending", as: "stan", path: "/hub/spawn-pending/stan", act: func(p *browser.Page) { p.WaitText("Downloading the image") }},
		{name: "failed", as: "fay", path: "/hub/spawn-pending/fay", noisy: true},
		{name: "stopping", as: "stella", path: "/hub/spawn-pending/stella"},
		{name: "stopped", as: "ada", path: "/hub/user/ada/lab", noisy: true},
		{name: "not-found", as: "ada", path: "/hub/nothing", noisy: true},
		{name: "forbidden", as: "ada", path: "/hub/admin", noisy: true},
		{name: "proxy-error", path: "/hub/error/503"},
		{name: "tokens", as: "rita", path: "/hub/token"},
		{name: "token-made", as: "rita", path: "/hub/token", act: func(p *browser.Page) {
			p.Fill("#note", "made just now")
			p.Click("#create")
			p.WaitVisible("#secret")
		}},
		{name: "token-refused", as: "rita", path: "/hub/token", noisy: true, act: func(p *browser.Page) {
			p.Fill("#scopes", "everything")
			p.Click("#create")
			p.WaitVisible(".note-bad")
		}},
		{name: "admin", as: "admin", path: "/hub/admin"},
		{name: "consent", as: "admin", path: "/hub/api/oauth2/authorize?client_id=jupyterhub-user-rita&response_type=code&state=x&redirect_uri=" +
			url.QueryEscape("/user/rita/oauth_callback")},
		{name: "delete", as: "admin", path: "/hub/admin/users/zoe/delete"},
	}
}

// TestEveryPageInABrowser opens every page in Chromium: nothing on it breaks the content policy, and nothing is wider than a small telephone. With
// $NOMADHUB_SCREENSHOTS it is also the book of all pages, to be looked at.
func TestEveryPageInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := stage(t)
	chromium := browser.New(t)
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			p := chromium.Page(t)
			if s.as != "" {
				p.Open(b.site.URL + "/hub/login")
				p.Fill("#username_input", s.as)
				p.Fill("#password_input", "open")
				p.Click("#login_submit")
				p.WaitURL("the home page", func(u string) bool { return strings.HasSuffix(u, "/hub/home") })
			}
			p.SetViewport(1100, 800)
			p.Open(b.site.URL + s.path)
			if s.act != nil {
				s.act(p)
			}
			p.Screenshot(s.name + "-light")
			p.SetDark(true)
			p.Screenshot(s.name + "-dark")
			p.SetDark(false)
			p.SetViewport(360, 740)
			p.Screenshot(s.name + "-small")
			if p.Overflows() {
				t.Error("the page is wider than a small telephone")
			}
			if errs := p.ConsoleErrors(); len(errs) > 0 && !s.noisy {
				t.Errorf("the browser complains: %q", errs)
			}
			for _, line := range p.ConsoleErrors() {
				if strings.Contains(line, "Content Security Policy") || strings.Contains(line, "Content-Security-Policy") {
					t.Errorf("the page breaks its content policy: %s", line)
				}
			}
		})
	}
}

package web_test

import (
	"context"
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
	// menu: on a hub where people choose profiles.
	menu bool
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

// choosing makes a hub with profiles, whose users stand in every state that a page can show of them.
func choosing(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, withMenu, func(s *setup) { s.hub.Profiles = menuWithHome{} })
	notebooks := newNotebooks(t)
	b.fake.PlanWith(func(s scheduler.Spec) (scheduler.Forecast, error) {
		if s.Resources.Cores > 0 {
			return scheduler.Forecast{Verdict: scheduler.FitsLater, Reason: "Waits: 64 GB of memory asked, none of 3 nodes of the pool gpu has it free.", Pool: "gpu"}, nil
		}
		return scheduler.Forecast{Verdict: scheduler.FitsNow}, nil
	})
	b.fake.OnStart = func(s scheduler.Spec) {
		go func() {
			switch s.Labels["user"] {
			case "fay":
				b.fake.KillFor(s.ID, scheduler.CauseOutOfMemory, "The server was ended because it used more than its 2 GB of memory. Start it with more memory.")
			case "stan":
				b.fake.Block(s.ID, "Waiting for a machine: 64 GB of memory asked, none of 3 nodes of the pool gpu has it free.")
			default:
				b.fake.Place(s.ID, notebooks.open())
				b.fake.Run(s.ID)
				b.fake.Print(s.ID, "[I 2026-11-22 10:00:01.000 ServerApp] Serving notebooks from local directory: /home/jovyan", "[I 2026-11-22 10:00:02.000 ServerApp] Jupyter Server is running")
				b.fake.Use(s.ID, scheduler.Usage{CPU: 0.75, MemoryBytes: 700 << 20, MemoryLimit: 2 << 30, Devices: []scheduler.DeviceUsage{
					{Name: "nvidia/gpu/T4", Values: map[string]string{"memory": "120 MiB", "utilization": "12 %"}},
				}})
			}
		}()
	}
	for _, name := range []string{"admin", "ada", "fay", "gone", "rita", "stan"} {
		b.loggedIn(name)
	}
	for _, name := range []string{"fay", "gone", "rita", "stan"} {
		b.start(name, "")
	}
	b.await("fay", "", hub.Stopped)
	b.await("gone", "", hub.Ready)
	_, err := b.hub.StopServer(t.Context(), "gone", "", false)
	check(t, err)
	b.await("gone", "", hub.Stopped)
	check(t, b.hub.DeleteUser(t.Context(), "gone"))
	rita := b.await("rita", "", hub.Ready)
	b.fake.Drain(rita.ID, time.Now().Add(90*time.Minute))
	b.awaitThat("stan", func(s hub.Server) bool { return s.Wait != nil })
	b.awaitThat("rita", func(s hub.Server) bool { return s.Notice != nil })
	return b
}

// awaitThat waits until something is true of the user's default server.
func (b *bench) awaitThat(user string, done func(hub.Server) bool) {
	b.t.Helper()
	s, err := b.hub.Server(b.t.Context(), user, "")
	check(b.t, err)
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if s, err = b.hub.AwaitServer(ctx, s.ID, done); err != nil {
		b.t.Fatalf("%s: %v; it is %+v", user, err, s)
	}
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
		{name: "usage", as: "rita", path: "/hub/usage?by=run"},
		{name: "usage-admin", as: "admin", path: "/hub/usage"},
		{name: "audit", as: "rita", path: "/hub/audit"},
		{name: "audit-admin", as: "admin", path: "/hub/audit"},
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
		{name: "choice", menu: true, as: "admin", path: "/hub/spawn/admin?profile=gpu"},
		{name: "choice-options", menu: true, as: "ada", path: "/hub/spawn/ada?size=4&flavour=py"},
		{name: "home-choice", menu: true, as: "ada", path: "/hub/home"},
		{name: "home-notice", menu: true, as: "rita", path: "/hub/home"},
		{name: "restart", menu: true, as: "rita", path: "/hub/restart/rita"},
		{name: "details", menu: true, as: "rita", path: "/hub/server/rita", act: func(p *browser.Page) { p.WaitText("Jupyter Server is running"); p.WaitText("0.75 cores") }},
		{name: "groups", as: "admin", path: "/hub/admin/groups"},
		{name: "group", as: "admin", path: "/hub/admin/groups", act: func(p *browser.Page) {
			p.Fill("#new-name", "Physik/Übungen der Woche & co, mit einem langen Namen")
			p.Fill("#new-users", "rita, zoe")
			p.Click("#add-group")
			p.WaitText("Delete the group")
		}},
		{name: "share", as: "admin", path: "/hub/share/rita", act: func(p *browser.Page) {
			p.Fill("#with", "zoe")
			p.Click("#grant")
			p.WaitText("Take back from everybody")
			p.Click("#make-link")
			p.WaitVisible("#secret")
		}},
		{name: "accept", as: "admin", path: "/hub/share/rita", act: func(p *browser.Page) {
			p.Click("#make-link")
			p.WaitVisible("#secret")
			p.Open(browser.Eval[string](p, "document.querySelector('#secret').textContent"))
			p.WaitText("Join the server of rita?")
		}},
		{name: "volumes", menu: true, as: "admin", path: "/hub/admin/volumes"},
		{name: "volume", menu: true, as: "admin", path: "/hub/admin/volumes?show=released", act: func(p *browser.Page) {
			p.Click("td .button")
			p.WaitText("Delete it now")
		}},
		{name: "waiting", menu: true, as: "stan", path: "/hub/spawn-pending/stan", act: func(p *browser.Page) { p.WaitText("64 GB of memory asked") }},
		{name: "out-of-memory", menu: true, as: "fay", path: "/hub/spawn-pending/fay", noisy: true},
	}
}

// TestEveryPageInABrowser opens every page in Chromium: nothing on it breaks the content policy, and nothing is wider than a small telephone. With
// $NOMADHUB_SCREENSHOTS it is also the book of all pages, to be looked at.
func TestEveryPageInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	stages := map[bool]*bench{false: stage(t), true: choosing(t)}
	chromium := browser.New(t)
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			b, p := stages[s.menu], chromium.Page(t)
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

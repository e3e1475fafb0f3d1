package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// logIn logs a person in, in a real browser.
func (b *bench) logIn(p *browser.Page, name string) {
	p.Open(b.site.URL + "/hub/login")
	p.Fill("#username_input", name)
	p.Fill("#password_input", "open")
	p.Click("#login_submit")
	p.WaitURL("the home page", func(u string) bool { return strings.HasSuffix(u, "/hub/home") })
}

// TestLivePages: what happens is told as it happens, in Chromium.
func TestLivePages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := newBench(t, func(s *setup) { s.pages.HomeFirst = true })
	servers := newNotebooks(t)
	started := make(chan scheduler.Spec, 10)
	b.fake.OnStart = func(s scheduler.Spec) { started <- s }
	chromium := browser.New(t)

	t.Run("a start leads to the server", func(t *testing.T) {
		p := chromium.Page(t)
		b.logIn(p, "alice")
		p.Click("#start")
		s := <-started
		p.WaitText("The server was handed to the scheduler.")
		b.fake.Say(s.ID, "Downloading <b>the image</b>.")
		p.WaitText("Downloading <b>the image</b>.")
		if at := browser.Eval[int](p, "document.querySelector('progress').value"); at <= 0 || at >= 100 {
			t.Errorf("the bar stands at %d", at)
		}
		b.fake.Place(s.ID, servers.open())
		b.fake.Run(s.ID)
		p.WaitURL("the server", func(u string) bool { return strings.HasSuffix(u, "/user/alice/") })
		p.WaitText("notebook at /user/alice/")
	})
	t.Run("the home page follows a stop", func(t *testing.T) {
		p := chromium.Page(t)
		b.logIn(p, "alice")
		p.WaitText("Running")
		p.Click("#stop")
		p.WaitText("Not running")
		p.WaitVisible("#start")
	})
	t.Run("a failure is told with the log", func(t *testing.T) {
		p := chromium.Page(t)
		b.logIn(p, "fay")
		p.Click("#start")
		s := <-started
		p.WaitText("The server was handed to the scheduler.")
		b.fake.Print(s.ID, "no module named jupyterhub")
		b.fake.Kill(s.ID, "The server ended with exit code 1.")
		p.WaitText("The server did not start")
		p.WaitText("The server ended with exit code 1.")
		p.WaitText("no module named jupyterhub")
		p.ClickText("button", "Try again")
		again := <-started
		if again.Generation <= s.Generation {
			t.Errorf("generation %d after %d", again.Generation, s.Generation)
		}
		p.WaitText("Starting your server")
		p.Click("#cancel")
		b.await("fay", "", hub.Stopped)
		p.WaitText("Not running")
	})
	t.Run("a page that watches goes on when somebody else stops the server", func(t *testing.T) {
		p := chromium.Page(t)
		b.logIn(p, "carol")
		p.Click("#start")
		<-started
		p.WaitText("The server was handed to the scheduler.")
		_, err := b.hub.StopServer(t.Context(), "carol", "", false)
		check(t, err)
		p.WaitText("Spawn cancelled")
	})
	t.Run("a page waits for a server that does not answer", func(t *testing.T) {
		p := chromium.Page(t)
		b.logIn(p, "erin")
		b.start("erin", "")
		s := <-started
		b.fake.Place(s.ID, servers.open())
		b.await("erin", "", hub.Ready)
		b.fake.Place(s.ID, closedAddress(t))
		v := b.loggedIn("erin")
		b.awaitAnswer(v, "/user/erin/lab", http.StatusServiceUnavailable)
		p.Open(b.site.URL + "/user/erin/lab")
		p.WaitText("The server does not answer")
		b.fake.Place(s.ID, servers.open())
		p.WaitText("notebook at /user/erin/lab")
	})
	t.Run("everything works by keyboard", func(t *testing.T) {
		p := chromium.Page(t)
		p.Open(b.site.URL + "/hub/login")
		p.Press(kb.Tab)
		if focused := p.Text(":focus"); focused != "Skip to content" {
			t.Errorf("the first stop is %q", focused)
		}
		p.Press(kb.Enter)
		for range 2 { // the provider's button, then the name
			p.Press(kb.Tab)
		}
		p.Type("dave")
		p.Press(kb.Tab)
		p.Type("open")
		p.Press(kb.Enter)
		p.WaitText("My server")
	})
}

// TestWithoutScripts: a person whose browser runs no scripts is told by asking again.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	v.submit(v.get("/hub/home").form("start"), nil).want(http.StatusFound)
	again := `<noscript><meta http-equiv="refresh" content="3"></noscript>`
	for _, path := range []string{"/hub/spawn-pending/alice", "/hub/home"} {
		if page := v.get(path).want(http.StatusOK); !strings.Contains(page.body, again) {
			t.Errorf("%s does not ask again", path)
		}
	}
	s, err := b.hub.Server(t.Context(), "alice", "")
	check(t, err)
	b.fake.Place(s.ID, newNotebooks(t).open())
	b.await("alice", "", hub.Ready)
	v.get("/hub/spawn-pending/alice?next=" + url.QueryEscape("/user/alice/lab")).want(http.StatusFound).to("/user/alice/lab")
	if page := v.get("/hub/home").want(http.StatusOK); strings.Contains(page.body, again) {
		t.Error("the home page asks again although nothing changes")
	}
}

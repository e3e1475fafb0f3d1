package web_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// These tables are the page map of JupyterHub as stock servers and JupyterLab rely on it.

func TestPageMap(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		as, method, path string
		status           int
		location         string
	}{
		// What nobody answers outside the hub leads to the same place below it.
		{"", "GET", "/", http.StatusFound, "/hub/"},
		{"", "GET", "/x?y=1", http.StatusFound, "/hub/x?y=1"},
		{"", "GET", "/user/alice", http.StatusMovedPermanently, "/user/alice/"},
		{"", "GET", "/user/alice?x=1", http.StatusMovedPermanently, "/user/alice/?x=1"},
		{"", "GET", "/services/x", http.StatusMovedPermanently, "/services/x/"},
		{"", "GET", "/user/joe%20b/a%2Fb//c?d=%20", http.StatusFound, "/hub/user/joe%20b/a%2Fb//c?d=%20"},
		{"", "GET", "//evil.example/x", http.StatusFound, "/hub//evil.example/x"},
		{"", "HEAD", "/user/alice/lab", http.StatusFound, "/hub/user/alice/lab"},
		{"", "POST", "/user/alice/lab", http.StatusForbidden, ""},
		{"alice", "POST", "/user/alice/api/sessions", http.StatusForbidden, ""},
		{"", "DELETE", "/x", http.StatusForbidden, ""},
		// The hub itself.
		{"", "GET", "/hub", http.StatusMovedPermanently, "/hub/"},
		{"", "GET", "/hub/", http.StatusFound, "/hub/login?next=%2Fhub%2F"},
		{"alice", "GET", "/hub/", http.StatusFound, "/hub/spawn"},
		{"", "GET", "/hub/login", http.StatusOK, ""},
		{"", "HEAD", "/hub/login", http.StatusOK, ""},
		{"", "GET", "/hub/home", http.StatusFound, "/hub/login?next=%2Fhub%2Fhome"},
		{"", "HEAD", "/hub/home", http.StatusFound, "/hub/login?next=%2Fhub%2Fhome"},
		{"", "GET", "/hub/spawn/alice?next=/user/alice/lab", http.StatusFound, "/hub/login?next=%2Fhub%2Fspawn%2Falice%3Fnext%3D%2Fuser%2Falice%2Flab"},
		{"", "GET", "/hub/spawn-pending/alice", http.StatusFound, "/hub/login?next=%2Fhub%2Fspawn-pending%2Falice"},
		{"", "GET", "/hub/admin", http.StatusFound, "/hub/login?next=%2Fhub%2Fadmin"},
		{"", "GET", "/hub/token", http.StatusFound, "/hub/login?next=%2Fhub%2Ftoken"},
		{"", "GET", "/hub/user-redirect/lab", http.StatusFound, "/hub/login?next=%2Fhub%2Fuser-redirect%2Flab"},
		{"", "POST", "/hub/spawn", http.StatusForbidden, ""},
		{"", "POST", "/hub/stop/alice", http.StatusForbidden, ""},
		{"", "POST", "/hub/token", http.StatusForbidden, ""},
		{"alice", "GET", "/hub/home", http.StatusOK, ""},
		{"alice", "GET", "/hub/token", http.StatusOK, ""},
		{"alice", "GET", "/hub/admin", http.StatusForbidden, ""},
		{"admin", "GET", "/hub/admin", http.StatusOK, ""},
		{"alice", "POST", "/hub/home", http.StatusMethodNotAllowed, ""},
		{"alice", "GET", "/hub/nothing", http.StatusNotFound, ""},
		{"", "GET", "/hub/nothing", http.StatusNotFound, ""},
		{"", "GET", "/hub/api/nothing", http.StatusNotFound, ""},
		{"", "GET", "/hub/error/503", http.StatusOK, ""},
		{"", "GET", "/hub/error/404?url=/user/x", http.StatusOK, ""},
		{"", "GET", "/hub/error/200", http.StatusNotFound, ""},
		{"", "GET", "/hub/error/x", http.StatusNotFound, ""},
		{"", "GET", "/hub/logo", http.StatusOK, ""},
		{"alice", "GET", "/hub/user-redirect/lab/tree/a.ipynb?reset=1", http.StatusFound,
			"/hub/spawn/alice?next=" + url.QueryEscape("/user/alice/lab/tree/a.ipynb?reset=1")},
		{"alice", "GET", "/hub/user-redirect", http.StatusFound, "/hub/spawn/alice?next=%2Fuser%2Falice%2F"},
		{"", "POST", "/hub/security/csp-report", http.StatusForbidden, ""},
		{"alice", "POST", "/hub/security/csp-report", http.StatusNoContent, ""},
		// A server that does not run.
		{"", "GET", "/hub/user/alice/lab", http.StatusFound, "/hub/login?next=%2Fhub%2Fuser%2Falice%2Flab"},
		{"alice", "GET", "/hub/user/alice/lab", http.StatusFailedDependency, ""},
		{"alice", "GET", "/hub/user/alice/", http.StatusFailedDependency, ""},
		{"alice", "GET", "/hub/user/bob/lab", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/user/nobody/lab", http.StatusNotFound, ""},
		{"admin", "GET", "/hub/user/alice/lab", http.StatusFailedDependency, ""},
		{"alice", "PUT", "/hub/user/alice/api/contents/x", http.StatusMethodNotAllowed, ""},
		{"", "POST", "/hub/user/alice/api/sessions", http.StatusForbidden, ""},
		{"alice", "POST", "/hub/user/alice/api/sessions", http.StatusForbidden, ""},
		// Starting.
		{"alice", "GET", "/hub/spawn/nobody", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/spawn/bob", http.StatusNotFound, ""},
		{"admin", "GET", "/hub/spawn/nobody", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/spawn-pending/nobody", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/spawn-pending/bob", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/spawn-pending/alice/nothing", http.StatusNotFound, ""},
		{"alice", "GET", "/hub/spawn-pending/alice", http.StatusOK, ""},
		{"alice", "POST", "/hub/spawn", http.StatusForbidden, ""}, // no page token
		{"alice", "POST", "/hub/stop/bob", http.StatusForbidden, ""},
	} {
		t.Run(c.method+" "+c.path+" as "+c.as, func(t *testing.T) {
			b := b.in(t)
			b.loggedIn("bob")
			v := b.visit()
			if c.as != "" {
				v = b.loggedIn(c.as)
			}
			a := v.do(c.method, c.path, nil).want(c.status)
			if c.location != "" {
				a.to(c.location)
			}
			if c.status >= 400 && a.page != nil && a.text() == "" {
				t.Error("an error without a word")
			}
		})
	}
	if _, made, err := b.hub.Servers(t.Context(), hub.ServerQuery{}); err != nil || made != 0 {
		t.Errorf("asking for pages made %d servers (%v)", made, err)
	}
}

func TestBelowAPrefix(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) { s.base = "/team/"; s.pages.HomeFirst = true })
	b.runServers()
	v := b.visit()
	v.get("/").want(http.StatusFound).to("/team/hub/")
	v.get("/team/").want(http.StatusFound).to("/team/hub/")
	v.get("/team/user/alice").want(http.StatusMovedPermanently).to("/team/user/alice/")
	v.get("/team/user/alice/x").want(http.StatusFound).to("/team/hub/user/alice/x")
	v.get("/team/hub").want(http.StatusMovedPermanently).to("/team/hub/")
	v.login("alice", "").to("/team/hub/home")
	home := v.get("/team/hub/home").want(http.StatusOK)
	for _, fault := range faults(home) {
		t.Error(fault)
	}
	v.submit(home.form("start"), nil).want(http.StatusFound).to("/team/hub/spawn-pending/alice")
	b.await("alice", "", hub.Ready)
	v.get("/team/hub/user/alice/lab").want(http.StatusFound).to("/team/user/alice/lab?redirects=1")
	v.get("/team/hub/spawn?next=%2Fteam%2Fuser%2Falice%2Flab").want(http.StatusFound).to("/team/user/alice/lab")
	v.get("/team/hub/spawn?next=%2Felsewhere").want(http.StatusFound).to("/team/user/alice/")
	v.get("/team/hub/logout").want(http.StatusFound).to("/team/hub/login")
}

// TestPrograms: what asks for JSON, or speaks to an API of a server, gets 424 and learns where to start it.
func TestProgramsLearnThatAServerIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	message := func(a answer) string {
		t.Helper()
		var body map[string]string
		if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body) != 1 {
			t.Fatalf("%s: %q is no JSON object with a message only", a.url, a.body)
		}
		return body["message"]
	}
	for path, accept := range map[string]string{
		"/hub/user/alice/api/kernels": "*/*", "/hub/user/alice/lab": "application/json", "/hub/user/alice/x": "application/json;q=0.9, text/html;q=0.8",
	} {
		a := v.with("Accept", accept).get(path).want(http.StatusFailedDependency)
		if m := message(a); !strings.Contains(m, "/hub/spawn/alice") {
			t.Errorf("%s says %q", path, m)
		}
	}
	b.loggedIn("api").get("/hub/user/api/lab").want(http.StatusFailedDependency).says("not running")
	for _, accept := range []string{"", "*/*", "text/html, application/json;q=0.9", "text/html"} {
		v.with("Accept", accept).get("/hub/user/alice/lab").want(http.StatusFailedDependency).says("not running")
	}
	xsrf := v.get("/hub/token").form("create").fields.Get("_xsrf")
	for _, method := range []string{"POST", "PATCH", "DELETE"} {
		message(v.with("X-XSRFToken", xsrf).do(method, "/hub/user/alice/api/sessions/1", nil).want(http.StatusFailedDependency))
	}
	u, err := b.hub.UserByName(t.Context(), "alice")
	check(t, err)
	secret, _, err := b.hub.IssueToken(t.Context(), u, hub.NewToken{})
	check(t, err)
	bare := b.visit().with("Authorization", "token "+secret).with("Accept", "application/json")
	message(bare.get("/hub/user/alice/lab").want(http.StatusFailedDependency))
	message(bare.do("POST", "/hub/user/alice/x", nil).want(http.StatusFailedDependency))
	// A token opens what servers are asked for, and no page.
	bare.get("/hub/home").want(http.StatusFound)
}

func TestSpawn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.loggedIn("alice")
	id := func(name string) string {
		s, err := b.hub.Server(t.Context(), "alice", name)
		check(t, err)
		return s.ID
	}
	// A link on another site starts nothing; the person is asked.
	for _, site := range []string{"cross-site", "same-site", ""} {
		v.with("Sec-Fetch-Site", site).get("/hub/spawn?next=%2Fuser%2Falice%2Flab").want(http.StatusOK).says("/user/alice/lab").says("Start my server")
	}
	v.do(http.MethodHead, "/hub/spawn", nil).want(http.StatusOK)
	if id("") != "" {
		t.Fatal("somebody else's link made a server")
	}
	asked := v.with("Sec-Fetch-Site", "cross-site").get("/hub/spawn?next=%2Fuser%2Falice%2Flab%3Fx%3D1&opt-image=lab")
	v.submit(asked.form("start"), nil).want(http.StatusFound).to("/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab%3Fx%3D1&opt-image=lab")
	ready := b.await("alice", "", hub.Ready)
	if string(ready.Options) != `{"image":["lab"]}` {
		t.Errorf("options are %s", ready.Options)
	}
	v.get("/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab").want(http.StatusFound).to("/user/alice/lab")
	v.get("/hub/spawn").want(http.StatusFound).to("/user/alice/")
	v.get("/hub/spawn/alice?next=%2Fuser%2Falice%2Ftree").want(http.StatusFound).to("/user/alice/tree")
	v.get("/hub/spawn?next=%2F%2Fevil.example").want(http.StatusFound).to("/user/alice/")

	xsrf := url.Values{"_xsrf": {v.get("/hub/home").form("stop").fields.Get("_xsrf")}}
	v.post("/hub/spawn", xsrf).want(http.StatusBadRequest).says("already")
	_, err := b.hub.StopServer(t.Context(), "alice", "", false)
	check(t, err)
	b.await("alice", "", hub.Stopped)
	v.get("/hub/spawn?image=big&display_name=x").want(http.StatusFound).to("/hub/spawn-pending/alice?image=big")
	if s := b.await("alice", "", hub.Ready); string(s.Options) != `{"image":["big"]}` {
		t.Errorf("options are %s", s.Options)
	}
	if n := b.fake.Starts(id("")); n != 2 {
		t.Errorf("%d starts", n)
	}
}

func TestSpawnByRefererWhereBrowsersSayNoMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice").with("Sec-Fetch-Site", "").with("Sec-Fetch-Mode", "")
	v.with("Referer", "https://evil.example/").get("/hub/spawn").want(http.StatusOK)
	v.with("Referer", "").get("/hub/spawn").want(http.StatusOK)
	v.with("Referer", b.site.URL+"/hub/login").get("/hub/spawn").want(http.StatusFound).to("/hub/spawn-pending/alice")
}

func TestNamedServersOffOrFull(t *testing.T) {
	t.Parallel()
	off := newBench(t, func(s *setup) { s.hub.Limits.AllowNamed = false })
	v := off.loggedIn("alice")
	v.get("/hub/spawn/alice/other").want(http.StatusBadRequest).says("not switched on")
	if v.get("/hub/home").has("add-server") {
		t.Error("the home page offers what is switched off")
	}
	full := newBench(t, func(s *setup) { s.hub.Limits.NamedServers = 1 })
	full.runServers()
	v = full.loggedIn("alice")
	v.submit(v.get("/hub/home").form("add-server"), url.Values{"name": {"one"}}).want(http.StatusFound)
	v.get("/hub/spawn/alice/two").want(http.StatusBadRequest).says("no more are allowed")
	if v.get("/hub/home").says("as many named servers as you may").has("add-server") {
		t.Error("the home page offers more than is allowed")
	}
	full.await("alice", "one", hub.Ready)
	v.submit(formTo(t, v.get("/hub/home"), "/hub/stop/alice/one"), nil).want(http.StatusSeeOther)
	full.await("alice", "one", hub.Stopped)
	page := v.get("/hub/home").want(http.StatusOK)
	remove := form{action: "/hub/stop/alice/one", fields: url.Values{"_xsrf": page.form("start").fields["_xsrf"], "remove": {"yes"}}}
	if !strings.Contains(page.body, `name="remove"`) {
		t.Error("the home page does not offer to remove what is stopped")
	}
	v.submit(remove, nil).want(http.StatusSeeOther).to("/hub/home")
	if page := v.get("/hub/home").says("You may add 1 more."); strings.Contains(page.body, "/stop/alice/one") {
		t.Error("the removed server is still listed")
	}
	remove.action = "/hub/stop/alice"
	v.submit(remove, nil).want(http.StatusBadRequest).says("cannot be removed")
}

// TestFailedStart: the sentence and the log reach the person, on the first answer if it fails at once, and afterwards.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fake.OnStart = func(s scheduler.Spec) {
		go func() {
			b.fake.Print(s.ID, "first line", "<b>last line</b>")
			b.fake.Kill(s.ID, "The server ended with exit code 7.")
		}()
	}
	v := b.loggedIn("alice")
	a := v.get("/hub/spawn?next=%2Fuser%2Falice%2Flab")
	if a.status == http.StatusFound { // it failed after the first look, on a slow machine
		b.await("alice", "", hub.Stopped)
		a = v.get(a.location)
	}
	a.want(http.StatusInternalServerError).says("did not start").says("The server ended with exit code 7.").says("<b>last line</b>")
	again := v.get("/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab").want(http.StatusInternalServerError).says("exit code 7")
	if f := again.form("start"); f.action != "/hub/spawn/alice?next=%2Fuser%2Falice%2Flab" {
		t.Errorf("try again leads to %s", f.action)
	}
	v.get("/hub/user/alice/lab").want(http.StatusSeeOther).to("/hub/spawn-pending/alice?next=%2Fhub%2Fuser%2Falice%2Flab")
	v.get("/hub/home").want(http.StatusOK).says("exit code 7").says("Try again")
	b.runServers()
	v.submit(again.form("start"), nil).want(http.StatusFound)
	b.await("alice", "", hub.Ready)
	v.get("/hub/home").want(http.StatusOK).says("Running")
}

func TestPendingStates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	b.start("alice", "") // the fake gives it no place
	page := v.get("/hub/spawn-pending/alice").want(http.StatusOK).says("Starting your server")
	if !strings.Contains(page.body, "/hub/api/users/alice/server/progress?_xsrf=") || !strings.Contains(page.body, `http-equiv="refresh"`) {
		t.Error("the page neither follows the progress nor asks again")
	}
	v.get("/hub/spawn").want(http.StatusFound).to("/hub/spawn-pending/alice")
	v.get("/hub/user/alice/lab?x=1").want(http.StatusSeeOther).to("/hub/spawn-pending/alice?next=" + url.QueryEscape("/hub/user/alice/lab?x=1"))
	v.with("Accept", "application/json").get("/hub/user/alice/lab").want(http.StatusFailedDependency)
	b.loggedIn("admin").get("/hub/spawn-pending/alice").want(http.StatusOK).says("Starting the server of alice")

	b.fake.FailStop(errors.New("the machine does not answer"))
	v.submit(page.form("cancel"), nil).want(http.StatusSeeOther).to("/hub/home")
	v.get("/hub/spawn-pending/alice").want(http.StatusOK).says("Stopping the server")
	v.get("/hub/home").want(http.StatusOK).says("being stopped")
	xsrf := url.Values{"_xsrf": page.form("cancel").fields["_xsrf"]}
	v.post("/hub/spawn", xsrf).want(http.StatusBadRequest).says("stopping already")
	b.fake.FailStop(nil)
	b.await("alice", "", hub.Stopped)
	v.get("/hub/spawn-pending/alice").want(http.StatusOK).says("not running")
}

// TestRedirectLoopGuard: a browser that comes back although its server is ready is sent to it with a growing pause, and not for ever.
func TestRedirectLoopGuard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.loggedIn("alice")
	b.start("alice", "")
	b.await("alice", "", hub.Ready)
	v.get("/hub/user/alice/lab/tree/a%2Fb?x=1").want(http.StatusFound).to("/user/alice/lab/tree/a%2Fb?redirects=1&x=1")
	v.get("/hub/user/alice/?redirects=-7").want(http.StatusFound).to("/user/alice/?redirects=1")
	begun := time.Now()
	v.get("/hub/user/alice/?redirects=1").want(http.StatusFound).to("/user/alice/?redirects=2")
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("the second round came after %s", took)
	}
	v.get("/hub/user/alice/?redirects=4").want(http.StatusInternalServerError)
	v.get("/hub/user/alice/?redirects=400000").want(http.StatusInternalServerError)
}

// TestProxyError: a server that does not answer is told apart from one that does not run, in the words of whoever asks.
func TestProxyError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.loggedIn("alice")
	b.start("alice", "")
	s := b.await("alice", "", hub.Ready)
	b.fake.Place(s.ID, closedAddress(t))
	b.awaitAnswer(v, "/user/alice/lab", http.StatusServiceUnavailable)
	v.get("/user/alice/lab?x=1").want(http.StatusServiceUnavailable).says("does not answer").says("Try again")
	a := v.get("/user/alice/api/kernels").want(http.StatusServiceUnavailable)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("a program got %s", a.header.Get("Content-Type"))
	}
	v.with("Accept", "application/json").get("/user/alice/x").want(http.StatusServiceUnavailable)
}

// closedAddress is one at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, l.Close())
	return l.Addr().String()
}

// awaitAnswer asks until the answer has the status.
func (b *bench) awaitAnswer(v *visitor, path string, status int) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		a := v.get(path)
		if a.status == status {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("%s: status %d after %s, want %d", path, a.status, patience, status)
		}
	}
}

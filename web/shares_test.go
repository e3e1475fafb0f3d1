package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// newShareBench is a hub where everybody may share their own servers, and ada may name others.
func newShareBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.runServers()
	p, err := scope.NewPolicy([]scope.Role{
		{Name: "user", Scopes: []string{"self", "shares!user"}},
		{Name: "reader", Scopes: []string{"read:users:name", "read:groups:name"}, Users: []string{"ada"}},
	}, nil)
	check(t, err)
	b.hub.SetRoles(p)
	return b
}

// link makes a link on the page where a server is shared, and returns its path with the query.
func (v *visitor) link(page string) string {
	v.b.t.Helper()
	a := v.submit(v.get(page).want(http.StatusOK).form("make-link"), nil).want(http.StatusOK).says("It is shown this once")
	node := a.find(func(n *html.Node) bool { return attribute(n, "id") == "secret" })
	if node == nil || !strings.HasPrefix(node.FirstChild.Data, v.b.site.URL+"/hub/accept-share?code=") {
		v.b.t.Fatalf("no link is shown: %s", a.text())
	}
	return strings.TrimPrefix(node.FirstChild.Data, v.b.site.URL)
}

// forms are all forms of a page whose fields have these values.
func (a answer) forms(fields url.Values) (found []form) {
	walk(a.page, func(n *html.Node) {
		if n.Data != "form" {
			return
		}
		f := form{action: attribute(n, "action"), fields: url.Values{}}
		walk(n, func(n *html.Node) {
			if n.Data == "input" {
				f.fields.Add(attribute(n, "name"), attribute(n, "value"))
			}
		})
		for name, values := range fields {
			if f.Get(name) != values[0] {
				return
			}
		}
		found = append(found, f)
	})
	return found
}

// TestShareByLink is how people share: the owner makes a link, somebody opens it, joins, comes to the server, and leaves; the owner takes it back.
func TestShareByLink(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	ada, bob := b.loggedIn("ada"), b.loggedIn("bob")
	b.start("ada", "")
	b.await("ada", "", hub.Ready)
	page := ada.get("/hub/home").want(http.StatusOK).href("share")
	link := ada.link(page)
	for _, fault := range faults(ada.get(page).says("Nobody but its owner").says("not yet")) {
		t.Error(fault)
	}

	b.visit().get(link).want(http.StatusFound).to("/hub/login?next=" + url.QueryEscape(link))
	ada.get(link).want(http.StatusForbidden)
	bob.get("/hub/accept-share?code=0123").want(http.StatusNotFound)
	bob.get("/hub/accept-share").want(http.StatusNotFound)
	ask := bob.get(link).want(http.StatusOK).says("Join the server of ada?").says("Use servers.")
	for _, fault := range faults(ask) {
		t.Error(fault)
	}
	form := ask.form("join")
	bob.submit(form, url.Values{"code": {"0123"}}).want(http.StatusBadRequest)
	mine := ada.get("/hub/home").form("stop").Get("_xsrf")
	ada.submit(form, url.Values{"_xsrf": {mine}}).want(http.StatusBadRequest)
	bob.submit(form, nil).want(http.StatusFound).to("/user/ada/")
	bob.submit(form, nil).want(http.StatusFound) // once more is fine

	home := bob.get("/hub/home").want(http.StatusOK).says("Shared with me").says("ada")
	for _, fault := range faults(home) {
		t.Error(fault)
	}
	page2 := ada.get(page).want(http.StatusOK).says("bob").says("2 times")
	for _, fault := range faults(page2) {
		t.Error(fault)
	}
	b.entry(hub.AuditQuery{}, about("share.accept", "server/ada/", hub.AuditDone))
	b.entry(hub.AuditQuery{}, about("share.code.create", "server/ada/", hub.AuditDone))

	leave := home.forms(url.Values{})
	i := 0
	for leave[i].action != "/hub/leave-share/ada" {
		i++
	}
	bob.submit(leave[i], nil).want(http.StatusSeeOther).to("/hub/home")
	bob.submit(leave[i], nil).want(http.StatusSeeOther)
	if bob.get("/hub/home").want(http.StatusOK).has("shared") {
		t.Error("bob has left, and still sees the server")
	}
	bob.submit(form, nil).want(http.StatusFound)
	back := ada.get(page).forms(url.Values{"act": {"revoke"}, "name": {"bob"}})
	ada.submit(back[0], nil).want(http.StatusSeeOther).to(page)
	ada.submit(ada.get(page).forms(url.Values{"act": {"forget"}})[0], nil).want(http.StatusSeeOther)
	ada.get(page).says("Nobody but its owner")
	bob.get(link).want(http.StatusNotFound)
	b.entry(hub.AuditQuery{}, about("share.revoke", "server/ada/", hub.AuditDone))
}

func TestShareByName(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	ada, bob := b.loggedIn("ada"), b.loggedIn("bob")
	_, err := b.hub.CreateGroup(t.Context(), "lab", []string{"bob"}, nil)
	check(t, err)
	grant := ada.get("/hub/share/ada").want(http.StatusOK).form("grant")
	ada.submit(grant, url.Values{"name": {"nobody"}}).want(http.StatusBadRequest).says("nobody")
	ada.submit(grant, url.Values{"name": {"ada"}}).want(http.StatusBadRequest).says("own")
	ada.submit(grant, url.Values{"name": {"bob"}}).want(http.StatusSeeOther)
	ada.submit(grant, url.Values{"name": {"lab"}, "kind": {"group"}}).want(http.StatusSeeOther)
	ada.get("/hub/share/ada").says("bob").says("lab group")
	bob.get("/hub/home").says("by the group lab")
	ada.submit(ada.get("/hub/share/ada").form("revoke-all"), nil).want(http.StatusSeeOther)
	ada.get("/hub/share/ada").says("Nobody but its owner")
	// bob may share, and name nobody.
	if bob.get("/hub/share/bob").want(http.StatusOK).has("grant") {
		t.Error("bob is offered to name others")
	}
	forged := bob.get("/hub/share/bob").form("make-link")
	bob.submit(forged, url.Values{"act": {"grant"}, "name": {"ada"}}).want(http.StatusForbidden)
	bob.submit(forged, url.Values{"act": {"no"}}).want(http.StatusBadRequest)
	bob.submit(forged, url.Values{"expires_in": {"99999999999"}}).want(http.StatusBadRequest)
	bob.get("/hub/share/ada").want(http.StatusNotFound)
	bob.get("/hub/share/none").want(http.StatusNotFound)
	b.hub.SetRoles(nil)
	if bob.get("/hub/home").want(http.StatusOK).has("share") {
		t.Error("who may not share is offered to")
	}
	bob.get("/hub/share/bob").want(http.StatusNotFound)
}

// TestA04AcceptShareNeedsThePageToken holds against forms of other sites, whatever the browser says of them.
func TestA04AcceptShareNeedsThePageToken(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	link := b.loggedIn("ada").link("/hub/share/ada")
	bob := b.loggedIn("bob")
	code := strings.TrimPrefix(link, "/hub/accept-share?code=")
	for _, mode := range []string{"", "navigate", "no-cors", "cors", "same-origin", "websocket"} {
		for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none"} {
			forger := bob.with("Sec-Fetch-Mode", mode).with("Sec-Fetch-Site", site)
			forger.post("/hub/accept-share", url.Values{"code": {code}}).want(http.StatusForbidden)
			forger.post(link, url.Values{}).want(http.StatusForbidden)
			forger.post("/hub/leave-share/ada", url.Values{}).want(http.StatusForbidden)
			forger.post("/hub/share/bob", url.Values{"act": {"link"}, "expires_in": {"3600"}}).want(http.StatusForbidden)
		}
	}
	c, err := b.hub.ShareCode(t.Context(), code)
	check(t, err)
	if c.Exchanges != 0 {
		t.Error("a forged form joined a server")
	}
}

// TestA09SharePagesEncodeWhatPeopleSend: names of users, servers and groups, and where to go next, are text wherever they stand, and next leads nowhere else.
func TestA09SharePagesEncodeWhatPeopleSend(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	bob := b.loggedIn("bob")
	for _, name := range hostileNames() {
		b.loggedIn(name)
		link := b.loggedIn(name).link(b.urls.Hub() + "share/" + hub.EscapePath(name))
		ask := bob.get(link).want(http.StatusOK).says("Join the server of " + name)
		for _, fault := range faults(ask) {
			t.Errorf("%s: %s", name, fault)
		}
		bob.submit(ask.form("join"), nil).want(http.StatusFound).to(b.urls.Server(name, ""))
	}
	for _, fault := range faults(bob.get("/hub/home")) {
		t.Error(fault)
	}
	ada := b.loggedIn("ada")
	link := ada.link("/hub/share/ada")
	grant := ada.get("/hub/share/ada").form("grant")
	for _, name := range hostileNames() {
		for _, fault := range faults(ada.submit(grant, url.Values{"name": {"x" + name}}).want(http.StatusBadRequest)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for next, want := range map[string]string{
		"/hub/home": "/hub/home", "/user/ada/lab?x=1": "/user/ada/lab?x=1", "https://evil.example/": "/user/ada/", "//evil.example/": "/user/ada/",
		`/\evil.example`: `/%5Cevil.example`, "javascript:alert(1)": "/user/ada/", `"><script>`: "/user/ada/", "": "/user/ada/", "relative": "/user/ada/",
	} {
		ask := bob.get(link + "&next=" + url.QueryEscape(next)).want(http.StatusOK)
		for _, fault := range faults(ask) {
			t.Errorf("next %s: %s", next, fault)
		}
		form := ask.form("join")
		bob.submit(form, nil).want(http.StatusFound).to(want)
		form.fields.Set("next", next) // as who makes the form by hand
		bob.submit(form, nil).want(http.StatusFound).to(want)
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/hub"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	page := v.get("/hub/token").want(http.StatusOK).says("You have made none.")
	made := v.submit(page.form("create"), url.Values{"note": {"<b>report</b>"}, "expires_in": {"86400"}, "scopes": {"read:users!user servers!user"}})
	made.want(http.StatusOK).says("<b>report</b>").says("in 24 hours").says("read:users!user servers!user")
	node := made.find(func(n *html.Node) bool { return attribute(n, "id") == "secret" })
	if node == nil {
		t.Fatal("no secret is shown")
	}
	secret := node.FirstChild.Data
	b.visit().with("Authorization", "token "+secret).get("/hub/api/user").want(http.StatusOK)
	list := v.get("/hub/token").want(http.StatusOK)
	if strings.Contains(list.body, secret) || list.has("secret") {
		t.Error("the secret is shown a second time")
	}
	v.submit(formTo(t, list, "/hub/token/"), nil).want(http.StatusSeeOther).to("/hub/token")
	b.visit().with("Authorization", "token "+secret).get("/hub/api/user").want(http.StatusForbidden)

	v.submit(page.form("create"), url.Values{"expires_in": {"0"}, "scopes": {"no-such-scope"}}).want(http.StatusBadRequest).says("not known")
	v.submit(page.form("create"), url.Values{"expires_in": {"0"}, "scopes": {"admin:users"}}).want(http.StatusBadRequest).says("does not have the scopes")
	v.submit(page.form("create"), url.Values{"expires_in": {"-1"}}).want(http.StatusBadRequest)
	v.submit(page.form("create"), url.Values{"expires_in": {"soon"}}).want(http.StatusBadRequest)
	v.submit(page.form("create"), url.Values{"expires_in": {"0"}}).want(http.StatusOK).says("inherit")
}

// TestTokensOfOthers: nobody revokes a token or session that is not theirs.
func TestTokensOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.loggedIn("alice")
	b.addTokens("alice")
	alice, err := b.hub.UserByName(t.Context(), "alice")
	check(t, err)
	tokens, err := b.hub.Tokens(t.Context(), alice.ID)
	check(t, err)
	sessions, err := b.hub.Sessions(t.Context(), alice.ID)
	check(t, err)
	for _, who := range []string{"bob", "admin"} {
		v := b.loggedIn(who)
		xsrf := url.Values{"_xsrf": v.get("/hub/token").form("create").fields["_xsrf"]}
		v.post(fmt.Sprintf("/hub/token/%d/revoke", tokens[0].ID), xsrf).want(http.StatusNotFound)
		v.post("/hub/session/"+sessions[0].ID+"/revoke", xsrf).want(http.StatusNotFound)
		v.post("/hub/token/x/revoke", xsrf).want(http.StatusNotFound)
	}
	left, err := b.hub.Tokens(t.Context(), alice.ID)
	check(t, err)
	if len(left) != len(tokens) {
		t.Errorf("%d of %d tokens are left", len(left), len(tokens))
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, second, third := b.loggedIn("alice"), b.loggedIn("alice"), b.loggedIn("alice")
	page := v.get("/hub/token").want(http.StatusOK).says("this browser").says("Log out everywhere else")
	v.submit(formTo(t, page, "/hub/session/"), nil).want(http.StatusSeeOther)
	alive := 0
	for _, other := range []*visitor{second, third} {
		if other.get("/hub/home").status == http.StatusOK {
			alive++
		}
	}
	if alive != 1 {
		t.Fatalf("%d of two other sessions live after one was ended", alive)
	}
	v.submit(v.get("/hub/token").form("end-others"), nil).want(http.StatusSeeOther)
	second.get("/hub/home").want(http.StatusFound)
	third.get("/hub/home").want(http.StatusFound)
	v.get("/hub/home").want(http.StatusOK)
	if v.get("/hub/token").has("end-others") {
		t.Error("there is nobody else to log out")
	}
}

// formTo finds the first form whose address begins so.
func formTo(t *testing.T, a answer, prefix string) form {
	t.Helper()
	n := a.find(func(n *html.Node) bool { return n.Data == "form" && strings.HasPrefix(attribute(n, "action"), prefix) })
	if n == nil {
		t.Fatalf("no form leads to %s:\n%s", prefix, a.body)
	}
	f := form{action: attribute(n, "action"), fields: url.Values{}}
	walk(n, func(n *html.Node) {
		if n.Data == "input" {
			f.fields.Add(attribute(n, "name"), attribute(n, "value"))
		}
	})
	return f
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.runServers()
	v := b.loggedIn("admin")
	alice := b.loggedIn("alice")
	page := v.get("/hub/admin").want(http.StatusOK).says("1 to 2 of 2")

	added := v.submit(page.form("add-user"), url.Values{"name": {"  Carol "}, "admin": {"yes"}}).want(http.StatusSeeOther).to("/hub/admin?q=carol")
	v.get(added.location).want(http.StatusOK).says("carol admin")
	v.submit(page.form("add-user"), url.Values{"name": {"carol"}}).want(http.StatusBadRequest).says("already")
	v.submit(page.form("add-user"), url.Values{"name": {"a/b"}}).want(http.StatusBadRequest).says("slash")

	v.submit(formTo(t, v.get("/hub/admin?q=alice"), "/hub/admin/users/alice/admin"), nil).want(http.StatusSeeOther).to("/hub/admin?q=alice")
	alice.get("/hub/admin").want(http.StatusOK)
	v.submit(formTo(t, v.get("/hub/admin?q=alice"), "/hub/admin/users/alice/admin"), nil).want(http.StatusSeeOther)
	alice.get("/hub/admin").want(http.StatusForbidden)

	v.submit(formTo(t, v.get("/hub/admin?q=alice"), "/hub/spawn/alice"), nil).want(http.StatusFound).to("/hub/spawn-pending/alice?next=%2Fhub%2Fadmin%3Fq%3Dalice")
	b.await("alice", "", hub.Ready)
	v.get("/hub/spawn-pending/alice?next=%2Fhub%2Fadmin%3Fq%3Dalice").want(http.StatusFound).to("/hub/admin?q=alice")
	active := v.get("/hub/admin?show=active").want(http.StatusOK).says("1 to 1 of 1").says("1 server up")
	xsrf := url.Values{"_xsrf": page.form("add-user").fields["_xsrf"]}
	v.post("/hub/admin/users/alice/delete", xsrf).want(http.StatusConflict).says("Stop it")
	v.submit(formTo(t, active, "/hub/stop/alice"), nil).want(http.StatusSeeOther).to("/hub/admin?show=active")
	b.await("alice", "", hub.Stopped)
	v.submit(v.get("/hub/admin/users/alice/delete").want(http.StatusOK).form("delete"), nil).want(http.StatusSeeOther).to("/hub/admin")
	alice.get("/hub/home").want(http.StatusFound)
	v.get("/hub/admin/users/alice/delete").want(http.StatusNotFound)
}

// TestAdminLimits: who is no administrator changes nothing, and administrators not themselves.
func TestAdminLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, admin := b.loggedIn("alice"), b.loggedIn("admin")
	b.addUsers("bob")
	xsrf := url.Values{"_xsrf": v.get("/hub/token").form("create").fields["_xsrf"], "admin": {"yes"}, "name": {"eve"}}
	for _, path := range []string{"/hub/admin/users", "/hub/admin/users/bob/admin", "/hub/admin/users/bob/delete", "/hub/admin/users/alice/admin"} {
		v.post(path, xsrf).want(http.StatusForbidden)
	}
	v.get("/hub/admin/users/bob/delete").want(http.StatusForbidden)
	v.post("/hub/stop/bob", xsrf).want(http.StatusNotFound)
	v.post("/hub/spawn/bob", xsrf).want(http.StatusNotFound)

	xsrf.Set("_xsrf", admin.get("/hub/admin").form("add-user").fields.Get("_xsrf"))
	admin.post("/hub/admin/users/admin/delete", xsrf).want(http.StatusBadRequest).says("yourself")
	admin.post("/hub/admin/users/admin/admin", url.Values{"_xsrf": xsrf["_xsrf"]}).want(http.StatusBadRequest)
	foreign := url.Values{"_xsrf": v.get("/hub/token").form("create").fields["_xsrf"], "name": {"eve"}}
	admin.post("/hub/admin/users", foreign).want(http.StatusForbidden)
	if _, err := b.hub.UserByName(t.Context(), "eve"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("eve exists: %v", err)
	}
}

func TestAdminPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("admin")
	for i := range 119 {
		b.addUsers(fmt.Sprintf("student%03d", i))
	}
	first := v.get("/hub/admin").want(http.StatusOK).says("1 to 50 of 120")
	next := first.find(func(n *html.Node) bool { return attribute(n, "rel") == "next" })
	second := v.get(attribute(next, "href")).want(http.StatusOK).says("51 to 100 of 120")
	next = second.find(func(n *html.Node) bool { return attribute(n, "rel") == "next" })
	third := v.get(attribute(next, "href")).want(http.StatusOK).says("101 to 120 of 120").says("student118")
	if third.find(func(n *html.Node) bool { return attribute(n, "rel") == "next" }) != nil {
		t.Error("there is a page after the last")
	}
	v.get("/hub/admin?q=STUDENT11&offset=5").want(http.StatusOK).says("6 to 9 of 9")
	v.get("/hub/admin?q=%25").want(http.StatusOK).says("none found")
	for _, odd := range []string{"offset=-1", "offset=x", "offset=99999999999999999999", "show=nonsense"} {
		v.get("/hub/admin?" + odd).want(http.StatusOK)
	}
}

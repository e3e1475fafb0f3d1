package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/hub"
)

func (b *bench) groupOf(t *testing.T, name string) hub.Group {
	t.Helper()
	g, err := b.hub.Group(t.Context(), name)
	check(t, err)
	return g
}

// TestAdministratorsLookAfterGroups from the first to the last page.
func TestAdministratorsLookAfterGroups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("admin")
	b.addUsers("ada", "bob")
	v.get("/hub/admin").want(http.StatusOK).says("Groups")
	list := v.get("/hub/admin/groups").want(http.StatusOK).says("There are no groups yet")

	const name, at = "phy/sics <b>", "/hub/admin/groups/phy%2Fsics%20%3Cb%3E"
	add := list.form("add-group")
	v.submit(add, url.Values{"name": {name}, "users": {"ada, nobody"}}).want(http.StatusBadRequest).says(`There is no user named "nobody".`)
	v.submit(add, url.Values{"name": {".."}}).want(http.StatusBadRequest).says("browsers rewrite it")
	v.submit(add, url.Values{"name": {name}, "users": {"ADA,\r\n; admin "}}).want(http.StatusSeeOther).to(at)
	v.submit(add, url.Values{"name": {name}}).want(http.StatusBadRequest).says("already")
	v.get("/hub/admin/groups").want(http.StatusOK).says(name).says("1 to 1 of 1")

	page := v.get(at).want(http.StatusOK).says("1 to 2 of 2")
	v.submit(page.form("add-members"), url.Values{"users": {"bob\nnobody"}}).want(http.StatusBadRequest).says("nobody")
	v.submit(page.form("add-members"), url.Values{"users": {"bob"}}).want(http.StatusSeeOther).to(at)
	v.submit(formTo(t, page, at+"/remove"), nil).want(http.StatusSeeOther).to(at) // the first, ada
	if g := b.groupOf(t, name); !slices.Equal(g.Users, []string{"admin", "bob"}) {
		t.Errorf("the members are %v", g.Users)
	}
	v.submit(page.form("set-properties"), url.Values{"properties": {`["a"]`}}).want(http.StatusBadRequest).says("JSON object")
	v.submit(page.form("set-properties"), url.Values{"properties": {`{"cost": "</textarea>"}`}}).want(http.StatusSeeOther).to(at)
	page = v.get(at).want(http.StatusOK).says(`{"cost":"</textarea>"}`)

	remove := page.form("delete")
	v.post(remove.action, url.Values{"_xsrf": remove.fields["_xsrf"]}).want(http.StatusBadRequest).says("Say that you are sure")
	v.post(at+"/paint", url.Values{"_xsrf": remove.fields["_xsrf"]}).want(http.StatusNotFound)
	v.submit(remove, url.Values{"sure": {"yes"}}).want(http.StatusSeeOther).to("/hub/admin/groups")
	v.get(at).want(http.StatusNotFound)
}

func TestGroupPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("admin")
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("student%03d", i))
	}
	b.addUsers(names...)
	for i := range 60 {
		_, err := b.hub.CreateGroup(t.Context(), fmt.Sprintf("group%02d", i), nil, nil)
		check(t, err)
	}
	_, err := b.hub.AddMembers(t.Context(), "group00", names)
	check(t, err)
	next := func(a answer) string {
		return attribute(a.find(func(n *html.Node) bool { return attribute(n, "rel") == "next" }), "href")
	}
	first := v.get("/hub/admin/groups").want(http.StatusOK).says("1 to 50 of 60")
	v.get(next(first)).want(http.StatusOK).says("51 to 60 of 60").says("group59")
	members := v.get("/hub/admin/groups/group00").want(http.StatusOK).says("1 to 100 of 120")
	v.get(next(members)).want(http.StatusOK).says("101 to 120 of 120").says("student119")
	for _, odd := range []string{"offset=-1", "offset=x", "offset=99999"} {
		v.get("/hub/admin/groups?" + odd).want(http.StatusOK)
		v.get("/hub/admin/groups/group00?" + odd).want(http.StatusOK)
	}
}

// TestGroupsAreForAdministrators: others see and change none.
func TestGroupsAreForAdministrators(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	_, err := b.hub.CreateGroup(t.Context(), "staff", nil, nil)
	check(t, err)
	xsrf := url.Values{"_xsrf": v.get("/hub/token").form("create").fields["_xsrf"], "users": {"alice"}, "name": {"mine"}, "sure": {"yes"}}
	v.get("/hub/admin/groups").want(http.StatusForbidden)
	v.get("/hub/admin/groups/staff").want(http.StatusForbidden)
	for _, path := range []string{"", "/staff/add", "/staff/remove", "/staff/properties", "/staff/delete"} {
		v.post("/hub/admin/groups"+path, xsrf).want(http.StatusForbidden)
	}
	admin := b.loggedIn("admin")
	admin.post("/hub/admin/groups/staff/add", xsrf).want(http.StatusForbidden) // with another's page token
	if g := b.groupOf(t, "staff"); len(g.Users) > 0 {
		t.Errorf("staff has the members %v", g.Users)
	}
}

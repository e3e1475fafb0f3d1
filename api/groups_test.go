package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

const pages = "application/jupyterhub-pagination+json"

func TestGroupFromBirthToDeath(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.as("root", http.MethodPost, "/groups/staff", `{"users": ["ALICE", "bob", "alice"], "properties": {"n": 12345678901234567890}}`).want(http.StatusCreated)
	same(t, "the new group", made.object(), map[string]any{
		"kind": "group", "name": "staff", "users": []any{"alice", "bob"}, "roles": []any{}, "properties": map[string]any{"n": 12345678901234567890.0},
	})
	if !strings.Contains(made.body, `"n":12345678901234567890`) {
		t.Errorf("a number lost its digits: %s", made.body)
	}
	b.as("root", http.MethodPost, "/groups/staff", "").want(http.StatusConflict)
	same(t, "alice's groups", b.as("alice", http.MethodGet, "/user", "").object()["groups"], any([]any{"staff"}))

	left := b.as("root", http.MethodDelete, "/groups/staff/users", `{"users": ["Bob", "bob"]}`).want(http.StatusOK).object()
	same(t, "who is left", left["users"], any([]any{"alice"}))
	b.as("root", http.MethodDelete, "/groups/staff/users", `{"users": ["bob"]}`).want(http.StatusOK) // is no member any more
	back := b.as("root", http.MethodPost, "/groups/staff/users", `{"users": [" bob "]}`).want(http.StatusOK).object()
	same(t, "who is back", back["users"], any([]any{"alice", "bob"}))
	same(t, "nobody", b.as("root", http.MethodPost, "/groups/staff/users", `{"users": []}`).want(http.StatusOK).object()["users"], any([]any{"alice", "bob"}))

	changed := b.as("root", http.MethodPut, "/groups/staff/properties", `{ "a": [1, {"b": null}] }`).want(http.StatusOK).object()
	same(t, "properties", changed["properties"], any(map[string]any{"a": []any{1.0, map[string]any{"b": nil}}}))
	same(t, "read again", b.as("root", http.MethodGet, "/groups/staff", "").want(http.StatusOK).object(), changed)
	b.as("root", http.MethodPut, "/groups/staff/properties", `{}`).want(http.StatusOK)

	b.as("root", http.MethodDelete, "/groups/staff", "").want(http.StatusNoContent).empty()
	b.as("root", http.MethodDelete, "/groups/staff", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/groups/staff", "").want(http.StatusNotFound)
	same(t, "alice's groups after it", b.as("alice", http.MethodGet, "/user", "").object()["groups"], any([]any{}))
}

func TestGroupsMadeTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	list := b.as("root", http.MethodPost, "/groups", `{"groups": ["z", "a"], "users": ["bob"]}`).want(http.StatusCreated).list()
	same(t, "in the order of the request", names(list), []string{"z", "a"})
	same(t, "with the users", list[1]["users"], any([]any{"bob"}))
	b.as("root", http.MethodPost, "/groups", `{"groups": ["before", "a", "after"]}`).want(http.StatusConflict)
	b.as("root", http.MethodGet, "/groups/before", "").want(http.StatusOK) // as in JupyterHub
	b.as("root", http.MethodGet, "/groups/after", "").want(http.StatusNotFound)
	b.as("root", http.MethodPost, "/groups", `{"groups": ["new", "a/../b", ".."]}`).want(http.StatusBadRequest)
	b.as("root", http.MethodPost, "/groups", `{"groups": ["new"], "users": ["nobody"]}`).want(http.StatusBadRequest)
	b.as("root", http.MethodGet, "/groups/new", "").want(http.StatusNotFound)
	same(t, "the oldest first", names(b.as("root", http.MethodGet, "/groups", "").list()), []string{"z", "a", "before"})
	same(t, "by name", names(b.as("root", http.MethodGet, "/groups?sort=name", "").list()), []string{"a", "before", "z"})
	b.as("root", http.MethodGet, "/groups?sort=size", "").want(http.StatusBadRequest)
}

// A name may hold anything that can be seen; a slash is encoded in the path.
func TestGroupNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"/staff", "org:team/sub team", "Ärzte 👩‍⚕", "100%", "a?b#c", "+", "é"} {
		if strings.ContainsRune(name, '\u200d') {
			b.as("root", http.MethodPost, "/groups/"+url.PathEscape(name), "").want(http.StatusBadRequest) // joins what it stands between, and cannot be seen
			continue
		}
		at := "/groups/" + url.PathEscape(name)
		b.as("root", http.MethodPost, at, `{"users": ["alice"]}`).want(http.StatusCreated)
		same(t, name, b.as("root", http.MethodGet, at, "").want(http.StatusOK).object()["name"], any(name))
		b.as("root", http.MethodDelete, at+"/users", `{"users": ["alice"]}`).want(http.StatusOK)
		b.as("root", http.MethodDelete, at, "").want(http.StatusNoContent)
	}
	for _, name := range []string{"..", ".", " a", "a\n", "a\x00", "\u202eadmin", strings.Repeat("x", 256), "\xff"} {
		b.as("root", http.MethodPost, "/groups/"+strings.ReplaceAll(url.PathEscape(name), ".", "%2E"), "").want(http.StatusBadRequest)
	}
}

func TestGroupBodiesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("root", http.MethodPost, "/groups/g", `{"users": ["alice"], "name": "g", "roles": []}`).want(http.StatusCreated)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/groups", ""},
		{http.MethodPost, "/groups", "{}"},
		{http.MethodPost, "/groups", `{"groups": []}`},
		{http.MethodPost, "/groups", `{"groups": "x"}`},
		{http.MethodPost, "/groups", `{"groups": [1]}`},
		{http.MethodPost, "/groups", `{"groups": ["x"], "user": ["alice"]}`},
		{http.MethodPost, "/groups/x", `{"users": "alice"}`},
		{http.MethodPost, "/groups/x", `{"users": [{}]}`},
		{http.MethodPost, "/groups/x", `{"users": ["nobody"]}`},
		{http.MethodPost, "/groups/x", `{"members": ["alice"]}`},
		{http.MethodPost, "/groups/x", `{"properties": []}`},
		{http.MethodPost, "/groups/x", `{"properties": null}`},
		{http.MethodPost, "/groups/x", `["alice"]`},
		{http.MethodPost, "/groups/g/users", ""},
		{http.MethodPost, "/groups/g/users", "{}"},
		{http.MethodPost, "/groups/g/users", `{"users": null}`},
		{http.MethodPost, "/groups/g/users", `{"users": ["bob", "nobody"]}`},
		{http.MethodPost, "/groups/g/users", `{"users": ["a\u0000"]}`},
		{http.MethodDelete, "/groups/g/users", ""},
		{http.MethodDelete, "/groups/g/users", `{"users": ["alice", "nobody"]}`},
		{http.MethodPut, "/groups/g/properties", ""},
		{http.MethodPut, "/groups/g/properties", "null"},
		{http.MethodPut, "/groups/g/properties", "[]"},
		{http.MethodPut, "/groups/g/properties", `"x"`},
		{http.MethodPut, "/groups/g/properties", `{"a": 1`},
		{http.MethodPut, "/groups/g/properties", `{"a": "` + strings.Repeat("x", 64<<10) + `"}`},
	} {
		if a := b.as("root", c.method, c.path, c.body); a.status != http.StatusBadRequest {
			t.Errorf("%s %s %.60s: got %d, want 400: %s", c.method, c.path, c.body, a.status, a.body)
		} else {
			a.problem()
		}
	}
	// Nothing of it was done by half.
	same(t, "the members", b.as("root", http.MethodGet, "/groups/g", "").object()["users"], any([]any{"alice"}))
	b.as("root", http.MethodGet, "/groups/x", "").want(http.StatusNotFound)
	same(t, "no other field of users", b.as("root", http.MethodPatch, "/users/bob", `{"groups": ["g"]}`).want(http.StatusBadRequest).status, 400)
}

// What each scope allows, on the group that it is for and on another one: JupyterHub's codes.
func TestA10ScopesOfGroups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const no, hidden = http.StatusForbidden, http.StatusNotFound
	body := func(method, path string) string {
		switch {
		case path == "/groups" && method == http.MethodPost:
			return `{"groups": ["new"]}`
		case strings.HasSuffix(path, "/users"):
			return `{"users": ["bob"]}`
		}
		return "{}"
	}
	routes := []struct{ method, path string }{
		{http.MethodGet, "/groups"},
		{http.MethodPost, "/groups"},
		{http.MethodGet, "/groups/in"},
		{http.MethodPost, "/groups/in/users"},
		{http.MethodDelete, "/groups/in/users"},
		{http.MethodPut, "/groups/in/properties"},
		{http.MethodPost, "/groups/in"},
		{http.MethodDelete, "/groups/in"},
	}
	for scope, want := range map[string][]int{
		"read:groups!group=in":      {no, no, 200, no, no, no, no, no},
		"read:groups:name!group=in": {no, no, 200, no, no, no, no, no},
		"read:roles:groups":         {no, no, 200, no, no, no, no, no},
		"list:groups!group=in":      {200, no, 200, no, no, no, no, no},
		"list:groups!user=alice":    {no, no, hidden, no, no, no, no, no},
		"list:groups!server=alice/": {no, no, hidden, no, no, no, no, no},
		"groups!group=in":           {200, no, 200, 200, 200, 200, no, no},
		"groups!user=alice":         {no, no, hidden, hidden, hidden, hidden, no, no},
		"delete:groups!group=in":    {no, no, no, no, no, no, no, 204},
		"admin:groups!group=in":     {200, no, 200, 200, 200, 200, 409, 204},
		"admin:groups!group=other":  {200, no, hidden, hidden, hidden, hidden, hidden, hidden},
		"admin:groups":              {200, 201, 200, 200, 200, 200, 409, 204},
		"self":                      {no, no, no, no, no, no, no, no},
		"admin:users":               {no, no, no, no, no, no, no, no},
	} {
		token := b.Token(b.root, scope)
		for _, name := range []string{"in", "other", "new"} { // as they were, whatever the scopes before did
			b.as("root", http.MethodDelete, "/groups/"+name, "")
		}
		b.as("root", http.MethodPost, "/groups", `{"groups": ["in", "other"], "users": ["alice"]}`).want(http.StatusCreated)
		got := make([]int, len(routes))
		for i, r := range routes {
			a := b.as(token, r.method, r.path, body(r.method, r.path))
			if got[i] = a.status; a.status == hidden {
				absent := b.as(token, r.method, strings.Replace(r.path, "/in", "/absent", 1), body(r.method, r.path))
				same(t, scope+": hidden and absent", []any{a.status, a.problem()}, []any{absent.status, absent.problem()})
			}
		}
		same(t, scope, got, want)
	}
}

func TestFieldsOfGroupsFollowScopes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("root", http.MethodPost, "/groups", `{"groups": ["in", "other"], "users": ["alice"]}`).want(http.StatusCreated)
	for scope, want := range map[string]string{
		"read:groups:name":      "kind name",
		"read:roles:groups":     "kind name roles",
		"read:groups":           "kind name properties users",
		"read:groups!group=in":  "kind name properties users",
		"admin:groups!group=in": "kind name properties roles users",
		"list:groups":           "kind name",
		"read:roles":            "kind name roles",
		"groups":                "kind name properties users",
		"read:groups:name!group=in read:roles:groups!group=other": "kind name",
	} {
		token := b.Token(b.root, strings.Fields(scope)...)
		same(t, scope, keys(b.as(token, http.MethodGet, "/groups/in", "").want(http.StatusOK).object()), want)
	}
	list := b.as(b.Token(b.root, "list:groups", "read:groups!group=other"), http.MethodGet, "/groups", "").want(http.StatusOK).list()
	same(t, "of one the name only", keys(list[0]), "kind name")
	same(t, "of the other all", keys(list[1]), "kind name properties users")
}

func TestListGroupsWithin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("root", http.MethodPost, "/groups", `{"groups": ["a", "b", "c"]}`).want(http.StatusCreated)
	token := b.Token(b.root, "list:groups!group=c", "list:groups!group=a", "list:groups!group=none", "list:groups!user=alice")
	same(t, "what may be listed", names(b.as(token, http.MethodGet, "/groups", "").want(http.StatusOK).list()), []string{"a", "c"})
	page := b.as(token, http.MethodGet, "/groups?limit=1", "", "Accept", pages).want(http.StatusOK).object()["_pagination"].(map[string]any)
	same(t, "the total of what may be listed", page["total"], any(2.0)) // JupyterHub counts all groups, and tells thereby how many there are
	b.as("alice", http.MethodGet, "/groups", "").want(http.StatusForbidden)
	b.as("", http.MethodGet, "/groups", "").want(http.StatusForbidden)
}

// A role that the configuration gives a group is shown with it, and its members have it from the next request on.
func TestRolesOfGroups(t *testing.T) {
	t.Parallel()
	roles, err := scope.NewPolicy([]scope.Role{{Name: "helpers", Scopes: []string{"list:users"}, Groups: []string{"staff"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *hub.Options) { o.Roles = roles })
	made := b.as("root", http.MethodPost, "/groups/staff", "").want(http.StatusCreated).object()
	same(t, "roles", made["roles"], any([]any{"helpers"}))
	b.as("alice", http.MethodGet, "/users", "").want(http.StatusForbidden)
	b.as("root", http.MethodPost, "/groups/staff/users", `{"users": ["alice"]}`).want(http.StatusOK)
	b.as("alice", http.MethodGet, "/users", "").want(http.StatusOK)
	b.as("root", http.MethodDelete, "/groups/staff/users", `{"users": ["alice"]}`).want(http.StatusOK)
	b.as("alice", http.MethodGet, "/users", "").want(http.StatusForbidden)
}

// The limits of a group hold for its members from their next request on.
func TestLimitsOfGroupsFollowMembership(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.Limits = hub.Limits{AllowNamed: true, NamedServers: 1, Groups: map[string]hub.GroupLimits{"staff": {NamedServers: 2}}}
	})
	b.as("root", http.MethodPost, "/groups/staff", "").want(http.StatusCreated)
	start := func(name string) int { return b.as("alice", http.MethodPost, "/users/alice/servers/"+name, "").status }
	same(t, "the first", start("one"), http.StatusCreated)
	if status := start("two"); status < 400 || status >= 500 {
		t.Errorf("a second server of somebody in no group: %d", status)
	}
	b.as("root", http.MethodPost, "/groups/staff/users", `{"users": ["alice"]}`).want(http.StatusOK)
	same(t, "the second, as a member", start("two"), http.StatusCreated)
	b.as("root", http.MethodDelete, "/groups/staff/users", `{"users": ["alice"]}`).want(http.StatusOK)
	b.as("alice", http.MethodDelete, "/users/alice/servers/two", `{"remove": true}`).want(http.StatusNoContent)
	if status := start("two"); status < 400 || status >= 500 {
		t.Errorf("a second server of who has left: %d", status)
	}
}

// counting counts what a list of groups asks of the database.
type counting struct {
	hub.Store

	n atomic.Int64
}

func (c *counting) Groups(ctx context.Context, q hub.GroupQuery) ([]hub.Group, int, error) {
	c.n.Add(1)
	return c.Store.Groups(ctx, q)
}

func (c *counting) Users(ctx context.Context, q hub.UserQuery) ([]hub.User, int, error) {
	c.n.Add(1)
	return c.Store.Users(ctx, q)
}

func (c *counting) UserByName(ctx context.Context, name string) (hub.User, error) {
	c.n.Add(1)
	return c.Store.UserByName(ctx, name)
}

func TestPagesOfGroups(t *testing.T) {
	t.Parallel()
	var db *counting
	b := newBench(t, func(o *hub.Options) {
		db = &counting{Store: o.Store}
		o.Store = db
	})
	var quoted, all []string
	for i := range 210 {
		all = append(all, fmt.Sprintf("g%03d", (i*11)%210))
		quoted = append(quoted, `"`+all[i]+`"`)
	}
	b.as("root", http.MethodPost, "/groups", `{"groups": [`+strings.Join(quoted, ",")+`], "users": ["alice", "bob"]}`).want(http.StatusCreated)

	before := db.n.Load()
	bare := b.as("root", http.MethodGet, "/groups", "").want(http.StatusOK).list()
	same(t, "what a bare list holds", names(bare), all[:200])
	same(t, "each with its members", bare[199]["users"], any([]any{"alice", "bob"}))
	same(t, "how often the database was asked for 200 groups", db.n.Load()-before, int64(1))

	var got []string
	for at := b.Servers.URL + "/hub/api/groups?sort=name"; at != ""; {
		m := b.as("root", http.MethodGet, strings.TrimPrefix(at, b.Servers.URL+"/hub/api"), "", "Accept", pages).want(http.StatusOK)
		same(t, "content type", m.header.Get("Content-Type"), "application/json")
		var page struct {
			Items []struct{ Name string }
			About struct {
				Total, Limit int
				Next         *struct{ URL string }
			} `json:"_pagination"`
		}
		if err := json.Unmarshal([]byte(m.body), &page); err != nil {
			t.Fatal(err)
		}
		same(t, "total and limit", []int{page.About.Total, page.About.Limit}, []int{210, 50})
		for _, g := range page.Items {
			got = append(got, g.Name)
		}
		if at = ""; page.About.Next != nil {
			at = page.About.Next.URL
		}
	}
	slices.Sort(all)
	same(t, "all pages", got, all)
	same(t, "a page of its own size", names(b.as("root", http.MethodGet, "/groups?limit=-2&offset=208&sort=name", "").list()), all[208:])
	for _, q := range []string{"?limit=x", "?offset=1.5"} {
		b.as("root", http.MethodGet, "/groups"+q, "").want(http.StatusBadRequest)
	}
}

// Who joins or leaves a group may at once what its members may, with the tokens that they have; a login by a provider that tells groups has the last word.
func TestMembershipCountsAtTheNextRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("root", http.MethodPost, "/groups/class", "").want(http.StatusCreated)
	helper := b.Token(b.root, "read:users!group=class")
	b.as(helper, http.MethodGet, "/users/alice", "").want(http.StatusNotFound)
	b.as("root", http.MethodPost, "/groups/class/users", `{"users": ["alice"]}`).want(http.StatusOK)
	b.as(helper, http.MethodGet, "/users/alice", "").want(http.StatusOK)

	groups := func() any { return b.as("alice", http.MethodGet, "/user", "").want(http.StatusOK).object()["groups"] }
	b.inGroup("alice") // a provider that says nothing of groups
	same(t, "after a login without groups", groups(), any([]any{"class"}))
	b.inGroup("alice", "physics")
	same(t, "after a login with others", groups(), any([]any{"physics"}))
	b.as(helper, http.MethodGet, "/users/alice", "").want(http.StatusNotFound)
	b.as("root", http.MethodPost, "/groups/class/users", `{"users": ["alice"]}`).want(http.StatusOK) // is not refused
	same(t, "until the next login", groups(), any([]any{"class", "physics"}))
}

package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// newShareBench is a bench where every user may share their own servers. alice may read names, bob may not.
func newShareBench(t *testing.T, change ...func(*hub.Options)) *bench {
	t.Helper()
	b := newBench(t, change...)
	b.letShare()
	return b
}

func (b *bench) letShare() {
	b.t.Helper()
	p, err := scope.NewPolicy([]scope.Role{
		{Name: "user", Scopes: []string{"self", "shares!user"}},
		{Name: "reader", Scopes: []string{"read:users:name", "read:groups:name"}, Users: []string{"alice"}},
	}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Hub.SetRoles(p)
}

// group makes a group with members.
func (b *bench) group(name string, members ...string) {
	b.t.Helper()
	b.as("root", http.MethodPost, "/groups/"+url.PathEscape(name), fmt.Sprintf(`{"users": ["%s"]}`, strings.Join(members, `","`))).want(http.StatusCreated)
}

func (b *bench) items(who, path string) []any {
	b.t.Helper()
	m := b.as(who, http.MethodGet, path, "").want(http.StatusOK).object()
	items, ok := m["items"].([]any)
	if _, paged := m["_pagination"].(map[string]any); !ok || !paged {
		b.t.Errorf("%s is no page: %v", path, m)
	}
	return items
}

func TestShareFromGrantToRevocation(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.group("lab", "bob")
	b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusCreated)
	made := b.as("alice", http.MethodPost, "/shares/alice/", `{"user": "BOB"}`).want(http.StatusOK).object()
	created, _ := made["created_at"].(string)
	if _, err := time.Parse(time.RFC3339Nano, created); err != nil {
		t.Errorf("created_at is %v", made["created_at"])
	}
	want := map[string]any{
		"server": map[string]any{"user": map[string]any{"name": "alice"}, "name": "", "url": "/user/alice/", "full_url": nil, "ready": true},
		"scopes": []any{"access:servers!server=alice/"}, "user": map[string]any{"name": "bob"}, "group": nil, "kind": "user", "created_at": created,
	}
	same(t, "the share", made, want)
	more := b.as("alice", http.MethodPost, "/shares/alice/", `{"user": "bob", "scopes": ["read:servers", "access:servers!server=alice/"]}`).want(http.StatusOK).object()
	want["scopes"] = []any{"access:servers!server=alice/", "read:servers!server=alice/"}
	same(t, "the share with more", more, want)
	same(t, "bob sees it", b.as("bob", http.MethodGet, "/users/bob/shared/alice/", "").want(http.StatusOK).object(), want)
	same(t, "bob reads the server", b.as("bob", http.MethodGet, "/users/alice/server", "").want(http.StatusOK).object()["ready"], any(true))

	group := b.as("alice", http.MethodPost, "/shares/alice/", `{"group": "lab", "user": null, "scopes": null}`).want(http.StatusOK).object()
	same(t, "the share with a group", []any{group["kind"], group["user"], group["group"]}, []any{"group", nil, map[string]any{"name": "lab"}})
	same(t, "shares of the owner", b.items("alice", "/shares/alice"), []any{want, group})
	same(t, "shares of the server", b.items("alice", "/shares/alice/"), []any{want, group})
	same(t, "shared with bob", b.items("bob", "/users/bob/shared"), []any{want, group})
	same(t, "shared with the group", b.items("root", "/groups/lab/shared"), []any{group})
	same(t, "the group's", b.as("root", http.MethodGet, "/groups/lab/shared/alice/", "").want(http.StatusOK).object(), group)

	less := b.as("alice", http.MethodPatch, "/shares/alice/", `{"user": "bob", "scopes": ["access:servers", "tokens"]}`).want(http.StatusOK).object()
	same(t, "what is left", less["scopes"], any([]any{"read:servers!server=alice/"}))
	for range 2 {
		same(t, "nothing", b.as("alice", http.MethodPatch, "/shares/alice/", `{"user": "bob"}`).want(http.StatusOK).object(), map[string]any{})
	}
	same(t, "for nobody", b.as("alice", http.MethodPatch, "/shares/alice/", `{"user": "nobody"}`).want(http.StatusOK).object(), map[string]any{})
	b.as("bob", http.MethodGet, "/users/bob/shared/alice/", "").want(http.StatusNotFound) // only the direct ones, as in JupyterHub
	b.as("root", http.MethodDelete, "/groups/lab/shared/alice/", "").want(http.StatusNoContent).empty()
	same(t, "all is gone", b.items("alice", "/shares/alice"), []any{})

	b.as("alice", http.MethodPost, "/shares/alice/", `{"user": "bob"}`).want(http.StatusOK)
	b.as("bob", http.MethodDelete, "/users/bob/shared/alice/", "").want(http.StatusNoContent).empty()
	b.as("bob", http.MethodDelete, "/users/bob/shared/alice/", "").want(http.StatusNotFound)
	b.as("alice", http.MethodPost, "/shares/alice/", `{"group": "lab"}`).want(http.StatusOK)
	b.as("alice", http.MethodDelete, "/shares/alice/", "").want(http.StatusNoContent).empty()
	b.as("alice", http.MethodDelete, "/shares/alice/", "").want(http.StatusNoContent).empty()
	same(t, "nothing is shared with bob", b.items("bob", "/users/bob/shared"), []any{})
}

func TestSharesThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.group("lab", "bob")
	for body, status := range map[string]int{
		``:                                       http.StatusBadRequest,
		`{}`:                                     http.StatusBadRequest,
		`[]`:                                     http.StatusBadRequest,
		`{"user": ""}`:                           http.StatusBadRequest,
		`{"user": "bob", "group": "lab"}`:        http.StatusBadRequest,
		`{"user": "bob", "expires_in": 60}`:      http.StatusBadRequest,
		`{"user": 1}`:                            http.StatusBadRequest,
		`{"user": "nobody"}`:                     http.StatusBadRequest,
		`{"group": "nobody"}`:                    http.StatusBadRequest,
		`{"user": "alice"}`:                      http.StatusBadRequest, // the owner
		`{"user": "bob", "scopes": ["no:such"]}`: http.StatusBadRequest,
		`{"user": "bob", "scopes": ["self"]}`:    http.StatusBadRequest,
		`{"user": "bob", "scopes": ["access:servers!user=alice"]}`:     http.StatusBadRequest,
		`{"user": "bob", "scopes": ["access:servers!server=alice/x"]}`: http.StatusBadRequest,
		`{"user": "bob", "scopes": ["access:servers!server"]}`:         http.StatusBadRequest,
		`{"user": "bob", "scopes": "access:servers"}`:                  http.StatusBadRequest,
		`{"user": "bob", "scopes": ["admin:servers"]}`:                 http.StatusForbidden,
		`{"user": "bob", "scopes": ["access:servers", "admin-ui"]}`:    http.StatusForbidden,
	} {
		b.as("alice", http.MethodPost, "/shares/alice/", body).want(status)
	}
	b.as("alice", http.MethodPost, "/shares/alice/none", `{"user": "bob"}`).want(http.StatusNotFound)
	b.as("alice", http.MethodGet, "/shares/alice/none", "").want(http.StatusNotFound)
	b.as("alice", http.MethodPatch, "/shares/alice/none", `{"user": "bob"}`).want(http.StatusNotFound)
	b.as("alice", http.MethodPatch, "/shares/alice/", `{}`).want(http.StatusBadRequest)
	b.as("alice", http.MethodDelete, "/shares/alice/none", "").want(http.StatusNotFound)
	// bob may share, and may read nobody's name: who there is, is told in the same words as who is not.
	hidden := b.as("bob", http.MethodPost, "/shares/bob/", `{"user": "alice"}`).want(http.StatusForbidden).problem()
	same(t, "an unknown user", b.as("bob", http.MethodPost, "/shares/bob/", `{"user": "nobody"}`).want(http.StatusForbidden).problem(), hidden)
	hidden = b.as("bob", http.MethodPost, "/shares/bob/", `{"group": "lab"}`).want(http.StatusForbidden).problem()
	same(t, "an unknown group", b.as("bob", http.MethodPost, "/shares/bob/", `{"group": "none"}`).want(http.StatusForbidden).problem(), hidden)
	// A token shares no more than it may do itself.
	narrow := b.Token(b.alice, "read:shares!user", "read:users:name", "shares!server=alice/x")
	b.as(narrow, http.MethodPost, "/shares/alice/", `{"user": "bob"}`).want(http.StatusNotFound)
	narrow = b.Token(b.alice, "read:users:name", "shares!server=alice/")
	b.as(narrow, http.MethodPost, "/shares/alice/", `{"user": "bob", "scopes": ["servers"]}`).want(http.StatusForbidden)
	b.as(narrow, http.MethodPost, "/shares/alice/", `{"user": "bob"}`).want(http.StatusOK)
	// Who may use a server may not pass it on.
	b.as("bob", http.MethodPost, "/shares/alice/", `{"user": "root"}`).want(http.StatusNotFound)
	same(t, "only bob has it", len(b.items("alice", "/shares/alice")), 1)
	b.as("root", http.MethodPost, "/shares/bob/", `{"user": "alice", "scopes": ["admin:servers"]}`).want(http.StatusOK) // has it
}

func TestSharesHideWhatMayNotBeSeen(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	b.group("lab", "bob")
	for _, r := range []struct{ method, at, tail string }{
		{http.MethodGet, "/shares/", ""}, {http.MethodGet, "/shares/", "/"}, {http.MethodPost, "/shares/", "/"}, {http.MethodPatch, "/shares/", "/x"},
		{http.MethodDelete, "/shares/", "/"}, {http.MethodGet, "/share-codes/", ""}, {http.MethodGet, "/share-codes/", "/x"},
		{http.MethodPost, "/share-codes/", "/"}, {http.MethodDelete, "/share-codes/", "/"}, {http.MethodGet, "/users/", "/shared"},
		{http.MethodGet, "/users/", "/shared/alice/"}, {http.MethodDelete, "/users/", "/shared/alice/"},
	} {
		there := b.as("bob", r.method, r.at+"alice"+r.tail, `{"user": "bob"}`).want(http.StatusNotFound).problem()
		absent := b.as("bob", r.method, r.at+"nobody"+r.tail, `{"user": "bob"}`).want(http.StatusNotFound).problem()
		same(t, r.method+r.at+r.tail, there, absent)
		b.as(b.Token(b.bob, "read:users:name!user"), r.method, r.at+"bob"+r.tail, "{}").want(http.StatusForbidden)
		b.as("", r.method, r.at+"bob"+r.tail, "{}").want(http.StatusForbidden)
	}
	for _, path := range []string{"/groups/lab/shared", "/groups/lab/shared/alice/"} {
		b.as(b.Token(b.bob, "read:users:name!user"), http.MethodGet, path, "").want(http.StatusForbidden)
	}
	b.as("root", http.MethodGet, "/groups/none/shared", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/groups/lab/shared/alice/", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/users/bob/shared/nobody/", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/shares/nobody", "").want(http.StatusNotFound)
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodPut} {
		b.as("alice", method, "/shares/alice", `{"user": "bob"}`).want(http.StatusMethodNotAllowed)
		b.as("alice", method, "/share-codes/alice", "").want(http.StatusMethodNotAllowed)
	}
}

func TestPagesOfShares(t *testing.T) {
	t.Parallel()
	b := newShareBench(t)
	for i := range 5 {
		name := fmt.Sprintf("u%d", i)
		b.User(name, false)
		b.as("alice", http.MethodPost, "/shares/alice/", fmt.Sprintf(`{"user": %q}`, name)).want(http.StatusOK)
		b.as("alice", http.MethodPost, "/share-codes/alice/", "").want(http.StatusOK)
	}
	for _, path := range []string{"/shares/alice", "/shares/alice/", "/share-codes/alice", "/share-codes/alice/"} {
		m := b.as("alice", http.MethodGet, path+"?limit=2&offset=2", "").want(http.StatusOK).object()
		p, _ := m["_pagination"].(map[string]any)
		same(t, path, []any{p["offset"], p["limit"], p["total"]}, []any{2.0, 2.0, 5.0})
		next, _ := p["next"].(map[string]any)
		at, _ := next["url"].(string)
		u, err := url.Parse(at)
		if err != nil || u.Host == "" || u.Query().Get("offset") != "4" || u.Path != "/hub/api"+path {
			t.Errorf("%s goes on at %q", path, at)
		}
		last := b.items("alice", path+"?offset=4")
		same(t, path+", the last page", len(last), 1)
	}
	m := b.as("alice", http.MethodGet, "/shares/alice", "").object()
	same(t, "without the header", m["_pagination"].(map[string]any)["limit"], any(200.0))
	m = b.as("alice", http.MethodGet, "/shares/alice", "", "Accept", pages).object()
	same(t, "with the header", m["_pagination"].(map[string]any)["limit"], any(50.0))
	b.as("alice", http.MethodGet, "/shares/alice?limit=x", "").want(http.StatusBadRequest)
}

func TestShareCodes(t *testing.T) {
	t.Parallel()
	public := &url.URL{Scheme: "https", Host: "hub.example.org"}
	b := newShareBench(t, func(o *hub.Options) { o.URLs = hub.NewURLs("/", public, "http://127.0.0.1") })
	made := b.as("alice", http.MethodPost, "/share-codes/alice/", "").want(http.StatusOK).object()
	same(t, "keys", keys(made), "accept_url code created_at exchange_count expires_at full_accept_url id last_exchanged_at scopes server")
	code, _ := made["code"].(string)
	same(t, "where to accept it", []any{made["accept_url"], made["full_accept_url"]},
		[]any{"/hub/accept-share?code=" + code, "https://hub.example.org/hub/accept-share?code=" + code})
	same(t, "the server", made["server"], any(map[string]any{
		"user": map[string]any{"name": "alice"}, "name": "", "url": "/user/alice/", "full_url": "https://hub.example.org/user/alice/", "ready": false,
	}))
	begin, end := instant(t, made["created_at"]), instant(t, made["expires_at"])
	same(t, "how long it lives", end.Sub(begin), 24*time.Hour)

	for _, key := range []string{"code", "accept_url", "full_accept_url"} {
		delete(made, key)
	}
	same(t, "the list", b.items("alice", "/share-codes/alice"), []any{made})
	same(t, "the server's list", b.items("alice", "/share-codes/alice/"), []any{made})
	if _, err := b.Hub.AcceptShare(t.Context(), b.bob, code); err != nil {
		t.Fatal(err)
	}
	m, _ := b.items("alice", "/share-codes/alice")[0].(map[string]any)
	same(t, "it was used", m["exchange_count"], any(1.0))
	instant(t, m["last_exchanged_at"])

	for body, status := range map[string]int{
		`{"expires_in": 59}`: http.StatusBadRequest, `{"expires_in": 31536001}`: http.StatusBadRequest, `{"expires_in": 9223372036854775807}`: http.StatusBadRequest,
		`{"expires_in": "60"}`: http.StatusBadRequest, `{"expires_in": 60}`: http.StatusOK, `{"expires_in": 31536000}`: http.StatusOK,
		`{"user": "bob"}`: http.StatusBadRequest, `{"scopes": ["access:servers!user=alice"]}`: http.StatusBadRequest,
		`{"scopes": ["admin:servers"]}`: http.StatusForbidden, `{"scopes": ["servers"]}`: http.StatusOK,
	} {
		b.as("alice", http.MethodPost, "/share-codes/alice/", body).want(status)
	}
	b.as("alice", http.MethodPost, "/share-codes/alice/none", "").want(http.StatusNotFound)
	b.as("alice", http.MethodGet, "/share-codes/alice/none", "").want(http.StatusNotFound)
	same(t, "those that were made", len(b.items("alice", "/share-codes/alice")), 4)

	for _, query := range []string{"?id=1", "?id=sc_0", "?id=sc_x", "?id=sc_99999", "?code=" + strings.Repeat("0", 32)} {
		b.as("alice", http.MethodDelete, "/share-codes/alice/"+query, "").want(http.StatusNotFound)
	}
	b.as("bob", http.MethodDelete, fmt.Sprintf("/share-codes/bob/?id=%v", made["id"]), "").want(http.StatusNotFound) // another's
	b.as("alice", http.MethodDelete, "/share-codes/alice/?code="+code, "").want(http.StatusNoContent).empty()
	second, _ := b.items("alice", "/share-codes/alice")[0].(map[string]any)
	b.as("alice", http.MethodDelete, fmt.Sprintf("/share-codes/alice/?id=%v", second["id"]), "").want(http.StatusNoContent)
	same(t, "two are left", len(b.items("alice", "/share-codes/alice")), 2)
	b.as("alice", http.MethodDelete, "/share-codes/alice/", "").want(http.StatusNoContent)
	b.as("alice", http.MethodDelete, "/share-codes/alice/", "").want(http.StatusNoContent)
	same(t, "none is left", b.items("alice", "/share-codes/alice"), []any{})
	same(t, "bob stays", len(b.items("alice", "/shares/alice")), 1)
}

func instant(t *testing.T, v any) time.Time {
	t.Helper()
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Errorf("%v is no time: %v", v, err)
	}
	return at
}

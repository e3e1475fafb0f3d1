package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := b.Start("alice", "")
	m := b.as("alice", http.MethodPost, "/users/alice/tokens", `{"note": "for <me>", "expires_in": 3600, "scopes": ["read:users!user", "servers!user=alice"], "unknown": 1}`).
		want(http.StatusCreated).object()
	same(t, "keys", keys(m), "created expires_at id kind last_activity note oauth_client roles scopes session_id token user")
	same(t, "model", []any{m["user"], m["kind"], m["note"], m["oauth_client"], m["session_id"], m["last_activity"], m["roles"]},
		[]any{"alice", "api_token", "for <me>", "JupyterHub", nil, nil, []any{}})
	created, err := time.Parse(time.RFC3339Nano, m["created"].(string))
	if err != nil {
		t.Fatal(err)
	}
	expires, err := time.Parse(time.RFC3339Nano, m["expires_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "lifetime", expires.Sub(created), time.Hour)
	same(t, "scopes are expanded", fmt.Sprint(m["scopes"]),
		"[delete:servers!user=alice read:servers!user=alice read:users!user=alice read:users:activity!user=alice read:users:groups!user=alice "+
			"read:users:name!user=alice servers!user=alice start:servers!user=alice]")

	one := "/users/alice/tokens/" + m["id"].(string)
	secret := m["token"].(string)
	delete(m, "token")
	same(t, "the same, but for the secret", b.as("alice", http.MethodGet, one, "").want(http.StatusOK).object(), m)
	b.as("bob", http.MethodGet, one, "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/users/bob/tokens/"+m["id"].(string), "").want(http.StatusNotFound)
	b.as(secret, http.MethodGet, "/user", "").want(http.StatusOK)

	list := b.as("alice", http.MethodGet, "/users/alice/tokens", "").want(http.StatusOK).object()["api_tokens"].([]any)
	same(t, "all tokens, the server's too", len(list), 3)
	var notes, uses []string
	for _, x := range list {
		m := x.(map[string]any)
		if _, has := m["token"]; has {
			t.Error("a list shows a secret")
		}
		use, used := m["last_activity"].(string)
		if !used {
			use = m["created"].(string)
		}
		notes, uses = append(notes, m["note"].(string)), append(uses, strings.TrimSuffix(use, "Z"))
	}
	if !slices.IsSorted(uses) {
		t.Errorf("the list is not sorted by last use: %v", uses)
	}
	same(t, "notes", sorted(notes), []string{"", "Server at /user/alice/", "for <me>"})

	b.as(secret, http.MethodDelete, one, "").want(http.StatusForbidden)
	b.as("alice", http.MethodDelete, one, "").want(http.StatusNoContent).empty()
	b.as("alice", http.MethodDelete, one, "").want(http.StatusNotFound)
	b.as(secret, http.MethodGet, "/user", "").want(http.StatusForbidden)
	for _, id := range []string{"1", "a", "a0x", "b1", "a-1", "a01", "a99999999999999999999", "a%2F1"} {
		b.as("alice", http.MethodGet, "/users/alice/tokens/"+id, "").want(http.StatusNotFound)
	}
	if _, ok := b.Fake.Spec(server.ID); !ok {
		t.Error("the server is gone")
	}
}

func TestNewTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for body, want := range map[string]string{
		``:                             "Requested via api",
		`{}`:                           "Requested via api",
		`{"note": null}`:               "Requested via api",
		`{"note": ""}`:                 "Requested via api",
		`{"expires_in": 0}`:            "Requested via api",
		`{"expires_in": null}`:         "Requested via api",
		`{"roles": ["user", "token"]}`: "Requested via api",
	} {
		m := b.as("alice", http.MethodPost, "/users/alice/tokens", body).want(http.StatusCreated).object()
		same(t, body, []any{m["note"], m["expires_at"]}, []any{want, nil})
	}
	m := b.as("root", http.MethodPost, "/users/bob/tokens", "").want(http.StatusCreated).object()
	same(t, "for somebody else", m["note"], any("Requested via api by user root"))
	same(t, "it is theirs", b.as(m["token"].(string), http.MethodGet, "/user", "").object()["name"], any("bob"))
	same(t, "it is no administrator's", b.as(m["token"].(string), http.MethodGet, "/info", "").status, http.StatusForbidden)
	b.as(b.Token(b.alice, "read:tokens!user"), http.MethodPost, "/users/alice/tokens", "").want(http.StatusForbidden)
	b.as("", http.MethodPost, "/users/alice/tokens", `{"auth": {"username": "alice", "password": "x"}}`).want(http.StatusForbidden)
}

func TestExpiredTokensAreGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := b.as("alice", http.MethodPost, "/users/alice/tokens", `{"expires_in": 1}`).want(http.StatusCreated).object()
	b.Eventually("the token's end", func() bool {
		return b.as(m["token"].(string), http.MethodGet, "/user", "").status == http.StatusForbidden
	})
	b.as("alice", http.MethodGet, "/users/alice/tokens/"+m["id"].(string), "").want(http.StatusNotFound)
	same(t, "list", len(b.as("alice", http.MethodGet, "/users/alice/tokens", "").object()["api_tokens"].([]any)), 1)
}

// TestTokensLiveNoLongerThanTheLimit: neither leaving it out nor 0, which otherwise is for ever, is a way around it.
func TestTokensLiveNoLongerThanTheLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits.TokenLifetime = time.Hour })
	for body, want := range map[string]time.Duration{
		``: time.Hour, `{"expires_in": null}`: time.Hour, `{"expires_in": 0}`: time.Hour, `{"expires_in": 3600}`: time.Hour, `{"expires_in": 60}`: time.Minute,
	} {
		m := b.as("alice", http.MethodPost, "/users/alice/tokens", body).want(http.StatusCreated).object()
		created, err := time.Parse(time.RFC3339Nano, m["created"].(string))
		if err != nil {
			t.Fatal(err)
		}
		expires, err := time.Parse(time.RFC3339Nano, m["expires_at"].(string))
		if err != nil {
			t.Fatal(err)
		}
		same(t, body, expires.Sub(created), want)
	}
	for _, body := range []string{`{"expires_in": 3601}`, `{"expires_in": 3153600000}`} {
		b.as("root", http.MethodPost, "/users/alice/tokens", body).want(http.StatusBadRequest)
	}
	b.Hub.SetLimits(hub.Limits{})
	same(t, "without a limit", b.as("alice", http.MethodPost, "/users/alice/tokens", "").want(http.StatusCreated).object()["expires_at"], nil)
}

package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
)

func (b *bench) serverOf(path string) map[string]any {
	b.t.Helper()
	return b.as("alice", http.MethodGet, path, "").want(http.StatusOK).object()
}

func TestMakeServersWithoutStartingThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const lab = "/users/alice/servers/lab"
	m := b.as("alice", http.MethodPut, lab, `{"display_name": "My lab", "user_options": {"n": 1}}`).want(http.StatusCreated).object()
	same(t, "the new server", []any{m["name"], m["display_name"], m["stopped"], m["ready"], m["started"], m["user_options"], m["url"]},
		[]any{"lab", "My lab", true, false, nil, map[string]any{"n": 1.0}, "/user/alice/lab/"})
	same(t, "as it is read", b.serverOf(lab), m)
	if _, ok := b.Fake.Spec(b.server("alice", "lab").ID); ok {
		t.Error("the server was started")
	}
	b.as("alice", http.MethodPut, lab, "").want(http.StatusConflict)
	b.as("alice", http.MethodPut, "/users/alice/server", "").want(http.StatusConflict)
	b.as("alice", http.MethodPut, "/users/alice/servers/", "").want(http.StatusConflict)
	for body, want := range map[string]any{
		"": map[string]any{}, `{"user_options": null}`: map[string]any{}, `{"a": 1}`: map[string]any{"a": 1.0},
	} {
		m := b.as("alice", http.MethodPut, lab+"2", body).want(http.StatusCreated).object()
		same(t, body, []any{m["user_options"], m["display_name"]}, []any{want, "lab2"})
		b.as("alice", http.MethodDelete, lab+"2", `{"remove": true}`).want(http.StatusNoContent).empty()
		b.as("alice", http.MethodGet, lab+"2", "").want(http.StatusNotFound)
	}
	for _, body := range []string{
		`[]`, `5`, `{`, `{"display_name": 5}`, `{"display_name": null}`, `{"display_name": " x"}`, `{"display_name": "x  y"}`, `{"display_name": "a\tb"}`,
		`{"display_name": "` + strings.Repeat("ü", 256) + `"}`, `{"user_options": []}`, `{"display_name": "x", "user_options": 5}`,
	} {
		b.as("alice", http.MethodPut, "/users/alice/servers/other", body).want(http.StatusBadRequest)
	}
	b.as("alice", http.MethodPut, "/users/alice/servers/a%2Fb", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodPut, "/users/bob/servers/x", "").want(http.StatusNotFound)
	b.as("root", http.MethodPut, "/users/nobody/servers/x", "").want(http.StatusNotFound)
	b.as(b.Token(b.alice, "read:servers!user"), http.MethodPut, "/users/alice/servers/x", "").want(http.StatusForbidden)
	b.as(b.Token(b.alice, "start:servers!server=alice/x"), http.MethodPut, "/users/alice/servers/y", "").want(http.StatusNotFound)
	b.as(b.Token(b.alice, "start:servers!server=alice/x"), http.MethodPut, "/users/alice/servers/x", "").want(http.StatusCreated)

	b.as("alice", http.MethodPost, lab, "").want(http.StatusCreated).empty()
	m = b.serverOf(lab)
	same(t, "it starts as it was made", []any{m["ready"], m["display_name"], m["user_options"]}, []any{true, "My lab", map[string]any{"n": 1.0}})
}

func (b *bench) server(user, name string) hub.Server {
	b.t.Helper()
	s, err := b.Hub.Server(b.t.Context(), user, name)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func TestMadeServersKeepToTheLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits = hub.Limits{AllowNamed: true, NamedServers: 1} })
	b.as("alice", http.MethodPut, "/users/alice/servers/one", "").want(http.StatusCreated)
	b.as("alice", http.MethodPut, "/users/alice/servers/two", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodPatch, "/users/alice/servers/one", `{"name": "two"}`).want(http.StatusOK) // not one more
	b.as("alice", http.MethodPatch, "/users/alice/server", `{"display_name": "Mine"}`).want(http.StatusOK)
	b.as("alice", http.MethodPatch, "/users/alice/server", `{"name": "three"}`).want(http.StatusBadRequest)

	b = newBench(t, func(o *hub.Options) { o.Limits = hub.Limits{} })
	b.as("alice", http.MethodPut, "/users/alice/servers/one", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodPatch, "/users/alice/server", `{"display_name": "Mine"}`).want(http.StatusOK)
	b.as("alice", http.MethodPatch, "/users/alice/server", `{"name": "one"}`).want(http.StatusBadRequest)
}

func TestEditServers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const lab = "/users/alice/servers/lab"
	b.as("alice", http.MethodPatch, lab, `{"display_name": "x"}`).want(http.StatusNotFound)
	b.as("alice", http.MethodPut, lab, `{"n": 1}`).want(http.StatusCreated)
	id := b.server("alice", "lab").ID
	m := b.as("alice", http.MethodPatch, lab, `{"display_name": "Große Maschine", "user_options": {"m": 2}}`).want(http.StatusOK).object()
	same(t, "edited", []any{m["display_name"], m["user_options"]}, []any{"Große Maschine", map[string]any{"m": 2.0}})
	m = b.as("alice", http.MethodPatch, lab, `{"display_name": ""}`).want(http.StatusOK).object()
	same(t, "none of its own", m["display_name"], any("lab"))
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"color": 1}`, `{"name": 5}`, `{"name": ""}`, `{"name": "a/b"}`, `{"display_name": 5}`, `{"user_options": null}`, `{"user_options": 5}`,
		`{"display_name": "x", "color": "red"}`,
	} {
		b.as("alice", http.MethodPatch, lab, body).want(http.StatusBadRequest)
	}
	b.as("bob", http.MethodPatch, lab, `{"display_name": "x"}`).want(http.StatusNotFound)
	b.as(b.Token(b.alice, "read:servers!user"), http.MethodPatch, lab, `{"display_name": "x"}`).want(http.StatusForbidden)

	t.Run("the default server is there before its first start", func(t *testing.T) {
		m := b.as("bob", http.MethodPatch, "/users/bob/server", `{"display_name": "Mine", "user_options": {"k": 1}}`).want(http.StatusOK).object()
		same(t, "model", []any{m["name"], m["display_name"], m["stopped"], m["user_options"]}, []any{"", "Mine", true, map[string]any{"k": 1.0}})
		b.as("bob", http.MethodPost, "/users/bob/server", "").want(http.StatusCreated)
		s := b.as("bob", http.MethodGet, "/users/bob/server", "").object()
		same(t, "started so", []any{s["display_name"], s["user_options"]}, []any{"Mine", map[string]any{"k": 1.0}})
	})
	t.Run("another name", func(t *testing.T) {
		owned := b.Token(b.alice, "servers!server=alice/lab")
		volume := hub.Volume{ID: "0190a0a0-0000-7000-8000-000000000001", Share: profile.ShareServer, UserID: b.alice.ID, UserName: "alice", ServerName: "lab", Name: "home", State: hub.VolumeReady}
		if err := b.Store.CreateVolume(t.Context(), volume); err != nil {
			t.Fatal(err)
		}
		b.as("alice", http.MethodPut, lab+"2", "").want(http.StatusCreated)
		b.as("alice", http.MethodPatch, lab, `{"name": "lab2"}`).want(http.StatusConflict)
		m := b.as(owned, http.MethodPatch, lab, `{"name": "gpu"}`).want(http.StatusOK).object()
		same(t, "renamed", []any{m["name"], m["full_name"], m["url"]}, []any{"gpu", "alice/gpu", "/user/alice/gpu/"})
		b.as("alice", http.MethodGet, lab, "").want(http.StatusNotFound)
		same(t, "it is the same server", b.server("alice", "gpu").ID, id)
		b.as(owned, http.MethodPost, "/users/alice/servers/gpu", "").want(http.StatusCreated) // the token is still about it
		v, err := b.Store.VolumeByID(t.Context(), volume.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "its files", v.ServerName, "gpu")
	})
	t.Run("not while it is active", func(t *testing.T) {
		for _, body := range []string{`{"name": "other"}`, `{"display_name": "x"}`, `{"user_options": {}}`} {
			b.as("alice", http.MethodPatch, "/users/alice/servers/gpu", body).want(http.StatusBadRequest)
		}
	})
}

// TestStartBodies has what a start's body may hold: JupyterHub 6's keys, or the options themselves.
func TestStartBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const lab = "/users/alice/servers/lab"
	for _, c := range []struct{ body, options, name string }{
		{`{"user_options": {"a": 1}, "display_name": "Mine"}`, `{"a":1}`, "Mine"},
		{``, `{"a":1}`, "Mine"},
		{`{"display_name": "Ours"}`, `{"a":1}`, "Ours"},
		{`{"user_options": null}`, `{"a":1}`, "Ours"},
		{`{"user_options": {"b": 2}}`, `{"b":2}`, "Ours"},
		{`{"c": 3}`, `{"c":3}`, "Ours"},
		{`{}`, `{}`, "Ours"}, // as up to JupyterHub 5
	} {
		b.as("alice", http.MethodPost, lab, c.body).want(http.StatusCreated).empty()
		m := b.serverOf(lab)
		options, err := json.Marshal(m["user_options"])
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.body, []any{string(options), m["display_name"]}, []any{c.options, c.name})
		b.as("alice", http.MethodDelete, lab, "").want(http.StatusNoContent)
	}
	for _, body := range []string{`{"display_name": 1}`, `{"display_name": "a\u202eb"}`, `{"user_options": "x"}`, `"x"`} {
		b.as("alice", http.MethodPost, lab, body).want(http.StatusBadRequest)
	}
	same(t, "nothing was started", b.serverOf(lab)["stopped"], any(true))
}

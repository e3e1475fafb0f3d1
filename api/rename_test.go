package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
)

// TestRenameUser sees that all that is a user's stays theirs under another name, and that nothing of it is the next one's of the old name.
func TestRenameUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inGroup("alice", "physics")
	browser := b.Browser("alice")
	volume := hub.Volume{ID: "0190a0a0-0000-7000-8000-000000000002", Share: profile.ShareUser, UserID: b.alice.ID, UserName: "alice", Name: "home", State: hub.VolumeReady}
	if err := b.Store.CreateVolume(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	narrow := b.Token(b.root, "read:users!user=alice", "read:servers!server=alice/")
	before := b.Start("alice", "")
	b.as("alice", http.MethodPut, "/users/alice/servers/lab", "").want(http.StatusCreated)

	a := b.as("root", http.MethodPatch, "/users/alice", `{"name": "alicia"}`).want(http.StatusConflict)
	if !strings.Contains(a.body, "Stop") {
		t.Errorf("the message does not say what to do: %s", a.body)
	}
	b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent)
	m := b.as("root", http.MethodPatch, "/users/alice", `{"name": " Alicia"}`).want(http.StatusOK).object()
	same(t, "renamed", []any{m["name"], m["groups"], m["auth_state"]}, []any{"alicia", []any{"physics"}, nil})
	b.as("root", http.MethodGet, "/users/alice", "").want(http.StatusNotFound)

	t.Run("credentials stay", func(t *testing.T) {
		same(t, "token", b.as("alice", http.MethodGet, "/user", "").want(http.StatusOK).object()["name"], any("alicia"))
		same(t, "cookie", b.browse(browser, http.MethodGet, "/user", "").want(http.StatusOK).object()["name"], any("alicia"))
		_, u, err := b.Hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "alice", Name: "alice"}, hub.Browser{}, hub.LoginOptions{})
		if err != nil || u.ID != b.alice.ID || u.Name != "alicia" {
			t.Errorf("the next login is %+v, %v", u, err)
		}
	})
	t.Run("servers and files stay", func(t *testing.T) {
		b.as("alice", http.MethodPost, "/users/alicia/server", "").want(http.StatusCreated)
		now := b.server("alicia", "")
		same(t, "the server", now.ID, before.ID)
		spec, _ := b.Fake.Spec(now.ID)
		same(t, "what it is told", []string{spec.Env["JUPYTERHUB_USER"], spec.Env["JUPYTERHUB_SERVICE_PREFIX"], spec.Env["JUPYTERHUB_CLIENT_ID"], spec.Home},
			[]string{"alicia", "/user/alicia/", "jupyterhub-user-alicia", b.alice.ID})
		b.as("alice", http.MethodGet, "/users/alicia/servers/lab", "").want(http.StatusOK)
		v, err := b.Store.VolumeByID(t.Context(), volume.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the volume", []string{v.UserID, v.UserName}, []string{b.alice.ID, "alicia"})
	})
	t.Run("the old name is somebody else's", func(t *testing.T) {
		b.as("root", http.MethodPost, "/users/alice", "").want(http.StatusCreated)
		b.as("alice", http.MethodGet, "/users/alice", "").want(http.StatusNotFound)
		b.as(narrow, http.MethodGet, "/users/alice", "").want(http.StatusNotFound)
		scopes := fmt.Sprint(b.as(narrow, http.MethodGet, "/user", "").want(http.StatusOK).object()["scopes"])
		if !strings.Contains(scopes, "read:users!user=alicia") || !strings.Contains(scopes, "read:servers!server=alicia/") {
			t.Errorf("the narrowed token has %s", scopes)
		}
		b.as(narrow, http.MethodGet, "/users/alicia", "").want(http.StatusOK)
	})
	b.as("root", http.MethodPatch, "/users/bob", `{"name": "alicia"}`).want(http.StatusBadRequest)
	b.as("root", http.MethodPatch, "/users/nobody", `{"name": "x"}`).want(http.StatusNotFound)
	b.as("bob", http.MethodPatch, "/users/bob", `{"name": "rob"}`).want(http.StatusForbidden)
	b.as("root", http.MethodPatch, "/users/root", `{"name": "chief"}`).want(http.StatusOK)
	same(t, "renamed by oneself", b.as("root", http.MethodGet, "/user", "").object()["name"], any("chief"))
}

// TestRenameMakesNobodyMore: names in the operator's rules are given by those who may give what comes with them.
func TestRenameMakesNobodyMore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.Admission = hub.Admission{AllowAll: true, AdminUsers: []string{"chief"}, BlockedUsers: []string{"blocked"}}
	})
	b.as("root", http.MethodPost, "/users/blocked", "").want(http.StatusCreated)
	deputy := b.Token(b.root, "admin:users") // not all that an administrator may do
	b.as(deputy, http.MethodPatch, "/users/bob", `{"name": "CHIEF"}`).want(http.StatusForbidden)
	b.as(deputy, http.MethodPatch, "/users/blocked", `{"name": "free"}`).want(http.StatusForbidden)
	b.as(deputy, http.MethodPatch, "/users/bob", `{"name": "rob"}`).want(http.StatusOK)
	b.as("root", http.MethodPatch, "/users/rob", `{"name": "chief"}`).want(http.StatusOK)
}

// TestF07_RenameDuringStart has starts, stops and renames of a user come at once. Whatever was accepted, what runs was told the name that its owner has.
func TestF07_RenameDuringStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now, other := "carol", "dora"
	u := b.User(now, false)
	for round := range 30 {
		answers := make(chan int)
		for range 2 {
			go func() {
				_, err := b.Hub.StartServer(t.Context(), now, "", json.RawMessage(fmt.Sprintf(`{"round": %d}`, round)))
				if k := hub.KindOf(err); err != nil && k != hub.NotFound && k != hub.Conflict {
					t.Errorf("round %d: start: %v", round, err)
				}
				answers <- 0
			}()
		}
		go func() {
			_, err := b.Hub.RenameUser(t.Context(), hub.User{ID: u.ID, Name: now}, other)
			if err != nil && hub.KindOf(err) != hub.Conflict {
				t.Errorf("round %d: rename: %v", round, err)
			}
			renamed := 0
			if err == nil {
				renamed = 1
			}
			answers <- renamed
		}()
		renamed := <-answers + <-answers + <-answers
		if renamed == 1 {
			now, other = other, now
		}
		is, err := b.Hub.UserByName(t.Context(), now)
		if err != nil || is.ID != u.ID {
			t.Fatalf("round %d: %q is %+v, %v", round, now, is, err)
		}
		if _, err := b.Hub.UserByName(t.Context(), other); hub.KindOf(err) != hub.NotFound {
			t.Fatalf("round %d: the name %q is not free: %v", round, other, err)
		}
		s := b.server(now, "")
		if !s.Active() {
			continue
		}
		s = b.Await(s.ID, hub.Ready)
		spec, _ := b.Fake.Spec(s.ID)
		same(t, "what runs", []string{spec.Labels["user"], spec.Env["JUPYTERHUB_USER"], s.UserName}, []string{now, now, now})
		if _, err := b.Hub.StopServer(t.Context(), now, "", round%5 == 9); err != nil {
			t.Fatal(err)
		}
		b.Await(s.ID, hub.Stopped)
	}
}

// TestF07_RenameServerDuringStart does the same with a server's name.
func TestF07_RenameServerDuringStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now, other := "one", "two"
	b.as("alice", http.MethodPut, "/users/alice/servers/one", "").want(http.StatusCreated)
	id := b.server("alice", now).ID
	for round := range 20 {
		started, renamed := make(chan int), make(chan int)
		path := "/users/alice/servers/" + now
		go func() { started <- b.as("alice", http.MethodPost, path, "").status }()
		go func() { renamed <- b.as("alice", http.MethodPatch, path, `{"name": "`+other+`"}`).status }()
		up, moved := <-started, <-renamed
		if moved == http.StatusOK {
			now, other = other, now
		}
		switch {
		case up == http.StatusCreated && moved == http.StatusOK && b.server("alice", now).Active(): // both names: the start made a new one of the old name, or came after
			t.Logf("round %d: both", round)
		case up != http.StatusCreated && up != http.StatusNotFound, moved != http.StatusOK && moved != http.StatusBadRequest && moved != http.StatusConflict && moved != http.StatusNotFound:
			t.Fatalf("round %d: start %d, rename %d", round, up, moved)
		}
		for _, name := range []string{now, other} {
			s, err := b.Hub.Server(t.Context(), "alice", name)
			if err != nil {
				continue
			}
			if s.ID != id && name == now {
				t.Fatalf("round %d: %q is another server", round, name)
			}
			if s.Active() {
				s = b.Await(s.ID, hub.Ready)
				spec, _ := b.Fake.Spec(s.ID)
				same(t, "what runs", []string{spec.Labels["server"], spec.Env["JUPYTERHUB_SERVER_NAME"]}, []string{name, name})
				b.as("alice", http.MethodDelete, "/users/alice/servers/"+name, "").want(http.StatusNoContent)
			}
			if s.ID != id { // a start that came after the rename made a server of the old name
				b.as("alice", http.MethodDelete, "/users/alice/servers/"+name, `{"remove": true}`).want(http.StatusNoContent)
			}
		}
	}
}

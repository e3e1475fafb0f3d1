package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// attempt is something that somebody may not do, and the entry of the audit log that it leaves.
type attempt struct {
	who          string // of the bench, or a token itself
	method, path string
	body         string
	status       int

	actor, action, target string // of the entry; the actor of a stranger is ""
	result                hub.AuditResult
}

// entry waits for the entry of an attempt.
func (b *bench) entryOf(a attempt) hub.AuditEntry {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(hubtest.Patience)
	for {
		all, err := b.Hub.AuditLog(b.t.Context(), hub.AuditQuery{Actions: []string{a.action}})
		if err != nil {
			b.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(e hub.AuditEntry) bool { return e.Actor == a.actor && e.Target == a.target && e.Result == a.result })
		if i >= 0 {
			return all[i]
		}
		select {
		case <-deadline:
			b.t.Fatalf("there is no entry of %s %s by %q among %+v", a.action, a.target, a.actor, all)
		case <-tick.C:
		}
	}
}

// TestA07A10A43A44A46F33F40_AttemptsAreInTheAuditLog: what was tried and refused is there, with who tried it, by which token and from where, and without what was shown or sent.
func TestA07A10A43A44A46F33F40_AttemptsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	narrow := b.Token(b.root, "servers!user=alice")
	server := b.ServerToken(b.Start("bob", ""))
	former := b.User("former", true)
	b.tokens["former"] = b.Token(former)
	b.as("root", http.MethodPatch, "/users/former", `{"admin": false}`).want(http.StatusOK)
	const forged = "0123456789abcdef0123456789abcdef"
	for name, a := range map[string]attempt{ // one after the other: of one actor, what is more than thirty a minute is held back
		"A07 a user makes themselves an administrator": {
			who: "alice", method: http.MethodPatch, path: "/users/alice", body: `{"admin": true}`, status: http.StatusForbidden,
			actor: "alice", action: "user.update", target: "user/alice",
		},
		"A07 a user makes an administrator": {
			who: "alice", method: http.MethodPost, path: "/users/eve", body: `{"admin": true}`, status: http.StatusForbidden,
			actor: "alice", action: "user.create", target: "user/eve",
		},
		"A07 a user makes a token of an administrator": {
			who: "alice", method: http.MethodPost, path: "/users/" + b.root.Name + "/tokens", body: `{"note": "private-note"}`, status: http.StatusForbidden,
			actor: "alice", action: "token.create", target: "user/root",
		},
		"A10 a token that is narrowed to one user acts on another": {
			who: narrow, method: http.MethodPost, path: "/users/bob/servers/x", body: `{"password": "private-option"}`, status: http.StatusNotFound,
			actor: "root", action: "server.start", target: "server/bob/x",
		},
		"A43 somebody uses a right that was taken away": {
			who: "former", method: http.MethodDelete, path: "/users/alice", status: http.StatusForbidden,
			actor: "former", action: "user.delete", target: "user/alice",
		},
		"A44 a user shares what is another's": {
			who: "alice", method: http.MethodPost, path: "/shares/bob/", body: `{"user": "alice"}`, status: http.StatusForbidden,
			actor: "alice", action: "share.grant", target: "server/bob",
		},
		"A44 a user starts another's default server by its empty name": {
			who: "alice", method: http.MethodPost, path: "/users/bob/servers/", status: http.StatusNotFound,
			actor: "alice", action: "server.start", target: "server/bob",
		},
		"A46 a stranger": {
			who: "", method: http.MethodPost, path: "/shutdown", status: http.StatusForbidden,
			actor: "", action: "hub.shutdown", target: "hub",
		},
		"F33 a server's token at an administrator's route": {
			who: server, method: http.MethodPost, path: "/groups/wheel", body: `{"users": ["bob"]}`, status: http.StatusForbidden,
			actor: "bob", action: "group.create", target: "group/wheel",
		},
		"F33 a server's token on another user's server": {
			who: server, method: http.MethodDelete, path: "/users/alice/server", status: http.StatusForbidden,
			actor: "bob", action: "server.stop", target: "server/alice",
		},
		"F33 a token that nobody issued": {
			who: forged, method: http.MethodDelete, path: "/users/bob", status: http.StatusForbidden,
			actor: "", action: "user.delete", target: "user/bob",
		},
		"F40 a body that cannot be meant": {
			who: "root", method: http.MethodPost, path: "/groups/odd", body: "{\"users\": [\"private-body", status: http.StatusBadRequest,
			actor: "root", action: "group.create", target: "group/odd",
		},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // see above
			b := *b
			b.t = t
			a.result = hub.AuditRefused
			b.as(a.who, a.method, a.path, a.body).want(a.status)
			e := b.entryOf(a)
			if e.Address != "127.0.0.1" || (e.Token != 0) != (a.actor != "") {
				t.Errorf("the entry is of the address %q and the token %d", e.Address, e.Token)
			}
			var detail struct{ Status int }
			if err := json.Unmarshal(e.Detail, &detail); err != nil || detail.Status != a.status {
				t.Errorf("the details are %s, %v", e.Detail, err)
			}
			text := fmt.Sprintf("%+v %s", e, e.Detail)
			for _, private := range append([]string{"private-"}, a.who, forged) {
				if len(private) > len("private") && strings.Contains(text, private) {
					t.Errorf("the entry holds %q: %s", private, text)
				}
			}
		})
	}
}

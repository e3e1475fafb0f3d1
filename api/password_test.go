package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// directory takes one password of everybody.
type directory struct{ id string }

func (d directory) ID() string    { return d.id }
func (d directory) Label() string { return "Directory " + d.id }

func (d directory) Login(_ context.Context, name, password string) (auth.Identity, error) {
	switch {
	case name == "outage":
		return auth.Identity{}, auth.ErrUnavailable
	case name == "fault":
		return auth.Identity{}, errors.New("the directory says nonsense")
	case password != "open "+d.id:
		return auth.Identity{}, auth.ErrDenied
	}
	return auth.Identity{Provider: d.id, Subject: strings.ToLower(name), Name: name}, nil
}

func passwordBench(t *testing.T) *bench {
	t.Helper()
	return newBenchWith(t, api.Options{KeepAlive: soon, Authenticators: []auth.Authenticator{directory{"test"}, directory{"lab"}}})
}

func passwordBody(name, password, more string) string {
	return fmt.Sprintf(`{"auth": {"username": %q, "password": %q}%s}`, name, password, more)
}

func TestATokenForAPassword(t *testing.T) {
	t.Parallel()
	b := passwordBench(t)
	const path = "/users/alice/tokens"
	made := b.as("", http.MethodPost, path, passwordBody(" Alice ", "open test", `, "note": "by hand", "expires_in": 60, "scopes": ["read:users:name!user"]`)).
		want(http.StatusCreated).object()
	same(t, "owner and note", []any{made["user"], made["note"]}, []any{"alice", "by hand"})
	who := b.as(made["token"].(string), http.MethodGet, "/user", "").want(http.StatusOK).object()
	if scopes := fmt.Sprint(who["scopes"]); who["name"] != "alice" || !strings.Contains(scopes, "read:users:name!user=alice") || strings.Contains(scopes, "servers") {
		t.Errorf("the token is for %v, and may %s", who["name"], scopes)
	}
	plain := b.as("", http.MethodPost, path, passwordBody("alice", "open test", "")).want(http.StatusCreated).object()
	same(t, "note", plain["note"], any("Requested via api"))
	b.as(plain["token"].(string), http.MethodDelete, path+"/"+made["id"].(string), "").want(http.StatusNoContent)
	// A token that is not known is as good as none, and other scripts send forms.
	b.as("nonsense", http.MethodPost, path, passwordBody("alice", "open test", "")).want(http.StatusCreated)
	b.as("", http.MethodPost, path, passwordBody("alice", "open test", ""), "Content-Type", "application/x-www-form-urlencoded").want(http.StatusCreated)
	// One that is known counts, whatever else is sent.
	b.as("bob", http.MethodPost, path, passwordBody("alice", "open test", "")).want(http.StatusForbidden)
	for body, status := range map[string]int{
		passwordBody("alice", "nope", ""):                                               http.StatusForbidden,
		passwordBody("alice", "", ""):                                                   http.StatusForbidden,
		passwordBody("", "open test", ""):                                               http.StatusForbidden,
		passwordBody("bob", "open test", ""):                                            http.StatusForbidden, // for alice
		passwordBody("carol", "open test", ""):                                          http.StatusForbidden, // nobody
		passwordBody("a/b", "open test", ""):                                            http.StatusForbidden,
		passwordBody("outage", "x", ""):                                                 http.StatusServiceUnavailable,
		passwordBody("fault", "x", ""):                                                  http.StatusInternalServerError,
		passwordBody("alice", "open test", `, "scopes": ["admin:users"]`):               http.StatusBadRequest,
		`{"auth": {"username": "alice", "password": "open lab"}}`:                       http.StatusForbidden,
		`{"auth": {"username": "bob", "password": "open lab", "authenticator": "lab"}}`: http.StatusForbidden, // lab's bob may, and for bob only
		`{"auth": {"username": "alice", "password": "x", "authenticator": "none"}}`:     http.StatusForbidden,
		`{"auth": null}`: http.StatusForbidden, `{"auth": "alice"}`: http.StatusForbidden, `{"auth": {}}`: http.StatusForbidden, `{}`: http.StatusForbidden,
	} {
		a := b.as("", http.MethodPost, path, body)
		if a.status != status || strings.Contains(a.body, "nope") {
			t.Errorf("%s: got %d, want %d: %s", body, a.status, status, a.body)
		}
	}
	b.as("root", http.MethodPost, "/users/dora", "").want(http.StatusCreated)
	b.as("", http.MethodPost, "/users/dora/tokens", `{"auth": {"username": "dora", "password": "open lab", "authenticator": "lab"}}`).want(http.StatusCreated)
	// An administrator gets tokens for others, as with any credential; everybody else none.
	b.as("", http.MethodPost, path, passwordBody("root", "open test", "")).want(http.StatusCreated)
	b.as("", http.MethodPost, "/users/nobody/tokens", passwordBody("root", "open test", "")).want(http.StatusForbidden)
	// Nowhere else does a password open anything.
	b.as("", http.MethodPost, "/users/alice/server", passwordBody("alice", "open test", "")).want(http.StatusForbidden)
	b.as("", http.MethodGet, path, passwordBody("alice", "open test", "")).want(http.StatusForbidden)
}

func TestAPasswordIsHeldToTheRulesOfALogin(t *testing.T) {
	t.Parallel()
	b := passwordBench(t)
	b.as("root", http.MethodPost, "/users/blocked", "").want(http.StatusCreated)
	a := b.as("", http.MethodPost, "/users/blocked/tokens", passwordBody("blocked", "open test", "")).want(http.StatusForbidden)
	if !strings.Contains(a.problem(), "may not use this hub") {
		t.Errorf("the message is %s", a.body)
	}
	// Who is tied to one directory is not taken over by the other.
	b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("alice", "open test", "")).want(http.StatusCreated)
	b.as("", http.MethodPost, "/users/alice/tokens", `{"auth": {"username": "alice", "password": "open lab", "authenticator": "lab"}}`).want(http.StatusForbidden)
	// Another site's page cannot have its visitor try out passwords.
	b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("alice", "open test", ""), "Sec-Fetch-Site", "cross-site").want(http.StatusForbidden)
	// A browser that is logged in is one, and needs its page token.
	c := b.Browser("alice")
	b.browse(c, http.MethodPost, "/users/alice/tokens", passwordBody("alice", "open test", ""), "Content-Type", "application/json").want(http.StatusForbidden)
	sessions, err := b.Hub.Sessions(t.Context(), b.alice.ID)
	if err != nil || len(sessions) != 2 { // those of the bench, and no other
		t.Errorf("alice has %d sessions, %v", len(sessions), err)
	}
}

func TestNoPasswordsHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("alice", "open", "")).want(http.StatusForbidden)
	if !strings.Contains(a.problem(), "/hub/token") {
		t.Errorf("the message does not say where else: %s", a.body)
	}
}

func TestPasswordsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	b := passwordBench(t)
	b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("alice", "open test", "")).want(http.StatusCreated)
	b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("alice", "hunter2", "")).want(http.StatusForbidden)
	b.as("", http.MethodPost, "/users/alice/tokens", passwordBody("hunter2", "x", "")).want(http.StatusForbidden)
	is := func(actor, action, target string, result hub.AuditResult) func(hub.AuditEntry) bool {
		return func(e hub.AuditEntry) bool {
			return e.Actor == actor && e.Action == action && e.Target == target && e.Result == result && !strings.Contains(string(e.Detail), "hunter2")
		}
	}
	want := []func(hub.AuditEntry) bool{
		is("alice", "token.create", "user/alice", hub.AuditDone), is("", "login", "user/alice", hub.AuditRefused), is("", "login", "user", hub.AuditRefused),
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		entries, err := b.Hub.AuditLog(t.Context(), hub.AuditQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(want, func(w func(hub.AuditEntry) bool) bool { return !slices.ContainsFunc(entries, w) }) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("something is missing in %+v", entries)
		case <-tick.C:
		}
	}
}

// TestF44_TokenRequestsAreHeldBack: guessing by way of the API is no faster than on the login page, nor is it if both take turns.
func TestF44_TokenRequestsAreHeldBack(t *testing.T) {
	t.Parallel()
	b := passwordBench(t)
	now := time.Now()
	b.Sessions.Guesses = httpd.NewGuesses(5, 50, func() time.Time { return now }, nil)
	post := func(name, password string) answer {
		return b.as("", http.MethodPost, "/users/"+name+"/tokens", passwordBody(name, password, ""))
	}
	for range 5 {
		post("alice", "guess").want(http.StatusForbidden)
	}
	a := post("alice", "open test").want(http.StatusTooManyRequests)
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds != 1 || !strings.Contains(a.problem(), "Wait") {
		t.Errorf("Retry-After is %q, and the message %s", a.header.Get("Retry-After"), a.body)
	}
	post("bob", "open test").want(http.StatusCreated)
	now = now.Add(time.Second)
	post("alice", "open test").want(http.StatusCreated)
	for i := range 5 { // from where she has logged in she has guesses of her own
		post("alice", "guess"+strconv.Itoa(i)).want(http.StatusForbidden)
	}
	post("alice", "open test").want(http.StatusTooManyRequests)
	now = now.Add(10 * time.Minute)
	post("alice", "open test").want(http.StatusCreated)
}

package api_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// failing is a store of which the n-th change of what lets people in fails, inside of transactions and outside.
type failing struct {
	hub.Store

	left *atomic.Int64 // until one fails; negative: none does
}

var errStore = errors.New("the database is away")

func (f failing) fails() error {
	if f.left.Load() >= 0 && f.left.Add(-1) == -1 {
		return errStore
	}
	return nil
}

func (f failing) InTx(ctx context.Context, do func(hub.Store) error) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.InTx(ctx, func(tx hub.Store) error { return do(failing{tx, f.left}) })
}

func (f failing) DeleteToken(ctx context.Context, id int64) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.DeleteToken(ctx, id)
}

func (f failing) DeleteTokensOfBrowser(ctx context.Context, userID, browserID string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.DeleteTokensOfBrowser(ctx, userID, browserID)
}

func (f failing) DeleteSession(ctx context.Context, id string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.DeleteSession(ctx, id)
}

func (f failing) DeleteUser(ctx context.Context, id string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.DeleteUser(ctx, id)
}

func (f failing) UpdateUser(ctx context.Context, u hub.User) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Store.UpdateUser(ctx, u)
}

// TestA47_ARevocationThatFailsSaysSo lets each change of the database fail in turn. Who takes a right away is told of it, and never that it is gone while it is not.
func TestA47_ARevocationThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	var store failing
	b := newBench(t, func(o *hub.Options) {
		store = failing{o.Store, new(atomic.Int64)}
		store.left.Store(-1)
		o.Store = store
	})
	for name, revoke := range map[string]func(t *testing.T, n int64) (status int, works bool){
		"token": func(t *testing.T, n int64) (int, bool) {
			secret, tok, err := b.Hub.IssueToken(t.Context(), b.bob, hub.NewToken{})
			if err != nil {
				t.Fatal(err)
			}
			store.left.Store(n)
			a := b.as("root", http.MethodDelete, "/users/bob/tokens/a"+strconv.FormatInt(tok.ID, 10), "")
			store.left.Store(-1)
			return a.status, b.as(secret, http.MethodGet, "/user", "").status == http.StatusOK
		},
		"login": func(t *testing.T, n int64) (int, bool) {
			c := b.Browser("bob")
			login := b.Cookie(c, "/hub/", "jupyterhub-hub-login")
			store.left.Store(n)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Public.URL+"/hub/logout", nil)
			if err != nil {
				t.Fatal(err)
			}
			a := b.send(c, req)
			store.left.Store(-1)
			again := b.browse(b.Public.Client(), http.MethodGet, "/user", "", "Cookie", "jupyterhub-hub-login="+login)
			return a.status, again.status == http.StatusOK
		},
		"user": func(t *testing.T, n int64) (int, bool) {
			secret := b.Token(b.User("passing", false))
			store.left.Store(n)
			a := b.as("root", http.MethodDelete, "/users/passing", "")
			store.left.Store(-1)
			return a.status, b.as(secret, http.MethodGet, "/user", "").status == http.StatusOK
		},
		"administrator": func(t *testing.T, n int64) (int, bool) {
			secret := b.Token(b.User("passing", true))
			store.left.Store(n)
			a := b.as("root", http.MethodPatch, "/users/passing", `{"admin": false}`)
			store.left.Store(-1)
			return a.status, b.as(secret, http.MethodGet, "/users", "").status == http.StatusOK
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: the store fails for all
			failed := 0
			for n := range int64(10) {
				status, works := revoke(t, n)
				if status < http.StatusBadRequest && works {
					t.Errorf("call %d failed, and the answer is %d; what was taken away works", n, status)
				}
				if status >= http.StatusInternalServerError {
					failed++
				}
			}
			if status, works := revoke(t, -1); status >= http.StatusBadRequest || works {
				t.Errorf("without a fault: %d, and what was taken away works: %t", status, works)
			}
			if failed == 0 || failed == 10 {
				t.Errorf("%d of 10 failed: the faults are not where they should be", failed)
			}
		})
	}
}

// TestA44_NobodyInheritsByName deletes a user who has everything that lets one in, and makes another of the same name.
func TestA44_NobodyInheritsByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	former := b.User("zed", true)
	token, narrow := b.Token(former), b.Token(former, "read:users:name!user=zed")
	browser := b.Browser("zed")
	s := b.Start("zed", "lab")
	server := b.ServerToken(s)
	as := func() (statuses []int) {
		for _, secret := range []string{token, narrow, server} {
			statuses = append(statuses, b.as(secret, http.MethodGet, "/user", "").status)
		}
		return append(statuses, b.browse(browser, http.MethodGet, "/user", "").status)
	}
	same(t, "before", as(), []int{200, 200, 200, 200})
	b.as("root", http.MethodPost, "/shares/bob/", `{"user": "zed"}`)
	b.as("root", http.MethodDelete, "/users/zed", "").want(http.StatusNoContent)
	same(t, "after the user was deleted", as(), []int{403, 403, 403, 403})

	later := b.User("zed", false)
	if later.ID == former.ID {
		t.Fatal("an ID was given twice")
	}
	same(t, "after another of that name came", as(), []int{403, 403, 403, 403})
	m := b.as(b.Token(later), http.MethodGet, "/users/zed?include_stopped_servers", "").want(http.StatusOK).object()
	if m["servers"].(map[string]any)["lab"] != nil {
		t.Error("the server of the former one is there")
	}
	same(t, "admin", m["admin"], any(false))
	if list := b.as("root", http.MethodGet, "/users/zed/tokens", "").want(http.StatusOK).object()["api_tokens"].([]any); len(list) != 1 {
		t.Errorf("there are tokens of the former one: %v", list)
	}

	// Whoever is renamed stays who they are; another who takes the former name is not them.
	mine := b.Token(later)
	b.as("root", http.MethodPatch, "/users/zed", `{"name": "zoe"}`).want(http.StatusOK)
	same(t, "renamed", b.as(mine, http.MethodGet, "/user", "").want(http.StatusOK).object()["name"], any("zoe"))
	b.as("root", http.MethodPost, "/users/zed", "").want(http.StatusCreated)
	another, err := b.Hub.UserByName(t.Context(), "zed")
	if err != nil {
		t.Fatal(err)
	}
	third := b.Token(another)
	b.as(third, http.MethodGet, "/users/zoe", "").want(http.StatusNotFound)
	b.as(mine, http.MethodGet, "/users/zed", "").want(http.StatusNotFound)
}

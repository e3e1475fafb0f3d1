package api_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// lookups counts how often users are looked for by their names.
type lookups struct {
	hub.Store

	n atomic.Int64
}

func (l *lookups) UserByName(ctx context.Context, name string) (hub.User, error) {
	l.n.Add(1)
	return l.Store.UserByName(ctx, name)
}

// TestWhoAsksIsReadOnce: who asks about themselves was read already, to find out who asks; another is looked for.
func TestWhoAsksIsReadOnce(t *testing.T) {
	t.Parallel()
	var counted *lookups
	b := newBench(t, func(o *hub.Options) {
		counted = &lookups{Store: o.Store}
		o.Store = counted
	})
	for _, c := range []struct {
		who, path string
		status    int
		looked    int64
	}{
		{"alice", "/users/alice", http.StatusOK, 0},
		{"alice", "/users/ALICE", http.StatusOK, 0},
		{"alice", "/users/bob", http.StatusNotFound, 1},
		{"root", "/users/alice", http.StatusOK, 1},
		{"root", "/users/nobody", http.StatusNotFound, 1},
	} {
		before := counted.n.Load()
		got := b.as(c.who, http.MethodGet, c.path, "").want(c.status)
		if looked := counted.n.Load() - before; looked != c.looked {
			t.Errorf("%s asks for %s: %d looks for a user, want %d", c.who, c.path, looked, c.looked)
		}
		if c.who == "alice" && c.status == http.StatusOK && got.object()["name"] != "alice" {
			t.Errorf("%s is told as %s", c.path, got.body)
		}
	}
}

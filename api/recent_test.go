package api_test

import (
	"net/http"
	"testing"
	"time"
)

// TestWhoamiTellsOfServersAtOnce: what is remembered of a user's servers is never older than what this replica did with them, and of another's older by a moment only.
func TestWhoamiTellsOfServersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.Replica()
	servers := func() int {
		m := b.as("alice", http.MethodGet, "/user", "").want(http.StatusOK).object()
		return len(m["servers"].(map[string]any))
	}
	if n := servers(); n != 0 {
		t.Fatalf("alice has %d servers before any was started", n)
	}
	b.Start("alice", "")
	if n := servers(); n != 1 {
		t.Errorf("alice has %d servers after a start", n)
	}
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	b.as("alice", http.MethodPost, "/users/alice/activity", `{"servers": {"": {"last_activity": "`+now+`"}}}`).want(http.StatusOK)
	m := b.as("alice", http.MethodGet, "/user", "").want(http.StatusOK).object()
	same(t, "last activity", m["servers"].(map[string]any)[""].(map[string]any)["last_activity"], any(now))
	if _, err := other.Hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.Eventually("the other replica's stop is seen", func() bool { return servers() == 0 })
	b.as("root", http.MethodDelete, "/users/alice", "").want(http.StatusNoContent)
	b.as("root", http.MethodPost, "/users/alice/activity", `{"last_activity": "`+now+`"}`).want(http.StatusNotFound)
}

package hub

import (
	"testing"
	"time"
)

// TestActivityIsShownAtOnce holds that who reads sees what was reported, before it is written, while it is, and after.
func TestActivityIsShownAtOnce(t *testing.T) {
	t.Parallel()
	var b activityBuffer
	b.init()
	old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first, second := old.Add(time.Minute), old.Add(2*time.Minute)
	shown := func(want time.Time) {
		t.Helper()
		users, servers := []User{{ID: "u", LastActivity: old}, {ID: "other"}}, []Server{{ID: "s", LastActivity: old}, {ID: "other"}}
		b.showUsers(users)
		b.showServers(servers)
		if !users[0].LastActivity.Equal(want) || !servers[0].LastActivity.Equal(want) {
			t.Errorf("shown are %s and %s, want %s", users[0].LastActivity, servers[0].LastActivity, want)
		}
		if !users[1].LastActivity.IsZero() || !servers[1].LastActivity.IsZero() {
			t.Error("activity of nobody is shown")
		}
	}
	shown(old)
	b.record("u", "s", first)
	shown(first)
	b.record("u", "s", old.Add(-time.Hour)) // older than what is known
	shown(first)
	if updates, _ := b.take(); len(updates) != 2 {
		t.Errorf("%d are written", len(updates))
	}
	shown(first)
	b.record("u", "s", second)
	shown(second)
	b.done()
	shown(second)
	b.take()
	b.done()
	shown(old) // the database knows
}

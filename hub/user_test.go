package hub_test

import (
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

func TestUserQueryAdjacent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		query                  hub.UserQuery
		shownRunning, shownAll bool
	}{
		{"everybody", hub.UserQuery{}, true, true},
		{"everybody, the last first", hub.UserQuery{Descending: true}, true, true},
		{"who has a ready server", hub.UserQuery{Activity: hub.ReadyServers}, true, false},
		{"who has an active server", hub.UserQuery{Activity: hub.ActiveServers}, true, false},
		{"who has none", hub.UserQuery{Activity: hub.InactiveServers}, false, false},
		{"some by name", hub.UserQuery{Names: []string{"ada"}}, false, false},
		{"nobody", hub.UserQuery{Names: []string{}}, false, false},
		{"by a part of the name", hub.UserQuery{NameContains: "a"}, false, false},
		{"in the order of names", hub.UserQuery{Sort: hub.SortByName}, false, false},
	} {
		if got := c.query.Adjacent(false); got != c.shownRunning {
			t.Errorf("%s, with servers that run: got %v", c.name, got)
		}
		if got := c.query.Adjacent(true); got != c.shownAll {
			t.Errorf("%s, with all servers: got %v", c.name, got)
		}
	}
}

package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/budget"
)

func TestUsagePage(t *testing.T) {
	t.Parallel()
	var db hub.Store
	b := newBench(t, func(s *setup) {
		db = s.hub.Store
		now := time.Now().UTC() // where it is noon now: what was used just before is of this month, also when that begins
		s.hub.Usage.Zone = time.FixedZone("test", 12*3600-(now.Hour()*3600+now.Minute()*60))
		s.hub.Usage.Limits = []budget.Limit{{Name: "all", Period: budget.Month, Soft: budget.Amount{MemoryHours: 1}, Hard: budget.Amount{MemoryHours: 8}}}
	})
	alice, admin := b.loggedIn("alice"), b.loggedIn("admin")
	b.loggedIn("bob")
	now := time.Now().UTC()
	for _, name := range []string{"alice", "bob"} {
		u, err := b.hub.UserByName(t.Context(), name)
		check(t, err)
		r := hub.UsageRun{
			ID: "run-" + name, ServerID: "s-" + name, UserID: u.ID, UserName: name, Profile: "<b>small", Generation: 1, Instance: "i", MemoryMB: 4096, Cores: 2,
			Began: now.Add(-30 * time.Minute), Groups: nil,
		}
		check(t, db.OpenRun(t.Context(), r))
		check(t, db.CloseRun(t.Context(), r.Key(), now, true, "It was culled."))
	}
	from := now.AddDate(0, 0, -2).Format(time.DateOnly)
	own := alice.get("/hub/usage?from=" + from).want(http.StatusOK)
	own.says("<b>small").says("2.0").says("nearly used up").says("of 8.0")
	for _, fault := range faults(own) {
		t.Error(fault)
	}
	if own.has("user") || strings.Contains(own.body, "bob") {
		t.Error("alice sees others")
	}
	runs := alice.get("/hub/usage?by=run&user=bob&from=" + from).want(http.StatusOK).says("It was culled.").says("4.0 GiB, 2.0 cores")
	if strings.Contains(runs.body, ">bob<") {
		t.Error("alice sees the runs of bob")
	}
	all := admin.get("/hub/usage?from=" + from).want(http.StatusOK).says("alice").says("bob")
	for _, fault := range faults(all) {
		t.Error(fault)
	}
	if one := admin.get("/hub/usage?user=bob&from=" + from); strings.Contains(one.body, ">alice<") {
		t.Error("the filter by user does not hold")
	}
	admin.get("/hub/usage?user=nobody").want(http.StatusOK).says("Nothing was used")
	admin.get("/hub/usage?from=2026-02-02&to=2026-01-01").want(http.StatusOK).says("ends before it begins")
	b.visit().get("/hub/usage").want(http.StatusFound)
	alice.get("/hub/home").says("Usage")
}

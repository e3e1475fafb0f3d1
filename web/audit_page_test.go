package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/nomadhub/nomadhub/hub"
)

func TestAuditPage(t *testing.T) {
	t.Parallel()
	var db hub.Store
	b := newBench(t, func(s *setup) { db = s.hub.Store })
	admin, alice := b.loggedIn("admin"), b.loggedIn("alice")
	who, err := b.hub.UserByName(t.Context(), "alice")
	check(t, err)
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var entries []hub.AuditEntry
	for range 150 {
		entries = append(entries, hub.AuditEntry{
			At: at, Kind: hub.ActorUser, Actor: "alice", Address: "192.0.2.7", Action: "server.start", Target: "server/alice", Owner: "alice", OwnerID: who.ID,
			Result: hub.AuditDone,
		})
	}
	entries = append(entries,
		hub.AuditEntry{
			At: at.Add(time.Minute), Kind: hub.ActorUser, Actor: "admin", Address: "192.0.2.9", Action: "server.stop", Target: "server/alice", Owner: "alice",
			OwnerID: who.ID, Result: hub.AuditDone,
		},
		hub.AuditEntry{At: at.Add(time.Minute), Kind: hub.ActorUser, Actor: "admin", Action: "user.delete", Target: "user/<b>bob", Result: hub.AuditFailed})
	check(t, db.AddAudit(t.Context(), entries))

	day := "?since=2026-03-04&until=2026-03-04"
	all := admin.get("/hub/audit" + day).want(http.StatusOK).says("<b>bob").says("192.0.2.9").says("failed")
	older := all.find(hasAttribute("id", "older"))
	if older == nil {
		t.Fatal("there is no way to older entries")
	}
	admin.get(attribute(older, "href")).want(http.StatusOK).says("192.0.2.7")
	one := admin.get("/hub/audit?action=user.delete&actor=admin" + "&" + day[1:]).want(http.StatusOK)
	if strings.Contains(one.body, "192.0.2.7") {
		t.Error("the filter does not hold")
	}
	admin.get("/hub/audit?since=2026-03-05&until=2026-03-05").want(http.StatusOK).says("Nothing was done")
	table := admin.get(attribute(all.find(hasAttribute("id", "csv")), "href")).want(http.StatusOK)
	if n := strings.Count(table.body, "\n"); n != 1+152 {
		t.Errorf("the table has %d lines, want all 152 entries and a head", n)
	}

	own := alice.get("/hub/audit" + day).want(http.StatusOK).says("server.stop").says("192.0.2.7")
	if strings.Contains(own.body, "192.0.2.9") || strings.Contains(own.body, "bob") {
		t.Errorf("alice sees what is not hers to see:\n%s", own.text())
	}
	alice.get("/hub/audit?" + url.Values{"owner": {"admin"}}.Encode()).want(http.StatusOK)
	b.visit().get("/hub/audit").want(http.StatusFound)
}

func hasAttribute(name, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attribute(n, name) == value }
}

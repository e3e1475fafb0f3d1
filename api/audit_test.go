package api_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
)

// TestEveryChangingRouteHasAName: whatever the API lets anybody change has a name in the audit log.
func TestEveryChangingRouteHasAName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, err := api.New(api.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := a.Routes()
	if err != nil {
		t.Fatal(err)
	}
	known, changing := api.Acts(), 0
	for _, r := range routes {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			continue
		}
		changing++
		if _, ok := known[r.Method+" /api"+r.Path]; !ok {
			t.Errorf("%s %s has no name for the audit log. Add it to api/audit_acts.go.", r.Method, r.Path)
		}
	}
	if changing < 20 {
		t.Errorf("only %d routes change anything; the list is broken", changing)
	}
}

type auditAnswer struct {
	Items []struct {
		ID      int64          `json:"id"`
		Time    string         `json:"time"`
		Actor   string         `json:"actor"`
		Token   *string        `json:"token"`
		Address *string        `json:"address"`
		Action  string         `json:"action"`
		Target  string         `json:"target"`
		Owner   string         `json:"owner"`
		Result  string         `json:"result"`
		Detail  map[string]any `json:"detail"`
	} `json:"items"`
	Next *string `json:"next"`
}

func (a answer) audit() (page auditAnswer) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
	return page
}

func (p auditAnswer) targets() (all []string) {
	for _, i := range p.Items {
		all = append(all, i.Target)
	}
	return all
}

// someAudit writes entries: of alice's servers by herself and by root, of bob's, and of alice's account.
func (b *bench) someAudit() {
	b.t.Helper()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	e := func(minute int, actor, action, target string, owner hub.User) hub.AuditEntry {
		return hub.AuditEntry{
			At: at.Add(time.Duration(minute) * time.Minute), Kind: hub.ActorUser, Actor: actor, Token: 5, Address: "192.0.2.1", Action: action, Target: target,
			Owner: owner.Name, OwnerID: owner.ID, Result: hub.AuditDone,
		}
	}
	gone := hub.User{ID: "somebody-else-of-this-name", Name: "alice"}
	err := b.Store.AddAudit(b.t.Context(), []hub.AuditEntry{
		e(0, "alice", "server.start", "server/alice/old", gone), e(1, "alice", "server.start", "server/alice", b.alice),
		e(2, "root", "server.stop", "server/alice", b.alice), e(3, "root", "user.update", "user/alice", b.alice),
		e(4, "bob", "server.start", "server/bob/=cmd", b.bob),
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestAdministratorsReadTheWholeAuditLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.someAudit()
	get := func(query string) auditAnswer {
		return b.as("root", http.MethodGet, "/audit"+query, "").want(http.StatusOK).audit()
	}
	all := get("")
	same(t, "all", all.targets(), []string{"server/bob/=cmd", "user/alice", "server/alice", "server/alice", "server/alice/old"})
	if first := all.Items[0]; *first.Address != "192.0.2.1" || *first.Token != "a5" || first.Time != "2026-03-04T12:04:00Z" || all.Next != nil {
		t.Errorf("the first entry is %+v", first)
	}
	same(t, "of an owner", get("?owner=bob").targets(), []string{"server/bob/=cmd"})
	same(t, "by an actor", get("?actor=root").targets(), []string{"user/alice", "server/alice"})
	same(t, "of two actions", get("?action=user.update&action=server.stop").targets(), []string{"user/alice", "server/alice"})
	same(t, "of a time", get("?since=2026-03-04T12:02:00Z&until=2026-03-04T12:04:00Z").targets(), []string{"user/alice", "server/alice"})

	page, seen := get("?limit=2"), []string{}
	for {
		seen = append(seen, page.targets()...)
		if page.Next == nil {
			break
		}
		_, query, _ := strings.Cut(*page.Next, "?")
		page = get("?" + query)
	}
	same(t, "page by page", seen, all.targets())
	for _, bad := range []string{"?before=x", "?before=0", "?since=yesterday", "?until=0", "?limit=x"} {
		b.as("root", http.MethodGet, "/audit"+bad, "").want(http.StatusBadRequest)
	}
}

// TestOwnersReadAboutTheirServers: and about nothing else, nor about those of somebody who had their name before, nor where others sit.
func TestOwnersReadAboutTheirServers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.someAudit()
	for _, query := range []string{"", "?owner=alice", "?owner=bob", "?actor=bob"} {
		got := b.as("alice", http.MethodGet, "/audit"+query, "").want(http.StatusOK).audit()
		want := []string{"server/alice", "server/alice"}
		if query == "?owner=bob" || query == "?actor=bob" {
			want = nil
		}
		same(t, query, got.targets(), want)
		for _, i := range got.Items {
			if own := i.Actor == "alice"; own != (i.Address != nil) || own != (i.Token != nil) {
				t.Errorf("the act of %s is told with the address %v and the token %v", i.Actor, i.Address, i.Token)
			}
		}
	}
	b.as("", http.MethodGet, "/audit", "").want(http.StatusForbidden)
	secret, _, err := b.Hub.IssueToken(t.Context(), b.alice, hub.NewToken{Scopes: []string{"read:users:name!user"}})
	if err != nil {
		t.Fatal(err)
	}
	b.as(secret, http.MethodGet, "/audit", "").want(http.StatusForbidden)
}

func TestAuditLogIsExportedWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.someAudit()
	var many []hub.AuditEntry
	for i := range 2500 {
		many = append(many, hub.AuditEntry{At: time.Unix(int64(i), 0), Actor: "bob", Action: "server.start", Target: fmt.Sprint("server/bob/", i), Result: hub.AuditDone})
	}
	if err := b.Store.AddAudit(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	table := b.as("root", http.MethodGet, "/audit.csv?actor=bob", "").want(http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(table.body)).ReadAll()
	if err != nil || len(rows) != 1+2501 || rows[0][0] != "id" {
		t.Fatalf("the table has %d rows, err %v", len(rows), err)
	}
	same(t, "kind of the table", table.header.Get("Content-Disposition"), `attachment; filename="audit.csv"`)
	lines := b.as("root", http.MethodGet, "/audit.ndjson?actor=bob", "").want(http.StatusOK)
	seen := map[string]bool{}
	for s := bufio.NewScanner(strings.NewReader(lines.body)); s.Scan(); {
		var e struct {
			Target string `json:"target"`
		}
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.Target] = true
	}
	if len(seen) != 2501 {
		t.Errorf("%d different entries were exported as lines, want 2501", len(seen))
	}
	own := b.as("alice", http.MethodGet, "/audit.csv", "").want(http.StatusOK)
	if strings.Contains(own.body, "bob") || strings.Count(own.body, "\n") != 3 {
		t.Errorf("alice exports %s", own.body)
	}
	b.as("bob", http.MethodGet, "/audit.ndjson", "").want(http.StatusOK)
}

// TestStartsAreInTheLogBeforeTheyEnd: an act is written down when it is done, and not when its effects have been waited for.
func TestStartsAreInTheLogBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, api.Options{KeepAlive: soon, SlowSpawn: time.Hour})
	b.Fake.OnStart = nil // it never comes up
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Servers.URL+"/hub/api/users/alice/server", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+b.tokens["alice"])
	go func() {
		if res, err := b.Servers.Client().Do(req); err == nil { // it ends with the test
			_ = res.Body.Close()
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		entries, err := b.Hub.AuditLog(t.Context(), hub.AuditQuery{Actions: []string{"server.start"}})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(entries, func(e hub.AuditEntry) bool { return e.Target == "server/alice" && e.Result == hub.AuditDone }) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the start is not in the log: %+v", entries)
		case <-tick.C:
		}
	}
}

// TestA45_ForgedPagesOfTheAuditLog: what pages are asked for by is parsed to typed values, and anything else is refused.
func TestA45_ForgedPagesOfTheAuditLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.someAudit()
	for _, bad := range []string{
		"before=x", "before=0", "before=-1", "before=1e9", "before=1%20OR%201=1", "before=99999999999999999999", "since=yesterday", "since=%00", "until=0",
		"limit=x", "limit=1%3BDROP", "limit=99999999999999999999",
	} {
		for _, path := range []string{"/audit?", "/audit.csv?", "/audit.ndjson?"} {
			if strings.HasPrefix(bad, "limit") && path != "/audit?" {
				continue // the exports have none
			}
			b.as("root", http.MethodGet, path+bad, "").want(http.StatusBadRequest)
		}
	}
	for _, odd := range []string{"owner=%00", "actor=%ff", "action=%27%20OR%201=1--"} {
		if got := b.as("root", http.MethodGet, "/audit?"+odd, "").want(http.StatusOK).audit(); len(got.Items) != 0 {
			t.Errorf("%s selects %v", odd, got.targets())
		}
	}
}

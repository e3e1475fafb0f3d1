package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/budget"
	"github.com/nomadhub/nomadhub/hub/cull"
)

type ledgerAnswer struct {
	Items []struct {
		Name   string  `json:"name"`
		User   string  `json:"user"`
		Runs   int     `json:"runs"`
		Hours  float64 `json:"hours"`
		Memory float64 `json:"memory_gib_hours"`
		Began  string  `json:"began"`
		Ended  *string `json:"ended"`
		Reason string  `json:"reason"`
	} `json:"items"`
	Next *int `json:"next"`
}

// entry writes a run of two hours and 2 GiB into the ledger.
func (b *bench) entry(u hub.User, profile string, began time.Time) {
	b.t.Helper()
	r := hub.UsageRun{
		ID: u.ID + profile, ServerID: "s-" + u.ID, ServerName: "=cmd", UserID: u.ID, UserName: u.Name, Profile: profile, Generation: 1, Instance: profile,
		MemoryMB: 2048, Cores: 1, Began: began,
	}
	if err := b.Store.OpenRun(b.t.Context(), r); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Store.CloseRun(b.t.Context(), r.Key(), began.Add(2*time.Hour), true, "It was stopped."); err != nil {
		b.t.Fatal(err)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	users := map[string]hub.User{}
	for _, name := range []string{"alice", "bob"} {
		u, err := b.Hub.UserByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		users[name] = u
		b.entry(u, "small", began)
	}
	b.entry(users["bob"], "large", began.Add(time.Hour))
	const march = "?from=2026-03-01&to=2026-04-01"
	names := func(who, query string) string {
		var got []string
		for _, item := range decode[ledgerAnswer](b.as(who, http.MethodGet, "/usage"+march+query, "").want(http.StatusOK)).Items {
			got = append(got, item.Name+item.User)
		}
		return strings.Join(got, " ")
	}
	for _, c := range []struct{ who, query, want string }{
		{"root", "", "alice bob"},
		{"root", "&by=profile", "large small"},
		{"root", "&by=run", "alice bob bob"},
		{"root", "&user=bob", "bob"},
		{"root", "&profile=large", "bob"},
		{"root", "&group=nobody", ""},
		{"alice", "", "alice"},
		{"alice", "&by=run", "alice"},
		{"alice", "&user=alice", "alice"},
	} {
		if got := names(c.who, c.query); got != c.want {
			t.Errorf("%s with %q sees %q, want %q", c.who, c.query, got, c.want)
		}
	}
	sum := decode[ledgerAnswer](b.as("root", http.MethodGet, "/usage"+march+"&user=bob", "")).Items[0]
	if sum.Runs != 2 || sum.Hours != 4 || sum.Memory != 8 {
		t.Errorf("bob used %+v", sum)
	}
	half := decode[ledgerAnswer](b.as("alice", http.MethodGet, "/usage?from=2026-03-04T13:00:00Z&to=2026-03-05", "")).Items[0]
	if half.Hours != 1 || half.Memory != 2 {
		t.Errorf("within the period alice used %+v", half)
	}
	page := decode[ledgerAnswer](b.as("root", http.MethodGet, "/usage"+march+"&by=run&limit=2", ""))
	if len(page.Items) != 2 || page.Next == nil || *page.Next != 2 || page.Items[0].Began != "2026-03-04T12:00:00Z" || page.Items[0].Ended == nil {
		t.Errorf("the first page is %+v", page)
	}
	same(t, "somebody else's", b.as("alice", http.MethodGet, "/usage?user=bob", "").want(http.StatusNotFound).problem(),
		b.as("alice", http.MethodGet, "/usage?user=nobody", "").want(http.StatusNotFound).problem())
	for _, bad := range []string{"?by=planet", "?from=yesterday", "?from=2026-03-02&to=2026-03-01", "?from=1990-01-01"} {
		b.as("alice", http.MethodGet, "/usage"+bad, "").want(http.StatusBadRequest)
	}
	b.as("", http.MethodGet, "/usage", "").want(http.StatusForbidden)
}

func TestLedgerAsATable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, err := b.Hub.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	b.entry(u, "small", time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	for _, c := range []struct{ path, accept string }{{"/usage.csv", "*/*"}, {"/usage", "text/csv"}} {
		res := b.get(t.Context(), "alice", c.path+"?by=run&from=2026-03-01&to=2026-04-01", c.accept)
		rows, err := csv.NewReader(res.Body).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%s: %v, %v", c.path, rows, err)
		}
		if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/csv") || rows[0][0] != "user" || rows[1][0] != "alice" || rows[1][1] != "'=cmd" || rows[1][5] != "2026-03-04T14:00:00Z" {
			t.Errorf("%s: %v", c.path, rows)
		}
	}
	empty := b.get(t.Context(), "alice", "/usage.csv?from=2025-03-01&to=2025-04-01", "*/*")
	if rows, err := csv.NewReader(empty.Body).ReadAll(); err != nil || len(rows) != 1 || rows[0][0] != "name" {
		t.Errorf("an empty table is %v, %v", rows, err)
	}
	if res := b.get(t.Context(), "alice", "/usage.csv?by=x", "*/*"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a bad question gives %s", res.Status)
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		o.Usage.Limits = []budget.Limit{{Name: "all", Period: budget.Month, Hard: budget.Amount{CPUHours: 5}}}
	})
	got := decode[[]map[string]any](b.as("alice", http.MethodGet, "/users/alice/budgets", "").want(http.StatusOK))
	if len(got) != 1 || got[0]["limit"] != "all" || got[0]["level"] != "below" || got[0]["hard"].(map[string]any)["cpu_hours"] != 5.0 {
		t.Errorf("budgets are %v", got)
	}
	b.as("bob", http.MethodGet, "/users/alice/budgets", "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/users/alice/budgets", "").want(http.StatusOK)
}

func TestKeep(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Culling = &cull.Rules{KeepFor: time.Hour, Interval: time.Hour} })
	b.as("alice", http.MethodPost, "/users/alice/server/keep", "").want(http.StatusBadRequest) // it does not run
	s := b.Start("alice", "")
	named := b.Start("alice", "keep") // its name is no obstacle
	for _, path := range []string{"/users/alice/server/keep", "/users/alice/servers//keep", "/users/alice/servers/keep/keep"} {
		kept := decode[map[string]string](b.as("alice", http.MethodPost, path, "").want(http.StatusOK))
		until, err := time.Parse(time.RFC3339, kept["keep_until"])
		if err != nil || time.Until(until) < 58*time.Minute || time.Until(until) > time.Hour {
			t.Errorf("%s: %v, %v", path, kept, err)
		}
		b.as("bob", http.MethodPost, path, "").want(http.StatusNotFound)
	}
	for _, id := range []string{s.ID, named.ID} {
		now, err := b.Store.ServerByID(t.Context(), id)
		if err != nil || now.KeepUntil.IsZero() {
			t.Errorf("kept until %v, %v", now.KeepUntil, err)
		}
	}
	shown := decode[map[string]any](b.as("alice", http.MethodGet, "/users/alice/server", "").want(http.StatusOK))
	if shown["keep_until"] == nil {
		t.Errorf("the server is shown as %v", shown)
	}
}

// TestF31_ActivityThatLies: what lies in the future is taken as now or refused, and nobody reports for others.
func TestF31_ActivityThatLies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.Start("alice", "")
	b.tokens["server"] = b.ServerToken(s)
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, c := range []struct {
		name, who, path, body string
		want                  int
	}{
		{"far future", "server", "alice", `{"servers": {"": {"last_activity": "` + at(48*time.Hour) + `"}}}`, http.StatusBadRequest},
		{"far future of the user", "server", "alice", `{"last_activity": "` + at(48*time.Hour) + `"}`, http.StatusBadRequest},
		{"near future", "server", "alice", `{"servers": {"": {"last_activity": "` + at(50*time.Minute) + `"}}, "last_activity": "` + at(50*time.Minute) + `"}`, http.StatusOK},
		{"long ago", "server", "alice", `{"servers": {"": {"last_activity": "1970-01-02T00:00:00Z"}}}`, http.StatusOK},
		{"a server that is none", "server", "alice", `{"servers": {"x": {"last_activity": "` + at(0) + `"}}}`, http.StatusBadRequest},
		{"another user", "server", "bob", `{"last_activity": "` + at(0) + `"}`, http.StatusNotFound},
		{"another user's server", "server", "bob", `{"servers": {"": {"last_activity": "` + at(0) + `"}}}`, http.StatusNotFound},
		{"nobody", "server", "nobody", `{"last_activity": "` + at(0) + `"}`, http.StatusNotFound},
		{"without a token", "", "alice", `{"last_activity": "` + at(0) + `"}`, http.StatusForbidden},
		{"no time", "server", "alice", `{"last_activity": "tomorrow"}`, http.StatusBadRequest},
	} {
		if got := b.as(c.who, http.MethodPost, "/users/"+c.path+"/activity", c.body); got.status != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got.status, c.want)
		}
	}
	b.Eventually("the near future is written, as now", func() bool {
		now, err := b.Store.ServerByID(t.Context(), s.ID)
		if err == nil && now.LastActivity.After(time.Now()) {
			t.Fatalf("activity in the future was believed: %v", now.LastActivity)
		}
		return err == nil && now.LastActivity.After(s.Started) && now.LastUsed.IsZero()
	})
}

// decode reads an answer's body.
func decode[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%q: %v", a.body, err)
	}
	return v
}

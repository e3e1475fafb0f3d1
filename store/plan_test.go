package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// recorder notes what is asked of the database.
type recorder struct {
	querier
	asked []asked
}

type asked struct {
	query string
	args  []any
}

func (r *recorder) query(ctx context.Context, query string, args []any) (rows, error) {
	r.asked = append(r.asked, asked{query, args})
	return r.querier.query(ctx, query, args)
}

// What each request asks must not read a whole table: at 10,000 users it would be the hub's slowest part.
func TestRequestsFindRowsByAnIndex(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "hub.db")
		checkPlans(t, "sqlite://"+path, 2_000, "EXPLAIN QUERY PLAN ", regexp.MustCompile(`SCAN (u|s|v|g|m|o|sh|shares|volumes|volume_uses|users|servers|tokens|sessions|groups|group_members)\b(?: USING)?( (COVERING )?INDEX)?`))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		checkPlans(t, pgtest.New(t), 10_000, "EXPLAIN ", regexp.MustCompile(`Seq Scan on (shares sh|volumes|volume_uses|users|servers|tokens|sessions|group_members)`))
	})
}

// A search for a part of a name is not to read the rows of all users, nor is one for servers: if few have the part, it looks at those.
func TestSearchForUsersReadsAnIndexOnly(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{DSN: "sqlite://" + filepath.Join(t.TempDir(), "hub.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	seed(t, s, fewEndings+100)
	r := &recorder{querier: s.read}
	s.read = r
	for _, c := range []struct {
		query hub.UserQuery
		which int // of the queries reads the page
		reads string
	}{
		{hub.UserQuery{NameContains: "user", Limit: 50, Uncounted: true}, 1, "COVERING INDEX users_name_folded"},
		{hub.UserQuery{NameContains: "0042", Limit: 50, Uncounted: true}, 1, "SEARCH e USING PRIMARY KEY (ending>? AND ending<?)"},
		{hub.UserQuery{Activity: hub.ReadyServers, Limit: 50, Uncounted: true}, 0, "COVERING INDEX servers_state"},
	} {
		r.asked = nil
		if users, _, err := s.Users(t.Context(), c.query); err != nil || len(users) == 0 {
			t.Fatalf("%+v: %d users, %v", c.query, len(users), err)
		}
		plan := planOf(t, s, "EXPLAIN QUERY PLAN ", r.asked[c.which])
		if !strings.Contains(plan, c.reads) || !regexp.MustCompile(`SEARCH (u|users) USING INDEX sqlite_autoindex_users_1 \(id=\?\)`).MatchString(plan) {
			t.Errorf("%+v does not read %s and the users of its page:\n%s", c.query, c.reads, plan)
		}
	}
}

// checkPlans looks at the plans with so many users in the database. SQLite has fewer because the race detector slows it down a lot,
// and its plans do not depend on their number as much.
func checkPlans(t *testing.T, dsn string, many int, explain string, scan *regexp.Regexp) {
	t.Helper()
	ctx := t.Context()
	s, err := Open(ctx, Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	seed(t, s, many)
	if _, err := s.write.exec(ctx, `INSERT INTO shares (server_id, user_id, scopes) SELECT id, user_id, '["access:servers"]' FROM servers`, nil); err != nil {
		t.Fatal(err)
	}
	if s.db.name == "postgres" {
		analyze(t, s)
	}
	for name, call := range requests(ctx, many) {
		r := &recorder{querier: s.read}
		watched := &Store{db: s.db, read: r, write: r}
		began := time.Now()
		if err := call(watched); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(began)
		if len(r.asked) == 0 {
			t.Errorf("%s asked nothing", name)
			continue
		}
		plan := planOf(t, s, explain, r.asked[0]) // the page; a second query counts
		if found := scan.FindStringSubmatch(plan); found != nil && (len(found) < 3 || found[2] == "") {
			t.Errorf("%s reads a whole table:\n%s\n%s", name, r.asked[0].query, plan)
		}
		t.Logf("%s took %v with %d queries", name, took, len(r.asked))
	}
}

func requests(ctx context.Context, many int) map[string]func(s *Store) error {
	users := func(q hub.UserQuery) func(s *Store) error {
		return func(s *Store) error {
			found, total, err := s.Users(ctx, q)
			if err == nil && (len(found) != q.Limit || total != many || len(found[0].Groups) != 3) {
				err = fmt.Errorf("%d users of %d, %d groups", len(found), total, len(found[0].Groups))
			}
			return err
		}
	}
	return map[string]func(s *Store) error{
		"UserByID":       func(s *Store) error { _, err := s.UserByID(ctx, "u01000"); return err },
		"UserByName":     func(s *Store) error { _, err := s.UserByName(ctx, "user01000"); return err },
		"Acquaintance":   func(s *Store) error { _, err := s.Acquaintance(ctx, "oidc", "u01000", "user01001"); return err },
		"SharesOfOwner":  func(s *Store) error { _, _, err := s.Shares(ctx, hub.ShareQuery{OwnerID: "u01000"}); return err },
		"SharesOfServer": func(s *Store) error { _, _, err := s.Shares(ctx, hub.ShareQuery{ServerID: "u01000"}); return err },
		"SharesWith":     func(s *Store) error { _, _, err := s.Shares(ctx, hub.ShareQuery{UserID: "u01000"}); return err },
		"SharesWithAny": func(s *Store) error {
			_, _, err := s.Shares(ctx, hub.ShareQuery{UserID: "u01000", Groups: []string{"groupu00060"}, Either: true})
			return err
		},
		"SessionByID":  func(s *Store) error { _, err := s.SessionByID(ctx, "u01000"); return err },
		"Sessions":     func(s *Store) error { _, err := s.Sessions(ctx, "u01000"); return err },
		"TokenByHash":  func(s *Store) error { _, err := s.TokenByHash(ctx, []byte("u01000")); return err },
		"TokenByID":    func(s *Store) error { _, err := s.TokenByID(ctx, "u01000", 1000); return err },
		"Tokens":       func(s *Store) error { _, err := s.Tokens(ctx, "u01000"); return err },
		"ServerByID":   func(s *Store) error { _, err := s.ServerByID(ctx, "u01000"); return err },
		"ServerByName": func(s *Store) error { _, err := s.ServerByName(ctx, "u01000", ""); return err },
		"ServersOfUser": func(s *Store) error {
			_, _, err := s.Servers(ctx, hub.ServerQuery{UserIDs: []string{"u01000"}})
			return err
		},
		"VolumeByOwner": func(s *Store) error {
			_, err := s.VolumeByOwner(ctx, hub.VolumeOwner{Share: "user", UserID: "u01000", Name: "home"})
			return err
		},
		"VolumesOfUser": func(s *Store) error {
			_, _, err := s.Volumes(ctx, hub.VolumeQuery{UserID: "u01000", Groups: []string{"a", "b"}, Common: true})
			return err
		},
		"VolumesOfServer": func(s *Store) error {
			_, _, err := s.Volumes(ctx, hub.VolumeQuery{ServerID: "u01000", States: []hub.VolumeState{hub.VolumeMaking, hub.VolumeReady}})
			return err
		},
		"VolumesDue": func(s *Store) error {
			_, _, err := s.Volumes(ctx, hub.VolumeQuery{States: []hub.VolumeState{hub.VolumeReleased}, DueBefore: time.Now()})
			return err
		},
		"VolumeUses":     func(s *Store) error { _, err := s.VolumeUses(ctx, []string{"u01000", "u01001"}); return err },
		"LoadOfOneGroup": func(s *Store) error { _, err := s.LoadOfGroups(ctx, []string{"groupu00060"}); return err },
		"CountStarts":    func(s *Store) error { _, err := s.CountStarts(ctx); return err },
		"CountActive":    func(s *Store) error { _, err := s.CountActive(ctx); return err },
		"Revisions":      func(s *Store) error { _, err := s.Revisions(ctx, []string{"u01000"}); return err },
		"ServerOutlines": func(s *Store) error {
			_, err := s.ServerOutlines(ctx, hub.Owners{IDs: []string{"u01000"}}, []hub.ServerState{hub.Ready})
			return err
		},
		"ServersInTransition": func(s *Store) error {
			_, _, err := s.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Starting, hub.Stopping}})
			return err
		},
		"PageOfUsersByID":       users(hub.UserQuery{Limit: 50}),
		"PageOfUsersByName":     users(hub.UserQuery{Limit: 50, Sort: hub.SortByName, Descending: true}),
		"PageOfUsersByActivity": users(hub.UserQuery{Limit: 50, Sort: hub.SortByLastActivity, Descending: true}),
	}
}

// A page of groups is one statement and the count of all another, however many groups and members there are.
func TestPagesOfGroupsAreOneQuery(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	seed(t, s, 500)
	for limit, want := range map[int]int{5: 2, 50: 2, 100: 2, 200: 1} { // all groups fit on the last
		r := &recorder{querier: s.read}
		groups, total, err := (&Store{db: s.db, read: r, write: r}).Groups(t.Context(), hub.GroupQuery{Limit: limit})
		if err != nil || len(groups) != min(limit, 100) || total != 100 || len(groups[0].Users) != 10 {
			t.Fatalf("%d of %d groups, err %v", len(groups), total, err)
		}
		if len(r.asked) != want {
			t.Errorf("%d groups took %d queries, want %d", limit, len(r.asked), want)
		}
	}
}

// Those who wait are found by the IDs that are let through, and not among all that start: there may be thousands.
func TestSQLiteFindsStartsByTheirIDs(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	r := &recorder{querier: s.write}
	if _, err := (&Store{db: s.db, read: r, write: r}).AdmitStarts(t.Context(), []string{"a", "b"}, time.Now()); err != nil || len(r.asked) != 1 {
		t.Fatalf("asked %d times, err %v", len(r.asked), err)
	}
	if plan := planOf(t, s, "EXPLAIN QUERY PLAN ", r.asked[0]); !strings.Contains(plan, "(id=?)") || strings.Contains(plan, "state") {
		t.Errorf("the plan is\n%s", plan)
	}
}

// The indexes of tokens that have no entry for most of them still find those that go with a client, and those that expired.
func TestSQLiteFindsTheFewTokensThatAreIndexed(t *testing.T) {
	t.Parallel()
	s := openMigrated(t, "sqlite://"+filepath.Join(t.TempDir(), "hub.db"), 1)
	for query, want := range map[string]string{
		"DELETE FROM tokens WHERE expires < 7":                            "USING COVERING INDEX tokens_expires (expires<?)",
		"DELETE FROM tokens WHERE client_id = 'c' AND ('' = '' OR 1 = 1)": "USING COVERING INDEX tokens_client (client_id=?)",
		"DELETE FROM oauth_clients WHERE id = 'c'":                        "SEARCH tokens USING COVERING INDEX tokens_client (client_id=?)",
	} {
		if plan := planOf(t, s, "EXPLAIN QUERY PLAN ", asked{query: query}); !strings.Contains(plan, want) || strings.Contains(plan, "SCAN") {
			t.Errorf("the plan of %s is\n%s", query, plan)
		}
	}
}

// seed makes users with three groups, a server, a token, a session and an identity each. One text serves both databases.
func seed(t testing.TB, s *Store, many int) {
	t.Helper()
	numbers := fmt.Sprintf(`WITH RECURSIVE n(i, id) AS (
		SELECT 1, 'u00001' UNION ALL SELECT i + 1, 'u' || substr(CAST(100001 + i AS TEXT), 2) FROM n WHERE i < %d) `, many)
	for _, text := range []string{
		"INSERT INTO users (id, name, name_folded, admin, created, last_activity) SELECT id, 'user' || substr(id, 2), 'user' || substr(id, 2), FALSE, i, i FROM n",
		"INSERT INTO groups (name) SELECT 'group' || id FROM n WHERE i <= 100",
		"INSERT INTO group_members (user_id, group_id) SELECT id, 1 + i % 50 FROM n",
		"INSERT INTO group_members (user_id, group_id) SELECT id, 51 + i % 25 FROM n",
		"INSERT INTO group_members (user_id, group_id) SELECT id, 76 + i % 25 FROM n",
		"INSERT INTO identities (provider, subject, user_id) SELECT 'oidc', id, id FROM n",
		"INSERT INTO sessions (id, user_id, browser_id, provider, address, user_agent) SELECT id, id, id, 'oidc', '', '' FROM n",
		"INSERT INTO servers (id, user_id, name, state, generation, revision, instance, address, placement, remove) SELECT id, id, '', CASE WHEN i % 1000 = 0 THEN 'starting' WHEN i % 2 = 0 THEN 'ready' ELSE 'stopped' END, 0, 0, '', '', 0, FALSE FROM n",
		"INSERT INTO volumes (id, share, user_id, user_name, server_name, group_name, name, profile, kind, source, node, node_id, capacity_mb, retain, grace, state, note, revision) SELECT id, 'user', id, '', '', '', 'home', '', 'dynamic', '', '', '', 0, 'keep', 0, 'ready', '', 0 FROM n",
		"INSERT INTO volume_uses (volume_id, server_id, generation) SELECT id, id, 0 FROM n",
	} {
		if _, err := s.write.exec(t.Context(), numbers+text, nil); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	bytes := "CAST(id AS BLOB)"
	if s.db.name == "postgres" {
		bytes = "convert_to(id, 'UTF8')"
	}
	if _, err := s.write.exec(t.Context(), numbers+"INSERT INTO tokens (user_id, hash, scopes, note) SELECT id, "+bytes+", '[]', '' FROM n", nil); err != nil {
		t.Fatal(err)
	}
}

// analyze has the database count what it holds, as Postgres does by itself. The hub never asks SQLite to: its planner would then look at the values of
// parameters, and prepare a statement again whenever they are others.
func analyze(t testing.TB, s *Store) {
	t.Helper()
	if _, err := s.write.exec(t.Context(), "ANALYZE", nil); err != nil {
		t.Fatal(err)
	}
}

func planOf(t *testing.T, s *Store, explain string, a asked) string {
	t.Helper()
	rows, err := s.write.query(t.Context(), explain+a.query, a.args)
	if err != nil {
		t.Fatalf("%s: %v", a.query, err)
	}
	defer rows.Close()
	scan, err := rows.scanner()
	if err != nil {
		t.Fatal(err)
	}
	columns := 1
	if s.db.name == sqliteName {
		columns = 4 // numbers, and then the same
	}
	var lines []string
	for rows.Next() {
		row := make([]any, columns)
		var detail any
		for i := range row {
			row[i] = new(any)
		}
		row[len(row)-1] = &detail
		if err := scan(row...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(detail))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestMigrationsCoverBothDatabases keeps the two folders in step: the same steps under the same names.
func TestMigrationsCoverBothDatabases(t *testing.T) {
	t.Parallel()
	names := map[string][]string{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		steps, err := migrations(dialect)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range steps {
			names[dialect] = append(names[dialect], m.name)
		}
		files, err := os.ReadDir(filepath.Join("migrations", dialect))
		if err != nil || len(files) != len(steps) {
			t.Errorf("%s: %d files, %d steps, err %v", dialect, len(files), len(steps), err)
		}
	}
	if got, want := fmt.Sprint(names["sqlite"]), fmt.Sprint(names["postgres"]); got != want {
		t.Errorf("SQLite has %s, Postgres %s", got, want)
	}
}

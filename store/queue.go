package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// Exclusive implements [hub.QueueStore]. On Postgres a lock of the transaction's own keeps the others waiting, and each statement after it sees
// what those before have committed, so nobody loses against another. On SQLite every transaction is alone, and this one comes before all others of this
// process: many wait for it.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(hub.Store) error) error {
	if s.db.lockNamed == "" || s.depth > 0 {
		return s.transact(ctx, s.db.isolation, true, func(tx *Store) error { return fn(tx) })
	}
	return s.transact(ctx, sql.LevelReadCommitted, true, func(tx *Store) error {
		if _, err := tx.exec(ctx, "wait for one's turn", s.db.lockNamed, args{lockNumber(name)}); err != nil {
			return err
		}
		return fn(tx)
	})
}

// lockNumber is the number of a lock by its name.
func lockNumber(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("nomadhub " + name)) // never fails
	return int64(h.Sum64())                    //nolint:gosec // any number will do
}

// CountStarts implements [hub.QueueStore].
func (s *Store) CountStarts(ctx context.Context) (hub.StartCount, error) {
	var c hub.StartCount
	err := s.one(ctx, "count starts", `
		SELECT count(CASE WHEN admitted IS NOT NULL AND NOT blocked THEN 1 END),
			count(CASE WHEN admitted IS NOT NULL AND blocked THEN 1 END), count(CASE WHEN admitted IS NULL THEN 1 END)
		FROM servers WHERE state = 'starting' AND state <> 'stopped'`, nil, &c.Starting, &c.Blocked, &c.Waiting)
	return c, err
}

// letThrough is the condition on servers s that count as active.
const letThrough = "s.state <> 'stopped' AND (s.state <> 'starting' OR s.admitted IS NOT NULL)"

// CountActive implements [hub.QueueStore].
func (s *Store) CountActive(ctx context.Context) (int, error) {
	return s.count(ctx, "count active servers", "SELECT count(*) FROM servers s WHERE "+letThrough, nil)
}

// maxNamed is how many groups a query names one by one, so that the planner knows how few they are.
const maxNamed = 8

// LoadOfGroups implements [hub.QueueStore]. Of all groups it starts from the servers that are active, of some from their members: no other
// server is looked at.
func (s *Store) LoadOfGroups(ctx context.Context, names []string) (map[string]hub.Load, error) {
	const counts = "count(*) AS active, count(CASE WHEN s.state = 'starting' AND NOT s.blocked THEN 1 END) AS starting FROM "
	query := `SELECT COALESCE(g.name, ''), sums.active, sums.starting FROM (
			SELECT m.group_id AS id, ` + counts + `servers s LEFT JOIN group_members m ON m.user_id = s.user_id
			WHERE ` + letThrough + ` GROUP BY m.group_id
		) sums LEFT JOIN groups g ON g.id = sums.id`
	var a args
	if names != nil {
		query = "SELECT g.name, " + counts + `groups g
			JOIN group_members m ON m.group_id = g.id JOIN servers s ON s.user_id = m.user_id WHERE ` + letThrough + " AND g.name IN "
		var set string
		set, a = s.oneOf(names)
		query += set + " GROUP BY g.name"
	}
	type row struct {
		name string
		load hub.Load
	}
	rows, err := all(ctx, s, "count the servers of groups", query, a, func(scan scanner) (r row, err error) {
		return r, scan(&r.name, &r.load.Active, &r.load.Starting)
	})
	out := make(map[string]hub.Load, len(rows))
	for _, r := range rows {
		out[r.name] = r.load
	}
	return out, err
}

// oneOf is the set of these texts, with its arguments.
func (s *Store) oneOf(texts []string) (string, args) {
	if len(texts) == 0 || len(texts) > maxNamed {
		return "(SELECT value->>0 FROM " + s.db.elements + "($1))", args{list(texts)}
	}
	a, places := args{}, []string{}
	for i, text := range texts {
		a, places = append(a, text), append(places, fmt.Sprint("$", i+1))
	}
	return "(" + strings.Join(places, ", ") + ")", a
}

// Starts implements [hub.QueueStore].
func (s *Store) Starts(ctx context.Context) ([]hub.QueuedStart, error) {
	return all(ctx, s, "list starts", `
		SELECT id, user_id, queued, CASE WHEN admitted IS NULL THEN 0 ELSE 1 END, blocked, CASE WHEN instance = '' THEN 0 ELSE 1 END, pool
		FROM servers WHERE state = 'starting' AND state <> 'stopped' ORDER BY queued, id`, nil,
		func(scan scanner) (v hub.QueuedStart, err error) {
			var admitted, placed int
			err = scan(&v.ID, &v.UserID, timeOf{&v.Queued}, &admitted, &v.Blocked, &placed, &v.Pool)
			v.Admitted, v.Placed = admitted == 1, placed == 1
			return v, err
		})
}

// GroupsOfWaiting implements [hub.QueueStore].
func (s *Store) GroupsOfWaiting(ctx context.Context) (map[string][]string, error) {
	rows, err := all(ctx, s, "list the groups of those who wait", `
		SELECT m.user_id, g.name FROM group_members m JOIN groups g ON g.id = m.group_id
		WHERE m.user_id IN (SELECT user_id FROM servers WHERE state = 'starting' AND state <> 'stopped' AND admitted IS NULL)
		ORDER BY m.user_id, g.name`, nil,
		func(scan scanner) (r [2]string, err error) { return r, scan(&r[0], &r[1]) })
	out := make(map[string][]string, len(rows))
	for _, r := range rows {
		out[r[0]] = append(out[r[0]], r[1])
	}
	return out, err
}

// Revisions implements [hub.QueueStore].
func (s *Store) Revisions(ctx context.Context, ids []string) (map[string]int64, error) {
	type row struct {
		id       string
		revision int64
	}
	set, a := s.oneOf(ids)
	rows, err := all(ctx, s, "read revisions", "SELECT id, revision FROM servers WHERE id IN "+set, a,
		func(scan scanner) (r row, err error) { return r, scan(&r.id, &r.revision) })
	out := make(map[string]int64, len(rows))
	for _, r := range rows {
		out[r.id] = r.revision
	}
	return out, err
}

// AdmitStarts implements [hub.QueueStore].
func (s *Store) AdmitStarts(ctx context.Context, ids []string, now time.Time) ([]string, error) {
	values, err := args{list(ids), micros(now)}.values()
	if err != nil {
		return nil, err
	}
	return fetch(ctx, s, change, nil, "admit starts", `
		UPDATE servers SET admitted = $2, wait = NULL, blocked = FALSE, revision = revision + 1
		WHERE id IN (SELECT value->>0 FROM `+s.db.elements+`($1)) AND `+s.db.unindexed+`state = 'starting' AND `+s.db.unindexed+`admitted IS NULL
		RETURNING id`, values, func(scan scanner) (id string, err error) { return id, scan(&id) })
}

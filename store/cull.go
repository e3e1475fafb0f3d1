package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// CullCandidates implements [hub.CullStore]. Most servers are used, so most rows are left in the database.
func (s *Store) CullCandidates(ctx context.Context, q hub.CullQuery) ([]hub.CullCandidate, error) {
	now := q.Now.UnixMicro()
	query := fmt.Sprintf(`
		SELECT %s, u.admin,
			(SELECT %s(g.name ORDER BY g.name) FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = s.user_id)
		FROM servers s JOIN users u ON u.id = s.user_id
		WHERE s.state = 'ready' AND (
			s.notice IS NOT NULL
			OR COALESCE(s.last_used, s.started, 0) < $1
			OR COALESCE(s.started, 0) < $2
			OR s.idle_after > 0 AND COALESCE(s.last_used, s.started, 0) < $3 - s.idle_after / 2
			OR s.max_age > 0 AND COALESCE(s.started, 0) < $4 - s.max_age)
		ORDER BY s.id`, serverColumns.plain, s.db.array)
	return all(ctx, s, "find servers that may be culled", query,
		args{bound(q.UsedBefore), bound(q.StartedBefore), now, now + q.Lead.Microseconds()},
		func(scan scanner) (c hub.CullCandidate, err error) {
			var row serverRow
			if err := scan(append(row.fields(&c.Server), &c.Admin, wordsOf{&c.Groups})...); err != nil {
				return c, err
			}
			return c, row.finish(&c.Server)
		})
}

// bound is a time as the upper bound of a comparison; nothing is below the zero time.
func bound(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMicro()
}

// WatchActivity implements [hub.CullStore].
func (s *Store) WatchActivity(ctx context.Context, replica string, began, now time.Time) error {
	_, err := s.exec(ctx, "say that activity is written", `
		INSERT INTO activity_watch (replica, began, seen) VALUES ($1, $2, $3)
		ON CONFLICT (replica) DO UPDATE SET began = excluded.began, seen = excluded.seen`,
		args{replica, began.UnixMicro(), now.UnixMicro()})
	return err
}

// UnwatchActivity implements [hub.CullStore].
func (s *Store) UnwatchActivity(ctx context.Context, replica string) error {
	_, err := s.exec(ctx, "say that a proxy ended", "DELETE FROM activity_watch WHERE replica = $1", args{replica})
	return err
}

// watchKept is for how long a replica is remembered after it was taken for dead, which is longer than any interval of activity.
const watchKept = 7 * 24 * time.Hour

// ActivityWatched implements [hub.CullStore]. A replica that was taken for dead has begun, by its row, after it was last seen: at the end of the gap that it left.
// If it was not dead, what it says next makes the row right again.
func (s *Store) ActivityWatched(ctx context.Context, now time.Time, forget time.Duration) (began, seen time.Time, err error) {
	_, err = s.exec(ctx, "take silent replicas for dead", "UPDATE activity_watch SET began = $1 WHERE began <= seen AND seen < $2",
		args{now.UnixMicro(), now.Add(-forget).UnixMicro()})
	if err == nil {
		_, err = s.exec(ctx, "forget dead replicas", "DELETE FROM activity_watch WHERE began > seen AND began < $1", args{now.Add(-watchKept).UnixMicro()})
	}
	if err != nil {
		return began, seen, err
	}
	err = s.one(ctx, "ask since when activity is written",
		"SELECT max(began), min(CASE WHEN began <= seen THEN seen END) FROM activity_watch", nil, timeOf{&began}, timeOf{&seen})
	if seen.IsZero() {
		began = seen
	}
	return began, seen, err
}

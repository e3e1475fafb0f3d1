package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/nomadhub/nomadhub/hub"
)

// activity is one ID with times in microseconds, 0 for what is not told: of activity, of use and of output.
type activity struct {
	id               string
	at, used, output int64
}

// rowsOf are activities as the database reads them as rows, JSON such as [["id",1700000000000000,0,0]].
func rowsOf(list []activity) string {
	w := &jx.Writer{Buf: make([]byte, 0, len(list)*activityLength)}
	w.ArrStart()
	for i, a := range list {
		if i > 0 {
			w.Comma()
		}
		w.ArrStart()
		w.Str(a.id)
		for _, t := range []int64{a.at, a.used, a.output} {
			w.Comma()
			w.Int64(t)
		}
		w.ArrEnd()
	}
	w.ArrEnd()
	return w.String()
}

// activityLength is how long an activity usually is as JSON.
const activityLength = 64

// RecordActivity implements [hub.ServerStore].
func (s *Store) RecordActivity(ctx context.Context, updates []hub.ActivityUpdate) error {
	users, servers, owners := latest(updates)
	if len(users)+len(owners) > 0 {
		if err := s.recordUsers(ctx, users, owners); err != nil {
			return err
		}
	}
	if len(servers) == 0 {
		return nil
	}
	_, err := s.exec(ctx, "record activity of servers", `
		UPDATE servers SET
			last_activity = CASE WHEN COALESCE(servers.last_activity, 0) < v.at THEN v.at ELSE servers.last_activity END,
			last_used = CASE WHEN COALESCE(servers.last_used, 0) < v.used THEN v.used ELSE servers.last_used END,
			last_output = CASE WHEN COALESCE(servers.last_output, 0) < v.output THEN v.output ELSE servers.last_output END
		FROM (
			SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at, CAST(value->>2 AS BIGINT) AS used, CAST(value->>3 AS BIGINT) AS output
			FROM `+s.db.elements+`($1)
		) v
		WHERE servers.id = v.id AND (COALESCE(servers.last_activity, 0) < v.at OR COALESCE(servers.last_used, 0) < v.used
			OR COALESCE(servers.last_output, 0) < v.output)`, args{rowsOf(servers)})
	return err
}

// recordUsers moves users' times forward, and those of the owners of servers.
func (s *Store) recordUsers(ctx context.Context, users, owners []activity) error {
	_, err := s.exec(ctx, "record activity of users", `
		UPDATE users SET last_activity = v.at
		FROM (
			SELECT id, max(at) AS at FROM (
				SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at FROM `+s.db.elements+`($1)
				UNION ALL
				SELECT servers.user_id, CAST(value->>1 AS BIGINT) FROM `+s.db.elements+`($2) JOIN servers ON servers.id = value->>0
			) moved GROUP BY id
		) v
		WHERE users.id = v.id AND (users.last_activity IS NULL OR users.last_activity < v.at)`,
		args{rowsOf(users), rowsOf(owners)})
	return err
}

// TouchTokens implements [hub.TokenStore].
func (s *Store) TouchTokens(ctx context.Context, used map[int64]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	rows := make([][2]int64, 0, len(used))
	for id, at := range used {
		rows = append(rows, [2]int64{id, at.UnixMicro()})
	}
	slices.SortFunc(rows, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	at, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("store: touch tokens: %w", err)
	}
	_, err = s.exec(ctx, "touch tokens", `
		UPDATE tokens SET last_activity = v.at
		FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS at FROM `+s.db.elements+`($1)) v
		WHERE tokens.id = v.id AND (tokens.last_activity IS NULL OR tokens.last_activity < v.at)`, args{string(at)})
	return err
}

// latest returns the last time of each user, of each server, and of each server whose owner was not named. They are in the
// order of the IDs, so that replicas that write at the same time mostly lock rows in the same order.
func latest(updates []hub.ActivityUpdate) (users, servers, owners []activity) {
	for _, u := range updates {
		at := activity{at: orNone(u.Time)}
		if u.UserID != "" && at.at != 0 {
			users = note(users, u.UserID, at)
		}
		if u.UserID == "" && u.ServerID != "" && at.at != 0 {
			owners = note(owners, u.ServerID, at)
		}
		if u.ServerID != "" {
			at.used, at.output = orNone(u.Used), orNone(u.Output)
			servers = note(servers, u.ServerID, at)
		}
	}
	return ordered(users), ordered(servers), ordered(owners)
}

func orNone(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func note(list []activity, id string, a activity) []activity {
	if !storable(id) {
		return list
	}
	a.id = id
	return append(list, a)
}

// ordered has each ID once.
func ordered(list []activity) []activity {
	slices.SortFunc(list, func(a, b activity) int { return strings.Compare(a.id, b.id) })
	out := list[:0]
	for _, a := range list {
		if n := len(out); n > 0 && out[n-1].id == a.id {
			last := &out[n-1]
			last.at, last.used, last.output = max(a.at, last.at), max(a.used, last.used), max(a.output, last.output)
			continue
		}
		out = append(out, a)
	}
	return out
}

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// activity is one ID with times in microseconds, 0 for what is not told: of activity, of use and of output. In JSON it is
// ["id", 1700000000000000, 0, 0], so that the database reads it as rows.
type activity struct {
	id               string
	at, used, output int64
}

// MarshalJSON implements [json.Marshaler].
func (a activity) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{a.id, a.at, a.used, a.output})
}

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
	at, err := json.Marshal(servers)
	if err != nil {
		return fmt.Errorf("store: record activity: %w", err)
	}
	_, err = s.exec(ctx, "record activity of servers", `
		UPDATE servers SET
			last_activity = CASE WHEN COALESCE(servers.last_activity, 0) < v.at THEN v.at ELSE servers.last_activity END,
			last_used = CASE WHEN COALESCE(servers.last_used, 0) < v.used THEN v.used ELSE servers.last_used END,
			last_output = CASE WHEN COALESCE(servers.last_output, 0) < v.output THEN v.output ELSE servers.last_output END
		FROM (
			SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at, CAST(value->>2 AS BIGINT) AS used, CAST(value->>3 AS BIGINT) AS output
			FROM `+s.db.elements+`($1)
		) v
		WHERE servers.id = v.id AND (COALESCE(servers.last_activity, 0) < v.at OR COALESCE(servers.last_used, 0) < v.used
			OR COALESCE(servers.last_output, 0) < v.output)`, args{string(at)})
	return err
}

// recordUsers moves users' times forward, and those of the owners of servers.
func (s *Store) recordUsers(ctx context.Context, users, owners []activity) error {
	ofUsers, err := json.Marshal(users)
	if err != nil {
		return fmt.Errorf("store: record activity: %w", err)
	}
	ofOwners, err := json.Marshal(owners)
	if err != nil {
		return fmt.Errorf("store: record activity: %w", err)
	}
	_, err = s.exec(ctx, "record activity of users", `
		UPDATE users SET last_activity = v.at
		FROM (
			SELECT id, max(at) AS at FROM (
				SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at FROM `+s.db.elements+`($1)
				UNION ALL
				SELECT servers.user_id, CAST(value->>1 AS BIGINT) FROM `+s.db.elements+`($2) JOIN servers ON servers.id = value->>0
			) moved GROUP BY id
		) v
		WHERE users.id = v.id AND (users.last_activity IS NULL OR users.last_activity < v.at)`,
		args{string(ofUsers), string(ofOwners)})
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
	ofUser, ofServer, ofOwner := map[string]activity{}, map[string]activity{}, map[string]activity{}
	for _, u := range updates {
		at := activity{at: orNone(u.Time)}
		if u.UserID != "" && at.at != 0 {
			note(ofUser, u.UserID, at)
		}
		if u.UserID == "" && u.ServerID != "" && at.at != 0 {
			note(ofOwner, u.ServerID, at)
		}
		if u.ServerID != "" {
			at.used, at.output = orNone(u.Used), orNone(u.Output)
			note(ofServer, u.ServerID, at)
		}
	}
	return ordered(ofUser), ordered(ofServer), ordered(ofOwner)
}

func orNone(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func note(last map[string]activity, id string, a activity) {
	before, ok := last[id]
	switch {
	case !storable(id):
		return
	case ok:
		a.at, a.used, a.output = max(a.at, before.at), max(a.used, before.used), max(a.output, before.output)
	}
	a.id = id
	last[id] = a
}

func ordered(last map[string]activity) []activity {
	out := make([]activity, 0, len(last))
	for _, a := range last {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b activity) int { return strings.Compare(a.id, b.id) })
	return out
}

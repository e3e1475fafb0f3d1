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

// activity is one ID with a time in microseconds, and when it was last used (0: not told); in JSON ["id", 1700000000000000, 0], so that the database reads
// it as rows.
type activity struct {
	id       string
	at, used int64
}

// MarshalJSON implements [json.Marshaler].
func (a activity) MarshalJSON() ([]byte, error) { return json.Marshal([]any{a.id, a.at, a.used}) }

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
			last_activity = CASE WHEN servers.last_activity IS NULL OR servers.last_activity < v.at THEN v.at ELSE servers.last_activity END,
			last_used = CASE WHEN v.used > 0 AND (servers.last_used IS NULL OR servers.last_used < v.used) THEN v.used ELSE servers.last_used END
		FROM (SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at, CAST(value->>2 AS BIGINT) AS used FROM `+s.db.elements+`($1)) v
		WHERE servers.id = v.id AND (servers.last_activity IS NULL OR servers.last_activity < v.at
			OR v.used > 0 AND (servers.last_used IS NULL OR servers.last_used < v.used))`, args{string(at)})
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
		at := activity{at: u.Time.UnixMicro()}
		if u.UserID != "" {
			note(ofUser, u.UserID, at)
		}
		if u.UserID == "" && u.ServerID != "" {
			note(ofOwner, u.ServerID, at)
		}
		if u.ServerID != "" {
			if !u.Used.IsZero() {
				at.used = u.Used.UnixMicro()
			}
			note(ofServer, u.ServerID, at)
		}
	}
	return ordered(ofUser), ordered(ofServer), ordered(ofOwner)
}

func note(last map[string]activity, id string, a activity) {
	before, ok := last[id]
	switch {
	case !storable(id):
		return
	case ok:
		a.at, a.used = max(a.at, before.at), max(a.used, before.used)
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

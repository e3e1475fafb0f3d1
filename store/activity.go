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

// activity is one ID with a time in microseconds; in JSON ["id", 1700000000000000], so that the database reads it as rows.
type activity struct {
	id string
	at int64
}

// MarshalJSON implements [json.Marshaler].
func (a activity) MarshalJSON() ([]byte, error) { return json.Marshal([]any{a.id, a.at}) }

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
		UPDATE servers SET last_activity = v.at
		FROM (SELECT value->>0 AS id, CAST(value->>1 AS BIGINT) AS at FROM `+s.db.elements+`($1)) v
		WHERE servers.id = v.id AND (servers.last_activity IS NULL OR servers.last_activity < v.at)`, args{string(at)})
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
	ofUser, ofServer, ofOwner := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, u := range updates {
		at := u.Time.UnixMicro()
		if u.UserID != "" {
			note(ofUser, u.UserID, at)
		}
		if u.ServerID != "" {
			note(ofServer, u.ServerID, at)
		}
		if u.UserID == "" && u.ServerID != "" {
			note(ofOwner, u.ServerID, at)
		}
	}
	return ordered(ofUser), ordered(ofServer), ordered(ofOwner)
}

func note(last map[string]int64, id string, at int64) {
	if before, ok := last[id]; storable(id) && (!ok || before < at) {
		last[id] = at
	}
}

func ordered(last map[string]int64) []activity {
	out := make([]activity, 0, len(last))
	for id, at := range last {
		out = append(out, activity{id, at})
	}
	slices.SortFunc(out, func(a, b activity) int { return strings.Compare(a.id, b.id) })
	return out
}

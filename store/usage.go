package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// running is the end of a run that has none yet.
const running = math.MaxInt64

// OpenRun implements [hub.UsageStore].
func (s *Store) OpenRun(ctx context.Context, r hub.UsageRun) error {
	held, err := heldText(r.Held)
	if err != nil {
		return err
	}
	return s.atomic(ctx, func(tx *Store) error {
		var kept string
		err := tx.returning(ctx, "open a run", `
			INSERT INTO usage_runs (id, server_id, server_name, user_id, user_name, profile, generation, instance,
				memory_mb, cores, devices, held, began, ended, reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '')
			ON CONFLICT (server_id, generation, instance) DO UPDATE SET began = excluded.began WHERE usage_runs.began > excluded.began
			RETURNING id`,
			args{
				r.ID, r.ServerID, r.ServerName, r.UserID, r.UserName, r.Profile, r.Generation, r.Instance,
				r.MemoryMB, r.Cores, r.Devices, held, r.Began.UnixMicro(), int64(running),
			}, &kept)
		switch {
		case isNothing(err): // it is known, and began no earlier
			return nil
		case err != nil:
			return err
		case kept != r.ID: // its beginning was moved
			return nil
		}
		_, err = tx.exec(ctx, "note the groups of a run", `
			INSERT INTO usage_run_groups (name, run_id)
			SELECT g.name, CAST($1 AS TEXT) FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $2`,
			args{r.ID, r.UserID})
		return err
	})
}

func heldText(h *hub.Held) (any, error) {
	if h == nil {
		return nil, nil //nolint:nilnil // NULL
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("store: write what a run holds: %w", err)
	}
	return string(b), nil
}

// CloseRun implements [hub.UsageStore]. A run never ends before it began, whatever the clocks of two machines say.
func (s *Store) CloseRun(ctx context.Context, run hub.RunKey, ended time.Time, exact bool, reason string) error {
	last := int64(running)
	if exact {
		last = ended.UnixMicro() + 1
	}
	_, err := s.exec(ctx, "close a run", `
		UPDATE usage_runs SET ended = CASE WHEN began > $4 THEN began ELSE $4 END, reason = CASE WHEN reason = '' THEN $5 ELSE reason END
		WHERE server_id = $1 AND generation = $2 AND instance = $3 AND ended >= $6 AND ended > began`,
		args{run.ServerID, run.Generation, run.Instance, ended.UnixMicro(), reason, last})
	return err
}

// CloseRunsOf implements [hub.UsageStore].
func (s *Store) CloseRunsOf(ctx context.Context, serverID string, generation int64, keep string, ended time.Time, reason string) error {
	_, err := s.exec(ctx, "close the runs of a server", `
		UPDATE usage_runs SET ended = CASE WHEN began > $4 THEN began ELSE $4 END, reason = $5
		WHERE server_id = $1 AND generation <= $2 AND ended = $6 AND NOT (generation = $2 AND instance = $3 AND instance <> '')`,
		args{serverID, generation, keep, ended.UnixMicro(), reason, int64(running)})
	return err
}

const runColumns = `r.id, r.server_id, r.server_name, r.user_id, r.user_name, r.profile, r.generation, r.instance,
	r.memory_mb, r.cores, r.devices, r.held, r.began, r.ended, r.reason`

func scanRun(scan scanner, more ...any) (r hub.UsageRun, err error) {
	var held string
	var ended int64
	fields := []any{
		&r.ID, &r.ServerID, &r.ServerName, &r.UserID, &r.UserName, &r.Profile, &r.Generation, &r.Instance,
		&r.MemoryMB, &r.Cores, &r.Devices, textOf{&held}, timeOf{&r.Began}, &ended, &r.Reason,
	}
	if err := scan(append(fields, more...)...); err != nil {
		return r, err
	}
	if ended != running {
		r.Ended = time.UnixMicro(ended).UTC()
	}
	return r, readNote(held, &r.Held, r.ServerID)
}

// OpenRuns implements [hub.UsageStore].
func (s *Store) OpenRuns(ctx context.Context) ([]hub.RunKey, error) {
	return all(ctx, s, "list open runs", "SELECT server_id, generation, instance FROM usage_runs WHERE ended = $1", args{int64(running)},
		func(scan scanner) (k hub.RunKey, err error) { return k, scan(&k.ServerID, &k.Generation, &k.Instance) })
}

// UsageRuns implements [hub.UsageStore].
func (s *Store) UsageRuns(ctx context.Context, q hub.UsageQuery) ([]hub.UsageRun, error) {
	where, a := s.runFilter(q)
	limit, offset := page(q.Limit, q.Offset)
	query := fmt.Sprintf(`
		SELECT %s, (SELECT %s(g.name ORDER BY g.name) FROM usage_run_groups g WHERE g.run_id = r.id)
		FROM usage_runs r %s ORDER BY r.began, r.id LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)`, runColumns, s.db.array, where, len(a)+1, len(a)+2)
	return all(ctx, s, "list runs", query, append(a, limit, offset), func(scan scanner) (hub.UsageRun, error) {
		var groups []string
		r, err := scanRun(scan, wordsOf{&groups})
		r.Groups = groups
		return r, err
	})
}

// runFilter selects by period first, and leaves $1 and $2 as its bounds for what is counted within it. What is yet to come is not counted.
func (s *Store) runFilter(q hub.UsageQuery) (string, args) {
	to := q.To
	if !q.Now.IsZero() && q.Now.Before(to) {
		to = q.Now
	}
	a := args{q.From.UnixMicro(), to.UnixMicro()}
	conditions := []string{"r.ended > $1", "r.began < $2", "$1 < $2"}
	in := func(what string, values []string) {
		if values == nil {
			return
		}
		a = append(a, list(values))
		conditions = append(conditions, fmt.Sprintf(what+" IN (SELECT value->>0 FROM %s($%d))", s.db.elements, len(a)))
	}
	in("r.user_id", q.UserIDs)
	in("r.profile", q.Profiles)
	if q.Groups != nil {
		in("EXISTS (SELECT 1 FROM usage_run_groups f WHERE f.run_id = r.id AND f.name", q.Groups)
		conditions[len(conditions)-1] += ")"
	}
	return "WHERE " + strings.Join(conditions, " AND "), a
}

// sumsOver are the name and the ID of what is summed up over, and what has to be joined to know them.
func sumsOver(by hub.UsageBy) (name, id, join string) {
	switch by {
	case hub.UsageByUser:
		return "r.user_name", "r.user_id", ""
	case hub.UsageByGroup:
		return "COALESCE(g.name, '')", "COALESCE(g.name, '')", "LEFT JOIN usage_run_groups g ON g.run_id = r.id"
	case hub.UsageByProfile:
		return "r.profile", "r.profile", ""
	case hub.UsageInAll:
	}
	return "''", "''", ""
}

// SumUsage implements [hub.UsageStore]. The database adds up: however many runs there are, only sums travel.
func (s *Store) SumUsage(ctx context.Context, q hub.UsageQuery) ([]hub.UsageSum, error) {
	where, a := s.runFilter(q)
	name, id, join := sumsOver(q.By)
	if q.By == hub.UsageByGroup && q.Groups != nil { // a member of several groups counts for those that were asked for
		a = append(a, list(q.Groups))
		where += fmt.Sprintf(" AND g.name IN (SELECT value->>0 FROM %s($%d))", s.db.elements, len(a))
	}
	limit, offset := page(q.Limit, q.Offset)
	query := fmt.Sprintf(`
		SELECT max(name), id, count(*), sum(hours), sum(hours * memory_mb) / 1024, sum(hours * cores), sum(hours * devices) FROM (
			SELECT %s AS name, %s AS id, r.memory_mb, r.cores, r.devices,
				CAST(CASE WHEN r.ended < $2 THEN r.ended ELSE $2 END - CASE WHEN r.began > $1 THEN r.began ELSE $1 END AS DOUBLE PRECISION)
					/ 3600000000 AS hours
			FROM usage_runs r %s %s
		) runs GROUP BY id ORDER BY 1, 2 LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)`, name, id, join, where, len(a)+1, len(a)+2)
	return all(ctx, s, "sum up usage", query, append(a, limit, offset), func(scan scanner) (u hub.UsageSum, err error) {
		err = scan(&u.Key, &u.ID, &u.Runs, &u.Hours, &u.MemoryHours, &u.CPUHours, &u.DeviceHours)
		if q.By != hub.UsageByUser {
			u.ID = ""
		}
		return u, err
	})
}

// TouchUsage implements [hub.UsageStore].
func (s *Store) TouchUsage(ctx context.Context, now time.Time) error {
	_, err := s.exec(ctx, "set the ledger's clock", `
		INSERT INTO usage_clock (id, seen) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, args{now.UnixMicro()})
	return err
}

// UsageTouched implements [hub.UsageStore].
func (s *Store) UsageTouched(ctx context.Context) (seen time.Time, err error) {
	err = s.one(ctx, "read the ledger's clock", "SELECT seen FROM usage_clock WHERE id = 1", nil, timeOf{&seen})
	if isNothing(err) {
		err = nil
	}
	return seen, err
}

// DeleteRunsBefore implements [hub.UsageStore].
func (s *Store) DeleteRunsBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "delete old runs", "DELETE FROM usage_runs WHERE ended < $1", args{then.UnixMicro()})
}

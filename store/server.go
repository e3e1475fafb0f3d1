package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// serverColumns are those of a server s and the name of its owner u.
var serverColumns = columnsOf("u.name", "s.id", "s.user_id", "s.name", "s.state", "s.generation", "s.revision", "s.created", "s.started", "s.last_activity",
	"s.options", "s.instance", "s.address", "s.placement", "s.failure", "s.remove", "s.profile", "s.queued", "s.admitted", "s.wait", "s.held", "s.notice", "s.keep_until",
	"s.restart", "s.last_used", "s.last_output", "s.idle_after", "s.max_age", "s.display_name")

func serverRows(d dialect) string {
	return "SELECT " + d.row(serverColumns) + " FROM servers s JOIN users u ON u.id = s.user_id "
}

// CreateServer implements [hub.ServerStore].
func (s *Store) CreateServer(ctx context.Context, v hub.Server) error {
	notes, err := notesOf(v)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, "create server", `
		INSERT INTO servers (id, user_id, name, state, generation, revision, created, started, last_activity,
			options, instance, address, placement, failure, remove, profile, queued, admitted, wait, held, notice, keep_until,
			restart, blocked, pool, last_used, last_output, idle_after, max_age, display_name)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30
		WHERE $31 = '' OR EXISTS (SELECT 1 FROM users WHERE users.id = $2 AND users.name = $31)
		ON CONFLICT DO NOTHING`,
		args{
			v.ID, v.UserID, v.Name, string(v.State), v.Generation, v.Revision, micros(v.Created), micros(v.Started),
			micros(v.LastActivity), optionsText(v.Options), v.Instance, v.Address, int64(v.Placement), notes.failure, v.Remove,
			v.Profile, micros(v.Queued), micros(v.Admitted), notes.wait, notes.held, notes.notice, micros(v.KeepUntil),
			notes.restart, notes.blocked, notes.pool, micros(v.LastUsed), micros(v.LastOutput),
			v.IdleAfter.Microseconds(), v.MaxAge.Microseconds(), v.DisplayName, v.UserName,
		})
	if err == nil && n == 0 {
		return s.whyNotCreated(ctx, v)
	}
	return err
}

// whyNotCreated tells a server that is there already from an owner who is gone or has another name by now.
func (s *Store) whyNotCreated(ctx context.Context, v hub.Server) error {
	if v.UserName != "" {
		switch u, err := s.UserByID(ctx, v.UserID); {
		case err != nil:
			return fmt.Errorf("store: create server: %w", err)
		case u.Name != v.UserName:
			return fmt.Errorf("store: create server: its owner: %w", hub.ErrStale)
		}
	}
	return fmt.Errorf("store: create server: %w", hub.ErrExists)
}

// The two ways to write a server: with its name as it is, which nearly always is so, and with another. SQLite writes the entries of an index anew for every
// column that is set, whatever its value.
const (
	updateServer   = "UPDATE servers SET " + serverSettings + " WHERE id = $1 AND revision = $2 AND name = $3 " + serverReturned
	renameServer   = "UPDATE servers SET name = $3, " + serverSettings + " WHERE id = $1 AND revision = $2 " + serverReturned
	serverReturned = "RETURNING user_id, (SELECT name FROM users WHERE users.id = user_id), revision, created, last_activity, last_used, last_output"
	serverSettings = `state = $4, generation = $5, started = $6, options = $7, instance = $8, address = $9, placement = $10, failure = $11, remove = $12,
		profile = $13, queued = $14, admitted = $15, wait = $16, held = $17, notice = $18, keep_until = $19, restart = $20, blocked = $21, pool = $22,
		idle_after = $23, max_age = $24, display_name = $25, revision = revision + 1`
)

// UpdateServer implements [hub.ServerStore]. Only what the caller cannot know comes back from the database.
func (s *Store) UpdateServer(ctx context.Context, v hub.Server) (hub.Server, error) {
	notes, err := notesOf(v)
	if err != nil {
		return hub.Server{}, err
	}
	a := args{
		v.ID, v.Revision, v.Name, string(v.State), v.Generation, micros(v.Started), optionsText(v.Options), v.Instance,
		v.Address, int64(v.Placement), notes.failure, v.Remove, v.Profile, micros(v.Queued), micros(v.Admitted), notes.wait,
		notes.held, notes.notice, micros(v.KeepUntil), notes.restart, notes.blocked, notes.pool,
		v.IdleAfter.Microseconds(), v.MaxAge.Microseconds(), v.DisplayName,
	}
	back := []any{&v.UserID, &v.UserName, &v.Revision, timeOf{&v.Created}, timeOf{&v.LastActivity}, timeOf{&v.LastUsed}, timeOf{&v.LastOutput}}
	err = s.returning(ctx, "update server", updateServer, a, back...)
	if isNothing(err) { // only now a name may be taken
		err = s.guarded(ctx, func(tx *Store) error { return tx.returning(ctx, "rename server", renameServer, a, back...) })
	}
	if isNothing(err) {
		return hub.Server{}, s.whyNotUpdated(ctx, v.ID)
	}
	if err != nil {
		return hub.Server{}, err
	}
	return notes.asKept(v), nil
}

// whyNotUpdated tells a row that was changed meanwhile from one that is gone.
func (s *Store) whyNotUpdated(ctx context.Context, id string) error {
	switch _, err := s.ServerByID(ctx, id); {
	case err == nil:
		return fmt.Errorf("store: update server: %w", hub.ErrStale)
	case errors.Is(err, hub.ErrNotFound):
		return fmt.Errorf("store: update server: %w", hub.ErrNotFound)
	default:
		return err
	}
}

// DeleteServer implements [hub.ServerStore]; its clients and tokens go by the foreign keys.
func (s *Store) DeleteServer(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "delete server", "DELETE FROM servers WHERE id = $1", args{id})
	return err
}

// ServerByID implements [hub.ServerStore].
func (s *Store) ServerByID(ctx context.Context, id string) (hub.Server, error) {
	return s.server(ctx, s.db.serverRows+"WHERE s.id = $1", args{id})
}

// ServerByName implements [hub.ServerStore].
func (s *Store) ServerByName(ctx context.Context, userID, name string) (hub.Server, error) {
	return s.server(ctx, s.db.serverRows+"WHERE s.user_id = $1 AND s.name = $2", args{userID, name})
}

func (s *Store) server(ctx context.Context, query string, a args) (hub.Server, error) {
	var v hub.Server
	var row serverRow
	if err := s.byKey(ctx, "find server", query, a, row.fields(&v)...); err != nil {
		return hub.Server{}, err
	}
	return v, row.finish(&v)
}

// Servers implements [hub.ServerStore].
func (s *Store) Servers(ctx context.Context, q hub.ServerQuery) ([]hub.Server, int, error) {
	where, a := s.serverFilter(q)
	limit, offset := page(q.Limit, q.Offset)
	servers, err := all(ctx, s, "list servers",
		fmt.Sprintf("%s %s ORDER BY s.id LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)", s.db.serverRows, where, len(a)+1, len(a)+2),
		append(slices.Clip(a), limit, offset),
		func(scan scanner) (v hub.Server, err error) {
			var row serverRow
			if err := scan(row.fields(&v)...); err != nil {
				return v, err
			}
			return v, row.finish(&v)
		})
	if err != nil {
		return nil, 0, err
	}
	total, err := s.total(ctx, len(servers), limit, offset, "servers s "+where, a)
	return servers, total, err
}

// serverFilter writes out a single user and the states, of which there are few, because the planner then knows how rare they are.
func (s *Store) serverFilter(q hub.ServerQuery) (string, args) {
	if q.UserIDs == nil {
		return filterOfServers(nil, nil, q.States)
	}
	owners, a := s.ownersIn(hub.Owners{IDs: q.UserIDs})
	return filterOfServers([]string{owners}, a, q.States)
}

// ownersIn is the condition that a server is one of theirs.
func (s *Store) ownersIn(of hub.Owners) (condition string, a args) {
	switch {
	case len(of.IDs) == 1:
		return "s.user_id = $1", args{of.IDs[0]}
	case of.Adjacent:
		return "s.user_id >= $1 AND s.user_id <= $2", args{slices.Min(of.IDs), slices.Max(of.IDs)}
	}
	return "s.user_id IN (SELECT value->>0 FROM " + s.db.elements + "($1))", args{list(of.IDs)}
}

// filterOfServers adds the condition that a server is in one of the states, nil: in any.
func filterOfServers(conditions []string, a args, states []hub.ServerState) (string, args) {
	if states != nil {
		places := []string{"NULL"} // no states: in none of them
		for _, state := range slices.Compact(slices.Sorted(slices.Values(states))) {
			a = append(a, string(state))
			places = append(places, fmt.Sprintf("$%d", len(a)))
		}
		conditions = append(conditions, "s.state IN ("+strings.Join(places, ", ")+")")
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), a
}

// CountServers implements [hub.ServerStore]. States in which there is no server are there with 0.
func (s *Store) CountServers(ctx context.Context) (map[hub.ServerState]int, error) {
	type count struct {
		state string
		n     int
	}
	rows, err := all(ctx, s, "count servers", "SELECT state, count(*) FROM servers GROUP BY state", nil,
		func(scan scanner) (c count, err error) { return c, scan(&c.state, &c.n) })
	if err != nil {
		return nil, err
	}
	counts := map[hub.ServerState]int{hub.Stopped: 0, hub.Starting: 0, hub.Ready: 0, hub.Stopping: 0}
	for _, c := range rows {
		counts[hub.ServerState(c.state)] = c.n
	}
	return counts, nil
}

// serverRow holds the columns of a server that need a conversion. A placement is an unsigned number in a signed column, with all its
// bits.
type serverRow struct {
	options, failure   string
	wait, held, notice string
	restart            string
	placement          int64
}

func (r *serverRow) fields(v *hub.Server) []any {
	return []any{
		&v.UserName, &v.ID, &v.UserID, &v.Name, (*string)(&v.State), &v.Generation, &v.Revision,
		timeOf{&v.Created}, timeOf{&v.Started}, timeOf{&v.LastActivity},
		textOf{&r.options}, &v.Instance, &v.Address, &r.placement, textOf{&r.failure}, &v.Remove,
		&v.Profile, timeOf{&v.Queued}, timeOf{&v.Admitted}, textOf{&r.wait}, textOf{&r.held}, textOf{&r.notice}, timeOf{&v.KeepUntil},
		textOf{&r.restart}, timeOf{&v.LastUsed}, timeOf{&v.LastOutput}, spanOf{&v.IdleAfter}, spanOf{&v.MaxAge}, &v.DisplayName,
	}
}

func (r *serverRow) finish(v *hub.Server) error {
	v.Placement = uint64(r.placement)
	if r.options != "" {
		v.Options = json.RawMessage(r.options)
	}
	return errors.Join(
		readNote(r.failure, &v.Failure, v.ID), readNote(r.wait, &v.Wait, v.ID),
		readNote(r.held, &v.Held, v.ID), readNote(r.notice, &v.Notice, v.ID), readNote(r.restart, &v.Restart, v.ID))
}

// readNote reads one of the columns that hold JSON; an empty one is nil.
func readNote[T any](text string, into **T, id string) error {
	if text == "" {
		return nil
	}
	*into = new(T)
	if err := json.Unmarshal([]byte(text), *into); err != nil {
		return fmt.Errorf("store: read what was noted of server %s: %w", id, err)
	}
	return nil
}

func optionsText(options json.RawMessage) any {
	return null(string(options))
}

// notes are the columns of a server that hold JSON, as text or NULL, and what of it has a column of its own to be counted by.
type notes struct {
	failure, wait, held, notice, restart any

	blocked bool
	pool    string
	kept    hub.Server // what the texts say
}

// notesOf writes them. Their times are kept as exactly as all times are.
func notesOf(v hub.Server) (n notes, err error) {
	if v.Failure != nil {
		kept := *v.Failure
		kept.Time = rounded(kept.Time)
		n.kept.Failure = &kept
		n.failure, err = noteText(&kept)
	}
	if v.Wait != nil && err == nil {
		kept := *v.Wait
		kept.Since, kept.Until = rounded(kept.Since), rounded(kept.Until)
		n.kept.Wait, n.blocked = &kept, kept.Blocked
		n.wait, err = noteText(&kept)
	}
	if v.Held != nil && err == nil {
		kept := *v.Held
		n.kept.Held, n.pool = &kept, kept.Pool
		n.held, err = noteText(&kept)
	}
	if v.Restart != nil && err == nil {
		kept := *v.Restart
		n.kept.Restart = &kept
		n.restart, err = noteText(&kept)
	}
	if v.Notice != nil && err == nil {
		kept := *v.Notice
		kept.Time, kept.Until = rounded(kept.Time), rounded(kept.Until)
		n.kept.Notice = &kept
		n.notice, err = noteText(&kept)
	}
	return n, err
}

// asKept is a server as it would be read after it was written with these notes.
func (n notes) asKept(v hub.Server) hub.Server {
	for _, t := range []*time.Time{&v.Started, &v.Queued, &v.Admitted, &v.KeepUntil} {
		*t = rounded(*t)
	}
	v.IdleAfter, v.MaxAge = v.IdleAfter.Truncate(time.Microsecond), v.MaxAge.Truncate(time.Microsecond)
	if len(v.Options) == 0 {
		v.Options = nil
	}
	v.Failure, v.Wait, v.Held, v.Restart, v.Notice = n.kept.Failure, n.kept.Wait, n.kept.Held, n.kept.Restart, n.kept.Notice
	return v
}

func rounded(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return timeToMicros(t)
}

func noteText(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: write what is noted of a server: %w", err)
	}
	return string(b), nil
}

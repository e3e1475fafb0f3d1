package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	serverColumns = `s.id, s.user_id, s.name, s.state, s.generation, s.revision, s.created, s.started, s.last_activity,
		s.options, s.instance, s.address, s.placement, s.failure, s.remove`
	serverRows = "SELECT u.name, " + serverColumns + " FROM servers s JOIN users u ON u.id = s.user_id "
)

// CreateServer implements [hub.ServerStore].
func (s *Store) CreateServer(ctx context.Context, v hub.Server) error {
	failure, err := failureText(v.Failure)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, "create server", `
		INSERT INTO servers (id, user_id, name, state, generation, revision, created, started, last_activity,
			options, instance, address, placement, failure, remove)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
		args{
			v.ID, v.UserID, v.Name, string(v.State), v.Generation, v.Revision, micros(v.Created), micros(v.Started),
			micros(v.LastActivity), optionsText(v.Options), v.Instance, v.Address, int64(v.Placement), failure, v.Remove,
		})
	if err == nil && n == 0 {
		err = fmt.Errorf("store: create server: %w", hub.ErrExists)
	}
	return err
}

// UpdateServer implements [hub.ServerStore].
func (s *Store) UpdateServer(ctx context.Context, v hub.Server) (hub.Server, error) {
	failure, err := failureText(v.Failure)
	if err != nil {
		return hub.Server{}, err
	}
	var written hub.Server
	var row serverRow
	err = s.guarded(ctx, func(tx *Store) error {
		return tx.returning(ctx, "update server", `
			UPDATE servers AS s SET name = $3, state = $4, generation = $5, started = $6, options = $7, instance = $8,
				address = $9, placement = $10, failure = $11, remove = $12, revision = revision + 1
			WHERE id = $1 AND revision = $2
			RETURNING (SELECT name FROM users WHERE users.id = user_id), `+strings.ReplaceAll(serverColumns, "s.", ""),
			args{
				v.ID, v.Revision, v.Name, string(v.State), v.Generation, micros(v.Started), optionsText(v.Options), v.Instance,
				v.Address, int64(v.Placement), failure, v.Remove,
			}, row.fields(&written)...)
	})
	if isNothing(err) {
		return hub.Server{}, s.whyNotUpdated(ctx, v.ID)
	}
	if err != nil {
		return hub.Server{}, err
	}
	return written, row.finish(&written)
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
	return s.server(ctx, serverRows+"WHERE s.id = $1", args{id})
}

// ServerByName implements [hub.ServerStore].
func (s *Store) ServerByName(ctx context.Context, userID, name string) (hub.Server, error) {
	return s.server(ctx, serverRows+"WHERE s.user_id = $1 AND s.name = $2", args{userID, name})
}

func (s *Store) server(ctx context.Context, query string, a args) (hub.Server, error) {
	var v hub.Server
	var row serverRow
	if err := s.one(ctx, "find server", query, a, row.fields(&v)...); err != nil {
		return hub.Server{}, err
	}
	return v, row.finish(&v)
}

// Servers implements [hub.ServerStore].
func (s *Store) Servers(ctx context.Context, q hub.ServerQuery) ([]hub.Server, int, error) {
	where, a := s.serverFilter(q)
	limit, offset := page(q.Limit, q.Offset)
	servers, err := all(ctx, s, "list servers",
		fmt.Sprintf("%s %s ORDER BY s.id LIMIT $%d OFFSET $%d", serverRows, where, len(a)+1, len(a)+2),
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
	if whole(len(servers), limit, offset) {
		return servers, len(servers), nil
	}
	total, err := s.count(ctx, "count servers", "SELECT count(*) FROM servers s "+where, a)
	return servers, total, err
}

// serverFilter writes out a single user and the states, of which there are few, because the planner then knows how rare they are.
func (s *Store) serverFilter(q hub.ServerQuery) (string, args) {
	var conditions []string
	var a args
	switch {
	case q.UserIDs == nil:
	case len(q.UserIDs) == 1:
		a = append(a, q.UserIDs[0])
		conditions = append(conditions, "s.user_id = $1")
	default:
		a = append(a, list(q.UserIDs))
		conditions = append(conditions, "s.user_id IN (SELECT value->>0 FROM "+s.db.elements+"($1))")
	}
	if q.States != nil {
		places := []string{"NULL"} // no states: in none of them
		for _, state := range slices.Compact(slices.Sorted(slices.Values(q.States))) {
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
	options, failure string
	placement        int64
}

func (r *serverRow) fields(v *hub.Server) []any {
	return []any{
		&v.UserName, &v.ID, &v.UserID, &v.Name, (*string)(&v.State), &v.Generation, &v.Revision,
		timeOf{&v.Created}, timeOf{&v.Started}, timeOf{&v.LastActivity},
		textOf{&r.options}, &v.Instance, &v.Address, &r.placement, textOf{&r.failure}, &v.Remove,
	}
}

func (r *serverRow) finish(v *hub.Server) error {
	v.Placement = uint64(r.placement)
	if r.options != "" {
		v.Options = json.RawMessage(r.options)
	}
	if r.failure == "" {
		return nil
	}
	v.Failure = new(hub.Failure)
	if err := json.Unmarshal([]byte(r.failure), v.Failure); err != nil {
		return fmt.Errorf("store: read why server %s failed: %w", v.ID, err)
	}
	return nil
}

func optionsText(options json.RawMessage) any {
	return null(string(options))
}

// failureText is what a failure is stored as. Its time is kept as exactly as all times are.
func failureText(f *hub.Failure) (any, error) {
	if f == nil {
		return nil, nil
	}
	kept := *f
	if !kept.Time.IsZero() {
		kept.Time = timeToMicros(kept.Time)
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("store: write why a server failed: %w", err)
	}
	return string(b), nil
}

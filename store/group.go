package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nomadhub/nomadhub/hub"
)

// CreateGroup implements [hub.GroupStore].
func (s *Store) CreateGroup(ctx context.Context, name string, properties json.RawMessage) error {
	return s.mustWrite(ctx, "create group", "INSERT INTO groups (name, properties) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		args{name, object(properties)})
}

// Groups implements [hub.GroupStore]. The members are a subquery of the page, so that those of its own groups only are read, by the index, and all in one query.
func (s *Store) Groups(ctx context.Context, q hub.GroupQuery) ([]hub.Group, int, error) {
	var where string
	var a args
	if q.Names != nil {
		where, a = "WHERE g.name IN (SELECT value->>0 FROM "+s.db.elements+"($1))", args{list(q.Names)}
	}
	order := "g.id"
	if q.ByName {
		order = "g.name"
	}
	limit, offset := page(q.Limit, q.Offset)
	groups, err := all(ctx, s, "list groups", fmt.Sprintf(`
		SELECT g.name, g.properties, (
			SELECT %s(u.name ORDER BY u.name) FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = g.id
		)
		FROM (SELECT g.* FROM groups g %s ORDER BY %s LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)) g ORDER BY %s`,
		s.db.array, where, order, len(a)+1, len(a)+2, order), append(slices.Clip(a), limit, offset), groupRow)
	if err != nil {
		return nil, 0, err
	}
	total, err := s.total(ctx, len(groups), limit, offset, "groups g "+where, a)
	return groups, total, err
}

func groupRow(scan scanner) (g hub.Group, err error) {
	var properties string
	if err := scan(&g.Name, &properties, wordsOf{&g.Users}); err != nil {
		return g, err
	}
	if properties != noProperties {
		g.Properties = json.RawMessage(properties)
	}
	return g, nil
}

// SetGroupProperties implements [hub.GroupStore].
func (s *Store) SetGroupProperties(ctx context.Context, name string, properties json.RawMessage) error {
	return s.oneGroup(ctx, "set properties of a group", "UPDATE groups SET properties = $2 WHERE name = $1", args{name, object(properties)})
}

// DeleteGroup implements [hub.GroupStore]; who belongs to it, and what is shared with it, goes by the foreign keys.
func (s *Store) DeleteGroup(ctx context.Context, name string) error {
	return s.oneGroup(ctx, "delete group", "DELETE FROM groups WHERE name = $1", args{name})
}

// oneGroup runs a statement that touches one group, or is hub.ErrNotFound.
func (s *Store) oneGroup(ctx context.Context, what, query string, a args) error {
	n, err := s.exec(ctx, what, query, a)
	if err == nil && n == 0 {
		err = fmt.Errorf("store: %s: %w", what, hub.ErrNotFound)
	}
	return err
}

// AddMembers implements [hub.GroupStore]. That the users exist is said by the foreign key.
func (s *Store) AddMembers(ctx context.Context, group string, userIDs []string) error {
	return s.atomic(ctx, func(tx *Store) error {
		id, err := tx.groupID(ctx, group)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, "add members", `
			INSERT INTO group_members (user_id, group_id) SELECT DISTINCT value->>0, CAST($2 AS BIGINT) FROM `+tx.db.elements+`($1)
			WHERE TRUE ORDER BY 1 ON CONFLICT DO NOTHING`, args{list(userIDs), id})
		return err
	})
}

// RemoveMembers implements [hub.GroupStore].
func (s *Store) RemoveMembers(ctx context.Context, group string, userIDs []string) error {
	return s.atomic(ctx, func(tx *Store) error {
		id, err := tx.groupID(ctx, group)
		if err != nil {
			return err
		}
		ids := "(SELECT value->>0 FROM " + tx.db.elements + "($1))"
		known, err := tx.count(ctx, "count users", "SELECT count(*) FROM users WHERE id IN "+ids, args{list(userIDs)})
		if err != nil {
			return err
		}
		if known != len(distinct(userIDs)) {
			return fmt.Errorf("store: remove members: %w", hub.ErrNotFound)
		}
		_, err = tx.exec(ctx, "remove members", "DELETE FROM group_members WHERE group_id = $2 AND user_id IN "+ids, args{list(userIDs), id})
		return err
	})
}

func (s *Store) groupID(ctx context.Context, name string) (id int64, err error) {
	err = s.byKey(ctx, "find group", "SELECT id FROM groups WHERE name = $1", args{name}, &id)
	return id, err
}

func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

const noProperties = "{}"

// object is what a JSON object is stored as.
func object(o json.RawMessage) string {
	if len(o) == 0 {
		return noProperties
	}
	return string(o)
}

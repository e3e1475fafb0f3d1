package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// sharedWith is a column of the user u: what is shared with them or with a group of theirs. Where nobody shares anything, as at many hubs, it costs next to
// nothing; who has nothing shared elsewhere costs a look into two indexes.
//
// A share holds names of scopes and no names of servers, which may change, so each element is the scopes' JSON with the server's full name after it.
func sharedWith(d dialect) string {
	const with = "SELECT sh.scopes, sh.server_id FROM "
	return `CASE WHEN EXISTS (SELECT 1 FROM shares) THEN (
		SELECT ` + d.array + `(x.scopes || o.name || '/' || v.name)
		FROM (
			` + with + `shares sh WHERE sh.user_id = u.id
			UNION ALL
			` + with + `group_members m JOIN shares sh ON sh.group_id = m.group_id WHERE m.user_id = u.id
		) x JOIN servers v ON v.id = x.server_id JOIN users o ON o.id = v.user_id
	) END`
}

// sharedOf scans a column of sharedWith as raw scopes, sorted, each once.
type sharedOf struct{ raw *[]string }

// Scan implements [database/sql.Scanner].
func (c sharedOf) Scan(v any) error {
	var text string
	if err := (textOf{&text}).Scan(v); err != nil {
		return err
	}
	return c.read(text)
}

func (c sharedOf) read(text string) error {
	*c.raw = nil
	if text == "" {
		return nil
	}
	var shares []string
	if err := (wordsOf{&shares}).read(text); err != nil {
		return err
	}
	for _, share := range shares {
		names, server, _ := strings.Cut(share, "]") // no scope's name has one
		var scopes []string
		if err := json.Unmarshal([]byte(names+"]"), &scopes); err != nil {
			return fmt.Errorf("read the scopes of a share: %w", err)
		}
		for _, name := range scopes {
			*c.raw = append(*c.raw, name+"!server="+server)
		}
	}
	slices.Sort(*c.raw)
	*c.raw = slices.Compact(*c.raw)
	return nil
}

// PutShare implements [hub.ShareStore].
func (s *Store) PutShare(ctx context.Context, serverID, userID, group string, scopes []string, now time.Time) (hub.Share, error) {
	names, err := words(scopes)
	if err != nil {
		return hub.Share{}, err
	}
	column, grantee := "user_id", "SELECT id FROM users WHERE id = $2"
	with := userID
	if userID == "" {
		column, grantee, with = "group_id", "SELECT id FROM groups WHERE name = $2", group
	}
	var made hub.Share
	err = s.atomic(ctx, func(tx *Store) error {
		var id int64
		// Who it is with is looked up and not just referred to, so that a user who is gone is told from a group by nothing but the column.
		err := tx.returning(ctx, "put share", `
			INSERT INTO shares (server_id, `+column+`, scopes, created)
			SELECT $1, g.id, $3, CAST($4 AS BIGINT) FROM (`+grantee+`) g WHERE true
			ON CONFLICT (`+column+`, server_id) WHERE `+column+` IS NOT NULL DO UPDATE SET scopes = excluded.scopes
			RETURNING id`, args{serverID, with, names, micros(now)}, &id)
		if err != nil {
			return err
		}
		found, _, err := tx.Shares(ctx, hub.ShareQuery{ID: id})
		if err == nil {
			made = found[0]
		}
		return err
	})
	return made, err
}

const sharesFrom = `shares sh JOIN servers v ON v.id = sh.server_id JOIN users o ON o.id = v.user_id
	LEFT JOIN users u ON u.id = sh.user_id LEFT JOIN groups g ON g.id = sh.group_id`

// Shares implements [hub.ShareStore].
func (s *Store) Shares(ctx context.Context, q hub.ShareQuery) ([]hub.Share, int, error) {
	where, a := s.shareFilter(q)
	limit, offset := page(q.Limit, q.Offset)
	shares, err := all(ctx, s, "list shares", fmt.Sprintf(`
		SELECT sh.id, sh.server_id, o.name, v.name, v.state = 'ready', u.name, g.name, sh.scopes, sh.created
		FROM %s WHERE %s ORDER BY sh.id LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)`, sharesFrom, where, len(a)+1, len(a)+2), append(slices.Clip(a), limit, offset),
		func(scan scanner) (sh hub.Share, err error) {
			err = scan(&sh.ID, &sh.ServerID, &sh.UserName, &sh.ServerName, &sh.Ready, textOf{&sh.User}, textOf{&sh.Group}, wordsOf{&sh.Scopes}, timeOf{&sh.Created})
			return sh, err
		})
	if err != nil {
		return nil, 0, err
	}
	total, err := s.total(ctx, len(shares), limit, offset, sharesFrom+" WHERE "+where, a)
	return shares, total, err
}

func (s *Store) shareFilter(q hub.ShareQuery) (where string, a args) {
	conditions := []string{"true"}
	add := func(condition string, value any) string {
		a = append(a, value)
		return fmt.Sprintf(condition, len(a))
	}
	if q.ID != 0 {
		conditions = append(conditions, add("sh.id = $%d", q.ID))
	}
	if q.OwnerID != "" {
		conditions = append(conditions, add("v.user_id = $%d", q.OwnerID))
	}
	if q.ServerID != "" {
		conditions = append(conditions, add("sh.server_id = $%d", q.ServerID))
	}
	var with []string
	if q.UserID != "" {
		with = append(with, add("sh.user_id = $%d", q.UserID))
	}
	if q.Groups != nil {
		with = append(with, add("sh.group_id IN (SELECT id FROM groups WHERE name IN (SELECT value->>0 FROM "+s.db.elements+"($%d)))", list(q.Groups)))
	}
	if q.Either && len(with) > 1 { // a union, because Postgres looks at every row for an "or" over two indexes
		with = []string{"sh.id IN (SELECT id FROM shares sh WHERE " + strings.Join(with, " UNION SELECT id FROM shares sh WHERE ") + ")"}
	}
	return strings.Join(append(conditions, with...), " AND "), a
}

// DeleteShare implements [hub.ShareStore].
func (s *Store) DeleteShare(ctx context.Context, id int64) error {
	_, err := s.exec(ctx, "delete share", "DELETE FROM shares WHERE id = $1", args{id})
	return err
}

// DeleteSharesOfServer implements [hub.ShareStore].
func (s *Store) DeleteSharesOfServer(ctx context.Context, serverID string) (int, error) {
	return s.exec(ctx, "delete shares of a server", "DELETE FROM shares WHERE server_id = $1", args{serverID})
}

// CreateShareCode implements [hub.ShareStore].
func (s *Store) CreateShareCode(ctx context.Context, c hub.ShareCode) (hub.ShareCode, error) {
	scopes, err := words(c.Scopes)
	if err != nil {
		return hub.ShareCode{}, err
	}
	err = s.atomic(ctx, func(tx *Store) error {
		err := tx.returning(ctx, "create share code", `
			INSERT INTO share_codes (server_id, hash, scopes, created, expires, exchange_count, last_exchanged)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
			args{c.ServerID, c.Hash, scopes, micros(c.Created), c.Expires.UnixMicro(), c.Exchanges, micros(c.LastExchanged)}, &c.ID)
		if isNothing(err) {
			return fmt.Errorf("store: create share code: %w", hub.ErrExists)
		}
		if err != nil {
			return err
		}
		c, err = tx.ShareCodeByHash(ctx, c.Hash)
		return err
	})
	if err != nil {
		return hub.ShareCode{}, err
	}
	return c, nil
}

const (
	codesFrom  = "share_codes c JOIN servers v ON v.id = c.server_id JOIN users o ON o.id = v.user_id"
	codesShown = "SELECT c.id, c.server_id, o.name, v.name, v.state = 'ready', c.hash, c.scopes, c.created, c.expires, c.exchange_count, c.last_exchanged FROM " + codesFrom
)

func shareCodeFields(c *hub.ShareCode) []any {
	return []any{
		&c.ID, &c.ServerID, &c.UserName, &c.ServerName, &c.Ready, &c.Hash, wordsOf{&c.Scopes}, timeOf{&c.Created}, timeOf{&c.Expires},
		&c.Exchanges, timeOf{&c.LastExchanged},
	}
}

// ShareCodes implements [hub.ShareStore].
func (s *Store) ShareCodes(ctx context.Context, q hub.ShareCodeQuery) ([]hub.ShareCode, int, error) {
	conditions, a := []string{"c.expires > $1"}, args{q.Now.UnixMicro()}
	if q.OwnerID != "" {
		a = append(a, q.OwnerID)
		conditions = append(conditions, fmt.Sprintf("v.user_id = $%d", len(a)))
	}
	if q.ServerID != "" {
		a = append(a, q.ServerID)
		conditions = append(conditions, fmt.Sprintf("c.server_id = $%d", len(a)))
	}
	where := " WHERE " + strings.Join(conditions, " AND ")
	limit, offset := page(q.Limit, q.Offset)
	codes, err := all(ctx, s, "list share codes", fmt.Sprintf("%s%s ORDER BY c.id LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)", codesShown, where, len(a)+1, len(a)+2),
		append(slices.Clip(a), limit, offset), func(scan scanner) (c hub.ShareCode, err error) {
			err = scan(shareCodeFields(&c)...)
			return c, err
		})
	if err != nil {
		return nil, 0, err
	}
	total, err := s.total(ctx, len(codes), limit, offset, codesFrom+where, a)
	return codes, total, err
}

// ShareCodeByHash implements [hub.ShareStore].
func (s *Store) ShareCodeByHash(ctx context.Context, hash []byte) (hub.ShareCode, error) {
	var c hub.ShareCode
	err := s.byKey(ctx, "find share code", codesShown+" WHERE c.hash = $1", args{hash}, shareCodeFields(&c)...)
	return c, err
}

// CountExchange implements [hub.ShareStore].
func (s *Store) CountExchange(ctx context.Context, id int64, now time.Time) error {
	n, err := s.exec(ctx, "count an exchange", "UPDATE share_codes SET exchange_count = exchange_count + 1, last_exchanged = $2 WHERE id = $1",
		args{id, micros(now)})
	if err == nil && n == 0 {
		err = fmt.Errorf("store: count an exchange: %w", hub.ErrNotFound)
	}
	return err
}

// DeleteShareCodes implements [hub.ShareStore].
func (s *Store) DeleteShareCodes(ctx context.Context, serverID string, id int64, hash []byte) (int, error) {
	query, a := "DELETE FROM share_codes WHERE server_id = $1", args{serverID}
	switch {
	case id != 0:
		query, a = query+" AND id = $2", append(a, id)
	case hash != nil:
		query, a = query+" AND hash = $2", append(a, hash)
	}
	return s.exec(ctx, "delete share codes", query, a)
}

// DeleteShareCodesBefore implements [hub.ShareStore].
func (s *Store) DeleteShareCodesBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "delete old share codes", "DELETE FROM share_codes WHERE expires < $1", args{then.UnixMicro()})
}

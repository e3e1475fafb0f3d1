package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	volumeColumns = `id, share, user_id, user_name, server_name, group_name, name, profile, kind, source, node, node_id, capacity_mb,
		retain, grace, created, last_used, released, delete_after, state, note, revision`
	liveVolumes = " state IN ('making', 'ready') "
)

func volumeFields(v *hub.Volume) []any {
	return []any{
		&v.ID, (*string)(&v.Share), &v.UserID, &v.UserName, &v.ServerName, &v.Group, &v.Name, &v.Profile, (*string)(&v.Kind), &v.Source,
		&v.Node, &v.NodeID, &v.CapacityMB, (*string)(&v.Retain), spanOf{&v.Grace}, timeOf{&v.Created}, timeOf{&v.LastUsed},
		timeOf{&v.Released}, timeOf{&v.DeleteAfter}, (*string)(&v.State), &v.Note, &v.Revision,
	}
}

// CreateVolume implements [hub.VolumeStore].
func (s *Store) CreateVolume(ctx context.Context, v hub.Volume) error {
	return s.mustWrite(ctx, "create volume", "INSERT INTO volumes ("+volumeColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
		ON CONFLICT DO NOTHING`,
		args{
			v.ID, string(v.Share), v.UserID, v.UserName, v.ServerName, v.Group, v.Name, v.Profile, string(v.Kind), v.Source,
			v.Node, v.NodeID, v.CapacityMB, string(v.Retain), v.Grace.Microseconds(), micros(v.Created), micros(v.LastUsed),
			micros(v.Released), micros(v.DeleteAfter), string(v.State), v.Note, v.Revision,
		})
}

// VolumeByID implements [hub.VolumeStore].
func (s *Store) VolumeByID(ctx context.Context, id string) (v hub.Volume, err error) {
	err = s.byKey(ctx, "find volume", "SELECT "+volumeColumns+" FROM volumes WHERE id = $1", args{id}, volumeFields(&v)...)
	return v, err
}

// VolumeByOwner implements [hub.VolumeStore].
func (s *Store) VolumeByOwner(ctx context.Context, o hub.VolumeOwner) (v hub.Volume, err error) {
	err = s.byKey(ctx, "find volume", "SELECT "+volumeColumns+` FROM volumes
		WHERE share = $1 AND user_id = $2 AND server_name = $3 AND group_name = $4 AND name = $5 AND`+liveVolumes,
		args{string(o.Share), o.UserID, o.ServerName, o.Group, o.Name}, volumeFields(&v)...)
	return v, err
}

// Volumes implements [hub.VolumeStore].
func (s *Store) Volumes(ctx context.Context, q hub.VolumeQuery) ([]hub.Volume, int, error) {
	where, a := s.volumeFilter(q)
	limit, offset := page(q.Limit, q.Offset)
	volumes, err := all(ctx, s, "list volumes",
		fmt.Sprintf("SELECT "+volumeColumns+" FROM volumes %s ORDER BY id LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)", where, len(a)+1, len(a)+2),
		append(slices.Clip(a), limit, offset),
		func(scan scanner) (v hub.Volume, err error) { return v, scan(volumeFields(&v)...) })
	if err != nil {
		return nil, 0, err
	}
	total, err := s.total(ctx, len(volumes), limit, offset, "volumes "+where, a)
	return volumes, total, err
}

func (s *Store) volumeFilter(q hub.VolumeQuery) (string, args) {
	var a args
	place := func(v any) string {
		a = append(a, v)
		return fmt.Sprintf("$%d", len(a))
	}
	var whose, conditions []string
	if q.UserID != "" {
		whose = append(whose, "user_id = "+place(q.UserID))
	}
	if len(q.Groups) > 0 {
		whose = append(whose, "share = 'group' AND group_name IN (SELECT value->>0 FROM "+s.db.elements+"("+place(list(q.Groups))+"))")
	}
	if q.Common {
		whose = append(whose, "share = 'all'")
	}
	if len(whose) > 0 {
		conditions = append(conditions, "("+strings.Join(whose, " OR ")+")")
	}
	if q.ServerID != "" {
		conditions = append(conditions, "id IN (SELECT volume_id FROM volume_uses WHERE server_id = "+place(q.ServerID)+")")
	}
	if q.States != nil {
		places := []string{"NULL"} // no states: in none of them
		for _, state := range q.States {
			places = append(places, place(string(state)))
		}
		conditions = append(conditions, "state IN ("+strings.Join(places, ", ")+")")
	}
	if !q.DueBefore.IsZero() {
		conditions = append(conditions, "delete_after <= "+place(q.DueBefore.UnixMicro()))
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), a
}

// UpdateVolume implements [hub.VolumeStore].
func (s *Store) UpdateVolume(ctx context.Context, v hub.Volume) (written hub.Volume, err error) {
	err = s.guarded(ctx, func(tx *Store) error {
		return tx.returning(ctx, "update volume", `
			UPDATE volumes SET share = $3, user_id = $4, user_name = $5, server_name = $6, group_name = $7, name = $8, profile = $9,
				kind = $10, source = $11, node = $12, node_id = $13, capacity_mb = $14, retain = $15, grace = $16, released = $17,
				delete_after = $18, state = $19, note = $20, revision = revision + 1
			WHERE id = $1 AND revision = $2 RETURNING `+volumeColumns,
			args{
				v.ID, v.Revision, string(v.Share), v.UserID, v.UserName, v.ServerName, v.Group, v.Name, v.Profile, string(v.Kind),
				v.Source, v.Node, v.NodeID, v.CapacityMB, string(v.Retain), v.Grace.Microseconds(), micros(v.Released),
				micros(v.DeleteAfter), string(v.State), v.Note,
			}, volumeFields(&written)...)
	})
	if !isNothing(err) {
		return written, err
	}
	switch _, err := s.VolumeByID(ctx, v.ID); {
	case err == nil:
		return hub.Volume{}, fmt.Errorf("store: update volume: %w", hub.ErrStale)
	case errors.Is(err, hub.ErrNotFound):
		return hub.Volume{}, fmt.Errorf("store: update volume: %w", hub.ErrNotFound)
	default:
		return hub.Volume{}, err
	}
}

// DeleteVolume implements [hub.VolumeStore]; its uses go by the foreign key.
func (s *Store) DeleteVolume(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "delete volume", "DELETE FROM volumes WHERE id = $1", args{id})
	return err
}

// ReleaseVolumes implements [hub.VolumeStore].
func (s *Store) ReleaseVolumes(ctx context.Context, userID string, serverName *string, now time.Time) (int, error) {
	a := args{userID, now.UnixMicro()}
	which := ""
	if serverName != nil {
		which, a = " AND share = 'server' AND server_name = $3", append(a, *serverName)
	}
	return s.exec(ctx, "release volumes", `
		UPDATE volumes SET state = 'released', released = CAST($2 AS BIGINT), revision = revision + 1, delete_after = CASE retain
			WHEN 'delete' THEN CAST($2 AS BIGINT)
			WHEN 'grace' THEN CAST($2 AS BIGINT) + grace
			ELSE NULL END
		WHERE user_id = $1 AND share IN ('user', 'server') AND`+liveVolumes+which, a)
}

// UseVolume implements [hub.VolumeStore].
func (s *Store) UseVolume(ctx context.Context, volumeID, serverID string, generation int64, now time.Time) error {
	return s.atomic(ctx, func(tx *Store) error {
		_, err := tx.exec(ctx, "note the use of a volume", `
			INSERT INTO volume_uses (volume_id, server_id, generation) VALUES ($1, $2, $3)
			ON CONFLICT (volume_id, server_id) DO UPDATE SET generation = excluded.generation`, args{volumeID, serverID, generation})
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, "note the use of a volume", "UPDATE volumes SET last_used = $2 WHERE id = $1", args{volumeID, micros(now)})
		return err
	})
}

// VolumeUses implements [hub.VolumeStore].
func (s *Store) VolumeUses(ctx context.Context, volumeIDs []string) ([]hub.VolumeUse, error) {
	if len(volumeIDs) == 0 {
		return nil, nil
	}
	which, a := s.idsIn(volumeIDs)
	return all(ctx, s, "list the uses of volumes", `
		SELECT v.volume_id, s.id, u.name, s.name, s.state <> 'stopped' AND s.generation = v.generation
		FROM volume_uses v JOIN servers s ON s.id = v.server_id JOIN users u ON u.id = s.user_id
		WHERE v.volume_id IN (`+which+`) ORDER BY v.volume_id, s.id`, a,
		func(scan scanner) (v hub.VolumeUse, err error) {
			return v, scan(&v.VolumeID, &v.ServerID, &v.UserName, &v.ServerName, &v.Active)
		})
}

// fewIDs is how many IDs are written out, because the planner then knows how few there are.
const fewIDs = 20

// idsIn is what stands in parentheses after IN, with its arguments.
func (s *Store) idsIn(ids []string) (string, args) {
	if len(ids) > fewIDs {
		return "SELECT value->>0 FROM " + s.db.elements + "($1)", args{list(ids)}
	}
	places, a := make([]string, len(ids)), make(args, len(ids))
	for i, id := range ids {
		places[i], a[i] = fmt.Sprintf("$%d", i+1), id
	}
	return strings.Join(places, ", "), a
}

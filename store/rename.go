package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// RenameUser implements [hub.RenameStore].
func (s *Store) RenameUser(ctx context.Context, id, name string) error {
	return s.atomic(ctx, func(tx *Store) error {
		u, err := tx.UserByID(ctx, id)
		if err != nil {
			return err
		}
		err = tx.guarded(ctx, func(tx *Store) error {
			_, err := tx.exec(ctx, "rename user", "UPDATE users SET name = $2, name_folded = $3 WHERE id = $1", args{id, name, strings.ToLower(name)})
			return err
		})
		if err != nil {
			return err
		}
		for _, query := range []string{
			"UPDATE volumes SET user_name = $2, revision = revision + 1 WHERE user_id = $1",
			"UPDATE usage_runs SET user_name = $2 WHERE user_id = $1",
		} {
			if _, err := tx.exec(ctx, "rename whose something is", query, args{id, name}); err != nil {
				return err
			}
		}
		return tx.renameInScopes(ctx, hub.RenameOfUser(u.Name, name))
	})
}

// ServerRenamed implements [hub.RenameStore].
func (s *Store) ServerRenamed(ctx context.Context, id, from string) error {
	return s.atomic(ctx, func(tx *Store) error {
		v, err := tx.ServerByID(ctx, id)
		if err != nil {
			return err
		}
		err = tx.guarded(ctx, func(tx *Store) error {
			_, err := tx.exec(ctx, "rename the server of volumes", `
				UPDATE volumes SET server_name = $3, revision = revision + 1
				WHERE user_id = $1 AND share = 'server' AND server_name = $2 AND`+liveVolumes, args{v.UserID, from, v.Name})
			return err
		})
		if err != nil {
			return err
		}
		return tx.renameInScopes(ctx, hub.RenameOfServer(v.UserName, from, v.Name))
	})
}

// renameInScopes changes the tables that hold scopes which somebody was given. Those of shares are limited to their server when they are read, and what services and roles
// may ask for is the operator's text and is left alone.
func (s *Store) renameInScopes(ctx context.Context, r hub.Rename) error {
	for _, of := range [][2]string{{"tokens", "id"}, {"oauth_codes", "hash"}} {
		if err := s.renameInTable(ctx, of[0], of[1], r); err != nil {
			return err
		}
	}
	return nil
}

// renameInTable reads the rows that may speak of the old name, and writes those that do.
func (s *Store) renameInTable(ctx context.Context, table, key string, r hub.Rename) error {
	type row struct {
		key    any
		scopes []string
	}
	var conditions []string
	var a args
	for _, trace := range r.Traces() {
		text, err := json.Marshal(trace) // as it stands in the column
		if err != nil {
			return err
		}
		a = append(a, "%"+likeEscaper.Replace(string(text[1:len(text)-1]))+"%")
		conditions = append(conditions, fmt.Sprintf(`scopes LIKE $%d ESCAPE '\'`, len(a)))
	}
	rows, err := all(ctx, s, "find scopes that name somebody", "SELECT "+key+", scopes FROM "+table+" WHERE "+strings.Join(conditions, " OR "), a,
		func(scan scanner) (v row, err error) { return v, scan(&v.key, wordsOf{&v.scopes}) })
	if err != nil {
		return err
	}
	for _, v := range rows {
		changed := false
		for i, raw := range v.scopes {
			v.scopes[i] = r.In(raw)
			changed = changed || v.scopes[i] != raw
		}
		if !changed {
			continue
		}
		text, err := words(v.scopes)
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, "rename in scopes", "UPDATE "+table+" SET scopes = $2 WHERE "+key+" = $1", args{v.key, text}); err != nil {
			return err
		}
	}
	return nil
}

// likeEscaper takes their meaning from the characters that have one in a pattern.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

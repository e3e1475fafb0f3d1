package store

import (
	"context"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// Enroll implements [hub.UserStore]. Where one statement can write to several tables it is one journey: of a class that comes for the first time, everybody makes it.
func (s *Store) Enroll(ctx context.Context, u hub.User, provider, subject string, v hub.Session) error {
	if s.depth > 0 || !s.db.nests || len(u.Groups) > 0 {
		return s.atomic(ctx, func(tx *Store) error {
			if err := tx.CreateUser(ctx, u); err != nil {
				return err
			}
			if err := tx.LinkIdentity(ctx, u.ID, provider, subject); err != nil {
				return err
			}
			return tx.CreateSession(ctx, v)
		})
	}
	roles, err := words(u.Roles)
	if err != nil {
		return err
	}
	defer s.db.places.forget() // also if it is not known whether it took place
	_, err = s.exec(ctx, "enroll", `
		WITH newcomer AS (
			INSERT INTO users (id, name, name_folded, admin, created, last_activity, roles) VALUES ($1, $2, $3, $4, $5, $6, $7)
		), link AS (
			INSERT INTO identities (provider, subject, user_id) VALUES ($8, $9, $1)
		)
		INSERT INTO sessions (`+sessionColumns+`) VALUES ($10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		append(args{u.ID, u.Name, strings.ToLower(u.Name), u.Admin, micros(u.Created), micros(u.LastActivity), roles, provider, subject}, sessionArgs(v)...))
	return err
}

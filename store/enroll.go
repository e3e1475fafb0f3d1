package store

import (
	"context"

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
			INSERT INTO users (`+newUserColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		), link AS (
			INSERT INTO identities (provider, subject, user_id, sole) VALUES ($8, $9, $1, TRUE)
		)
		INSERT INTO sessions (`+sessionColumns+`) VALUES ($10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		append(append(userArgs(u, roles), provider, subject), sessionArgs(v)...))
	return err
}

// Welcome implements [hub.UserStore]. Two at the same moment, neither of which sees the other, are told apart by the index of those who were the first; and who gets another
// name at this moment does so before, or waits.
func (s *Store) Welcome(ctx context.Context, u hub.User, provider, subject string, v hub.Session) error {
	const first = `
		INSERT INTO identities (provider, subject, user_id, sole)
		SELECT $1, $2, id, TRUE FROM account WHERE NOT EXISTS (SELECT 1 FROM identities WHERE user_id = $3)`
	who := args{provider, subject, u.ID, u.Name}
	if s.depth > 0 || !s.db.nests {
		return s.atomic(ctx, func(tx *Store) error {
			const account = "WITH account AS (SELECT id FROM users WHERE id = $3 AND name = $4)"
			if err := tx.mustWrite(ctx, "vouch for a user", account+first+" ON CONFLICT DO NOTHING", who); err != nil {
				return err
			}
			return tx.CreateSession(ctx, v)
		})
	}
	return s.mustWrite(ctx, "welcome", `
		WITH account AS (SELECT id FROM users WHERE id = $3 AND name = $4 FOR SHARE), link AS (`+first+` RETURNING user_id)
		INSERT INTO sessions (`+sessionColumns+`)
		SELECT $5, $6, $7, $8, $9, $10, CAST($11 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS BIGINT) FROM link`, append(who, sessionArgs(v)...))
}

package store

import (
	"context"
	"fmt"

	"github.com/nomadhub/nomadhub/hub"
)

// LinkIdentity implements [hub.UserStore]. A user has one subject of each provider; a second one is [hub.ErrExists] too, because
// to replace the first would be to hand over the account.
func (s *Store) LinkIdentity(ctx context.Context, userID, provider, subject string) error {
	n, err := s.exec(ctx, "link identity",
		"INSERT INTO identities (provider, subject, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		args{provider, subject, userID})
	if err == nil && n == 0 {
		err = fmt.Errorf("store: link identity: %w", hub.ErrExists)
	}
	return err
}

// Identities implements [hub.UserStore].
func (s *Store) Identities(ctx context.Context, userID string) (map[string]string, error) {
	rows, err := all(ctx, s, "list identities", "SELECT provider, subject FROM identities WHERE user_id = $1", args{userID},
		func(scan scanner) (r [2]string, err error) { return r, scan(&r[0], &r[1]) })
	if err != nil {
		return nil, err
	}
	subjects := make(map[string]string, len(rows))
	for _, r := range rows {
		subjects[r[0]] = r[1]
	}
	return subjects, nil
}

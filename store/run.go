package store

import (
	"context"

	"github.com/nomadhub/nomadhub/hub"
)

// UpdateServerAndOpenRun implements [hub.UsageStore].
func (s *Store) UpdateServerAndOpenRun(ctx context.Context, v hub.Server, r hub.UsageRun) (hub.Server, error) {
	var written hub.Server
	err := s.atomic(ctx, func(tx *Store) error {
		var err error
		if written, err = tx.UpdateServer(ctx, v); err != nil {
			return err
		}
		return tx.OpenRun(ctx, r)
	})
	if err != nil {
		return hub.Server{}, err
	}
	return written, nil
}

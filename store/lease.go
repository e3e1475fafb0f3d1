package store

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// AcquireLease implements [hub.LeaseStore]. It is one statement, so that of two at once one wins, whatever the replicas' own
// clocks say: the time is the database server's unless [Options.Now] is set.
func (s *Store) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, fence int64, err error) {
	if holder == "" || ttl <= 0 {
		return false, 0, hub.Errorf(hub.Invalid, "A lease needs a holder and a time to live.")
	}
	var now any
	if s.db.now != nil {
		now = s.db.now().UnixMicro()
	}
	// The new row's end less the time to live is the present time, in the one reading of the clock.
	err = s.returning(ctx, "acquire lease", `
		INSERT INTO leases (name, holder, fence, expires)
		VALUES ($1, $2, 1, COALESCE(CAST($3 AS BIGINT), `+s.db.dialect.now+`) + CAST($4 AS BIGINT))
		ON CONFLICT (name) DO UPDATE SET
			fence = leases.fence + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END,
			holder = excluded.holder,
			expires = excluded.expires
		WHERE leases.holder = excluded.holder OR leases.expires <= excluded.expires - CAST($4 AS BIGINT)
		RETURNING fence`,
		args{name, holder, now, ttl.Microseconds()}, &fence)
	if isNothing(err) {
		return false, 0, nil // somebody else has it
	}
	return err == nil, fence, err
}

// ReleaseLease implements [hub.LeaseStore]. The row stays, so that the number of the next holder is higher.
func (s *Store) ReleaseLease(ctx context.Context, name, holder string) error {
	_, err := s.exec(ctx, "release lease", "UPDATE leases SET holder = '', expires = 0 WHERE name = $1 AND holder = $2",
		args{name, holder})
	return err
}

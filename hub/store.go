package hub

import (
	"context"
	"time"
)

// Store is where intent is kept. Functions ask for the small interface that they need.
//
// Rows that do not exist are ErrNotFound, keys that are taken ErrExists. Times are kept to the microsecond and come back in UTC;
// the zero time comes back as the zero time.
type Store interface {
	UserStore
	SessionStore
	TokenStore
	ServerStore
	QueueStore
	OAuthStore
	LeaseStore
	UsageStore
	CullStore
	VolumeStore
	ServiceStore
	AuditStore
	CensusStore
	GroupStore
	ShareStore

	// InTx runs fn in one transaction, which is undone if fn fails. fn may run more than once, so it has no side effects, and
	// it makes no network call but to the store it is handed.
	InTx(ctx context.Context, fn func(Store) error) error
	// Ping tells whether the database answers.
	Ping(ctx context.Context) error
}

// LeaseStore lets one replica at a time hold a named lease.
type LeaseStore interface {
	// AcquireLease takes or renews the lease for ttl from now. It tells whether the holder has it, and a number that rises each
	// time that the lease changes hands, with which the holder's writes can be fenced.
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, fence int64, err error)
	// ReleaseLease gives it back; nil if the holder did not have it.
	ReleaseLease(ctx context.Context, name, holder string) error
}

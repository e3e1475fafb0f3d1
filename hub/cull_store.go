package hub

import (
	"context"
	"time"
)

// CullQuery selects running servers about which something may have to be decided. Each condition adds servers.
type CullQuery struct {
	UsedBefore    time.Time // last used before then; zero: no such condition
	StartedBefore time.Time // started before then; zero: no such condition
	// Now is what servers are held against whose profile has limits of its own, from half of the idle time on, and Lead before the age.
	Now  time.Time
	Lead time.Duration
}

// CullCandidate is a server with what the rules look at.
type CullCandidate struct {
	Server
	Admin  bool
	Groups []string
}

// CullStore keeps what culling depends on.
type CullStore interface {
	// CullCandidates returns servers that are ready and may be past a rule, or that have a notice of [NoticeIdle] or [NoticeAge], by ID.
	CullCandidates(ctx context.Context, q CullQuery) ([]CullCandidate, error)
	// WatchActivity says that this replica has written all that its proxy saw until now, without a gap since began.
	WatchActivity(ctx context.Context, replica string, began, now time.Time) error
	// UnwatchActivity says that this replica's proxy has ended, and that all it saw is written.
	UnwatchActivity(ctx context.Context, replica string) error
	// ActivityWatched tells since when what all proxies saw is written without a gap, and how late the latest replica is to say so. Replicas that
	// have said nothing for so long are taken for dead, which is a gap that ends now. Both are zero if there is no replica.
	ActivityWatched(ctx context.Context, now time.Time, forget time.Duration) (began, seen time.Time, err error)
}

package hub

import (
	"context"
	"time"
)

// QueueStore is what the queue of starts asks of the database.
type QueueStore interface {
	// Exclusive runs fn in one transaction, at no time at which another call of Exclusive runs under the same name, on any replica. fn sees all that
	// those before it wrote. As with InTx, fn may run more than once.
	Exclusive(ctx context.Context, name string, fn func(Store) error) error
	// CountStarts counts the starts of all.
	CountStarts(ctx context.Context) (StartCount, error)
	// CountActive says how many servers were let through and have not stopped.
	CountActive(ctx context.Context) (int, error)
	// LoadOfGroups is what counts against the limits of these groups; nil: of all groups that have members with active servers, and under "" of
	// those who are in no group.
	LoadOfGroups(ctx context.Context, names []string) (map[string]Load, error)
	// Starts are the starts under way, by the time since when they are queued, then by ID.
	Starts(ctx context.Context) ([]QueuedStart, error)
	// GroupsOfWaiting are the groups of everybody whose start was not let through, by user ID, sorted.
	GroupsOfWaiting(ctx context.Context) (map[string][]string, error)
	// Revisions are the present revisions of those of the servers that there are.
	Revisions(ctx context.Context, ids []string) (map[string]int64, error)
	// AdmitStarts lets those of the starts through that still wait, and returns which those were.
	AdmitStarts(ctx context.Context, ids []string, now time.Time) ([]string, error)
}

// StartCount counts starts under way.
type StartCount struct {
	Starting int // let through, and not waiting for room in the cluster
	Blocked  int // let through, and waiting for room in the cluster
	Waiting  int // not let through
}

// QueuedStart is a start under way, as the queue looks at it.
type QueuedStart struct {
	ID, UserID string
	Queued     time.Time
	Admitted   bool
	Blocked    bool   // the cluster has no room for it
	Placed     bool   // it has a place on a machine
	Pool       string // the node pool; "" is the cluster's default
}

package hub

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/hub/budget"
)

// UsageRun is one run of one server, as the ledger of usage keeps it. Names and groups are those of the time, and stay when user and server go.
// A run is the server's ID, generation and instance: however often it is written, it is one run.
type UsageRun struct {
	ID         string
	ServerID   string
	ServerName string
	UserID     string
	UserName   string
	Groups     []string // sorted; the user's when the run began
	Profile    string
	Generation int64
	Instance   string
	MemoryMB   int64
	Cores      float64
	Devices    int
	Held       *Held // in full; nil: not known
	Began      time.Time
	Ended      time.Time // zero: it runs
	Reason     string    // why it ended, a sentence; may be empty
}

// RunKey names a run.
type RunKey struct {
	ServerID   string
	Generation int64
	Instance   string
}

// Key names the run.
func (r UsageRun) Key() RunKey { return RunKey{r.ServerID, r.Generation, r.Instance} }

// UsageBy says over what usage is summed up.
type UsageBy string

// What usage is summed up over.
const (
	UsageInAll     UsageBy = ""
	UsageByUser    UsageBy = "user"
	UsageByGroup   UsageBy = "group" // a run counts for each group that its user was in, and for "" if in none
	UsageByProfile UsageBy = "profile"
)

// UsageQuery selects runs that reach into a period. Only what lies within it is counted.
type UsageQuery struct {
	From, To time.Time // To is excluded
	Now      time.Time // what is later is yet to come, and not counted; zero: nothing is
	UserIDs  []string  // only of these users; nil: of all
	Groups   []string  // only of users who were in one of these groups; nil: of all
	Profiles []string  // only of these profiles; nil: of all
	By       UsageBy
	Offset   int
	Limit    int // 0: no limit
}

// UsageSum is what one user, group or profile used.
type UsageSum struct {
	Key   string // the name; of a user who was renamed, one of theirs
	ID    string // of a user
	Runs  int
	Hours float64 // for how long servers ran, whatever they held
	budget.Amount
}

// UsageStore keeps the ledger of usage.
type UsageStore interface {
	// OpenRun writes down that a run began, with the groups that its user is in. Of a run that is known already, only an earlier beginning is taken over.
	OpenRun(ctx context.Context, r UsageRun) error
	// UpdateServerAndOpenRun is [ServerStore.UpdateServer] and OpenRun, both or neither.
	UpdateServerAndOpenRun(ctx context.Context, s Server, r UsageRun) (Server, error)
	// CloseRun writes down when a run ended. One that has ended already keeps its end, unless exact says that the scheduler told this one and it is
	// earlier. The unknown is nil.
	CloseRun(ctx context.Context, run RunKey, ended time.Time, exact bool, reason string) error
	// CloseRunsOf ends every open run of the server up to that generation, but for the one of the instance keep, if it is not "".
	CloseRunsOf(ctx context.Context, serverID string, generation int64, keep string, ended time.Time, reason string) error
	// OpenRuns names all that run, in no order.
	OpenRuns(ctx context.Context) ([]RunKey, error)
	// SumUsage sums up, by key.
	SumUsage(ctx context.Context, q UsageQuery) ([]UsageSum, error)
	// UsageRuns returns runs by beginning.
	UsageRuns(ctx context.Context, q UsageQuery) ([]UsageRun, error)
	// TouchUsage says that the ledger was compared with what runs.
	TouchUsage(ctx context.Context, now time.Time) error
	// UsageTouched tells when it last was; zero: never.
	UsageTouched(ctx context.Context) (time.Time, error)
	// DeleteRunsBefore removes runs that ended before then, and says how many.
	DeleteRunsBefore(ctx context.Context, then time.Time) (int, error)
}

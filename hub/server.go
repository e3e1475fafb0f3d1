package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// ServerState is where a server stands between intent and fact.
//
//	           StartServer                answered over HTTP, routed
//	Stopped ──────────────► Starting ──────────────────────────────► Ready
//	   ▲                      │  ▲                                     │
//	   │ gone                 │  └── never: a start is not resumed     │
//	   └───── Stopping ◄──────┴─────────────────────────────────────────┘
//	             StopServer, or the start failed, or the scheduler said dead
//
// Starting and Stopping are intents: whichever replica reads such a row works on it until the world matches.
type ServerState string

// The states of a server.
const (
	Stopped  ServerState = "stopped"
	Starting ServerState = "starting"
	Ready    ServerState = "ready"
	Stopping ServerState = "stopping"
)

// Server is one notebook server of one user. The default server's name is empty. Its ID never changes; jobs are named from it.
type Server struct {
	ID       string // UUID version 7
	UserID   string
	UserName string // read with the row; not written
	Name     string // "" for the default server
	// DisplayName is what its owner calls it; "": they said nothing.
	DisplayName string
	State       ServerState
	// Generation counts starts. A job, a binding or an event of another generation is not about this run.
	Generation int64
	// Revision counts writes; [ServerStore.UpdateServer] refuses one that was read before the last write.
	Revision int64
	Created  time.Time
	// Started is when the present or last run was asked for; zero: never started.
	Started      time.Time
	LastActivity time.Time // zero: never
	// LastUsed is when somebody last used it, apart from what its pages ask by themselves; zero: not since that is watched. Never after LastActivity.
	LastUsed time.Time
	// LastOutput is when it last sent a message on a websocket of its pages, which may be to nobody; zero: not since that is watched.
	LastOutput time.Time
	// IdleAfter and MaxAge are what the profile said at the start; see profile.Resolved. Kept to the microsecond.
	IdleAfter, MaxAge time.Duration
	Options           json.RawMessage // the last user_options, a JSON object; nil: none
	Profile           string          // what the present or last run was started with; "" before the first, and where there are no profiles
	// Queued is when the present start began to wait for the hub's limits; Admitted is when they let it go on. A start that is not admitted is not
	// known to the scheduler.
	Queued, Admitted time.Time
	// Wait is what a start waits for at this moment; nil: nothing, or it does not start.
	Wait *Wait
	// Held is what the present or last run holds; nil: not known.
	Held *Held
	// Notice is what the owner of a running server should know; nil: nothing.
	Notice *Notice
	// KeepUntil is until when its owner wants it to go on, whatever the rules about idle servers say; zero: nobody said so.
	KeepUntil time.Time
	// Instance, Address and Placement tell where this generation runs; see scheduler.Status. Empty before it has a place.
	Instance  string
	Address   string // host:port
	Placement uint64
	// Failure is why the last run ended, if it did not end by the user's wish.
	Failure *Failure
	// Remove asks for the row to go once the server is stopped.
	Remove bool
	// Restart is set while a server is being stopped in order to be started again, elsewhere or with other options; nil: it stays stopped.
	Restart *Restart
}

// Active tells whether the server runs, or is on its way up or down.
func (s Server) Active() bool { return s.State.Active() }

// Pending is what JupyterHub calls a transition: "spawn", "stop" or "".
func (s Server) Pending() string { return s.State.Pending() }

// Active tells whether a server in this state runs, or is on its way up or down.
func (s ServerState) Active() bool { return s != Stopped }

// Pending is what JupyterHub calls the transition of a server in this state: "spawn", "stop" or "".
func (s ServerState) Pending() string {
	switch s {
	case Starting:
		return "spawn"
	case Stopping:
		return "stop"
	case Stopped, Ready:
	}
	return ""
}

// Failure tells a person why a server ended.
type Failure struct {
	Message string          `json:"message"` // a sentence: what happened and what to do
	Cause   scheduler.Cause `json:"cause,omitempty"`
	Log     []string        `json:"log,omitempty"` // the last lines that the server printed, oldest first
	Time    time.Time       `json:"time"`
	// Offer are the user_options of a start that would not meet the same end, such as a larger profile with the same files; nil: none.
	Offer json.RawMessage `json:"offer,omitempty"`
	// Evidence is what an automatic stop was decided by, as sentences.
	Evidence []string `json:"evidence,omitempty"`
}

// Restart says how a server goes on after the stop that is under way. Its volumes are kept, and so is its place among the active servers.
type Restart struct {
	// Options are the user_options of the next run in their canonical form; nil: those of the last.
	Options json.RawMessage `json:"options,omitempty"`
	Reason  string          `json:"reason,omitempty"` // a sentence for the progress page
}

// Wait tells a person what a start waits for.
type Wait struct {
	Reason   string    `json:"reason"`             // a sentence
	Resource string    `json:"resource,omitempty"` // what is short, such as "memory"; see scheduler.Forecast
	Pool     string    `json:"pool,omitempty"`     // on which machines
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until,omitzero"`    // when it is given up; zero: not known
	Blocked  bool      `json:"blocked,omitempty"` // the cluster has no room; else the hub's limits hold it back
}

// Held are the resources of one run, for lists and for the ledger of usage.
type Held struct {
	CPU      int            `json:"cpu,omitempty"`   // MHz
	Cores    float64        `json:"cores,omitempty"` // guaranteed or reserved
	MemoryMB int64          `json:"memory_mb,omitempty"`
	DiskMB   int64          `json:"disk_mb,omitempty"`
	Devices  map[string]int `json:"devices,omitempty"`
	Pool     string         `json:"pool,omitempty"`
	Image    string         `json:"image,omitempty"`
	Node     string         `json:"node,omitempty"` // the machine, once there is one
}

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeDrain NoticeKind = "drain" // its machine is being emptied; it may move now
	NoticeLost  NoticeKind = "lost"  // the contact with its machine is lost; it may still be running
	NoticeIdle  NoticeKind = "idle"  // it will be stopped because nothing shows that it is used
	NoticeAge   NoticeKind = "age"   // it will be stopped because of its age
	NoticeUsage NoticeKind = "usage" // a limit of usage is near or reached
)

// Notice tells the owner of a running server what is about to happen.
type Notice struct {
	Kind    NoticeKind `json:"kind"`
	Message string     `json:"message"` // a sentence
	Time    time.Time  `json:"time"`
	// Until is when it happens; zero: not known.
	Until time.Time `json:"until,omitzero"`
	// Evidence is what it was decided by, as sentences.
	Evidence []string `json:"evidence,omitempty"`
}

// ServerOutline is what lists show of a server; see [Server] for the meanings.
type ServerOutline struct {
	ID, UserID, Name, DisplayName              string
	State                                      ServerState
	Generation                                 int64
	Started, LastActivity, LastUsed, KeepUntil time.Time
	Options                                    json.RawMessage
	Instance, Address                          string
	Failure                                    *Failure
	Notice                                     *Notice
}

// Title is what people call the server.
func (s ServerOutline) Title() string { return cmp.Or(s.DisplayName, s.Name) }

// Outline is the server as lists show it.
func (s Server) Outline() ServerOutline {
	return ServerOutline{
		s.ID, s.UserID, s.Name, s.DisplayName, s.State, s.Generation, s.Started, s.LastActivity, s.LastUsed, s.KeepUntil, s.Options, s.Instance, s.Address, s.Failure, s.Notice,
	}
}

// ServerBrief is what has to be known of a server to see that it runs as it should.
type ServerBrief struct {
	ID         string
	State      ServerState
	Generation int64
	Instance   string
	Notice     *Notice
}

// Brief is the server in brief.
func (s Server) Brief() ServerBrief {
	return ServerBrief{s.ID, s.State, s.Generation, s.Instance, s.Notice}
}

// ServerQuery selects servers. The zero value selects all, by ID.
type ServerQuery struct {
	UserIDs []string      // only of these users; nil: of all
	States  []ServerState // only in these states; nil: in any
	Offset  int
	Limit   int // 0: no limit
}

// Owners are users whose servers are sought.
type Owners struct {
	IDs []string // nobody, if there are none
	// Adjacent says that hardly anybody else, between the first and the last of these by ID, has a server in the states that are sought, so that the servers are found
	// in one go. Those of others between them are then returned, too.
	Adjacent bool
	// Into is a list whose place the servers take, so that its memory is used again; nil: there is none.
	Into []ServerOutline
}

// ActivityUpdate moves a server's and its owner's last activity forward.
type ActivityUpdate struct {
	UserID   string // "": the server's owner
	ServerID string // "": the user only
	Time     time.Time
	Used     time.Time // moves the server's LastUsed; zero: this is no use
	Output   time.Time // moves the server's LastOutput; zero: there was none
}

// ServerStore keeps servers.
type ServerStore interface {
	RenameStore

	// CreateServer stores a new server. ErrExists if the user has one of this name. Where s.UserName is set, it is ErrStale if its owner is no longer called so:
	// what a start prepared for one name is not for another.
	CreateServer(ctx context.Context, s Server) error
	ServerByID(ctx context.Context, id string) (Server, error)
	ServerByName(ctx context.Context, userID, name string) (Server, error)
	Servers(ctx context.Context, q ServerQuery) (servers []Server, total int, err error)
	// ServerOutlines returns the servers of these users that are in these states, by their owners' IDs and then their own; nil states: in any.
	ServerOutlines(ctx context.Context, of Owners, states []ServerState) ([]ServerOutline, error)
	// ServerBriefs returns the servers in these states, in no order. It is for who looks at all of them again and again.
	ServerBriefs(ctx context.Context, states []ServerState) ([]ServerBrief, error)
	// UpdateServer writes everything but the ID, the owner, Created and the times of activity, and returns the row with its new
	// Revision. ErrStale if the row's Revision is no longer s.Revision; ErrNotFound if it is gone.
	UpdateServer(ctx context.Context, s Server) (Server, error)
	// DeleteServer is nil for the unknown.
	DeleteServer(ctx context.Context, id string) error
	// RecordActivity moves the times forward, never back, in one statement per table; unknown IDs are skipped, and so are zero times.
	RecordActivity(ctx context.Context, updates []ActivityUpdate) error
	// CountServers says how many servers are in each state.
	CountServers(ctx context.Context) (map[ServerState]int, error)
}

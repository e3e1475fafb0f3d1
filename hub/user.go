package hub

import (
	"context"
	"time"
)

// User is a person who may use the hub. Its ID never changes; its name may.
type User struct {
	ID           string // UUID version 7, so that IDs sort by creation
	Name         string // normalised; see [NormalizeUserName]
	Admin        bool
	Groups       []string // names, sorted
	Roles        []string // names of the roles that were given at login; those of the configuration are not among them
	Shared       []string // raw scopes of servers that others share with the user or a group of theirs; read with one user, not with lists, and never written
	Created      time.Time
	LastActivity time.Time // zero: never
}

// UserQuery selects users. The zero value selects all, by ID.
type UserQuery struct {
	Names        []string    // only these; nil: all
	NameContains string      // case-insensitive substring
	Activity     UserServers // only users with such servers
	Sort         UserSort
	Descending   bool
	Offset       int
	Limit        int // 0: no limit
	// Uncounted asks for no total, which is then 0: to count takes as long as to read all.
	Uncounted bool
	// Into is a list whose place the users take, so that its memory is used again; nil: there is none.
	Into []User
}

// Adjacent tells whether a page of what is selected leaves out next to nobody, between its first and its last user by ID, of whose servers some are shown: those that
// do not run only with stopped.
func (q UserQuery) Adjacent(stopped bool) bool {
	if q.Names != nil || q.NameContains != "" || q.Sort != SortByID {
		return false
	}
	switch q.Activity {
	case AnyServers:
		return true
	case ActiveServers, ReadyServers: // servers that are not ready yet, or no longer, are few
		return !stopped
	case InactiveServers:
	}
	return false
}

// UserServers selects users by the state of their servers.
type UserServers string

// What a user's servers may be asked for: JupyterHub's "state" of the users' list.
const (
	AnyServers      UserServers = ""
	ActiveServers   UserServers = "active"   // at least one running or pending
	ReadyServers    UserServers = "ready"    // at least one ready
	InactiveServers UserServers = "inactive" // none running or pending
)

// UserSort orders a list of users. Users who were never active come first when ascending and last when descending.
type UserSort string

// The orders of a list of users.
const (
	SortByID           UserSort = ""
	SortByName         UserSort = "name"
	SortByLastActivity UserSort = "last_activity"
)

// UserStore keeps users and what providers call them.
type UserStore interface {
	// CreateUser stores a new user with its groups and roles. ErrExists if the name or ID is taken.
	CreateUser(ctx context.Context, u User) error
	UserByID(ctx context.Context, id string) (User, error)
	UserByName(ctx context.Context, name string) (User, error)
	// UserIDByName is UserByName for who needs no more.
	UserIDByName(ctx context.Context, name string) (string, error)
	// Users returns one page and how many there are in all.
	Users(ctx context.Context, q UserQuery) (users []User, total int, err error)
	// UpdateUser writes name, admin, roles and groups of the user with this ID; groups that do not exist are created.
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser removes the user with all sessions, tokens, servers, codes and identities.
	DeleteUser(ctx context.Context, id string) error
	// Acquaintance finds who a provider's subject is, or else, if it is nobody, who has the name.
	Acquaintance(ctx context.Context, provider, subject, name string) (Acquaintance, error)
	// LinkIdentity ties a provider's subject to a user; ErrExists if the subject belongs to somebody, or the user has another one of the provider.
	LinkIdentity(ctx context.Context, userID, provider, subject string) error
	// Enroll is CreateUser, LinkIdentity and CreateSession for somebody who comes for the first time: all of it, or, if any of them says ErrExists, nothing.
	Enroll(ctx context.Context, u User, provider, subject string, v Session) error
	// Welcome is LinkIdentity and CreateSession for the user of this ID and name, for whom no provider has vouched. ErrExists if one has, if the subject is somebody's, or if
	// there is no such user by now.
	Welcome(ctx context.Context, u User, provider, subject string, v Session) error
}

// Acquaintance is what is known of somebody who comes with an identity and a name.
type Acquaintance struct {
	User       User
	Identified bool     // the identity is the user's; otherwise only the name is
	Providers  []string // that have vouched for the user, sorted; nil if the identity is the user's
}

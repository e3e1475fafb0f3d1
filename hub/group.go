package hub

import (
	"context"
	"encoding/json"
)

// Group is a set of users under a name, with properties that only their operator gives a meaning.
type Group struct {
	Name       string
	Users      []string        // names of the members, sorted
	Properties json.RawMessage // a JSON object; nil: {}
}

// GroupQuery selects groups. The zero value selects all, the oldest first.
type GroupQuery struct {
	Names  []string // only these; nil: all
	ByName bool     // sorted by name
	Offset int
	Limit  int // 0: no limit
}

// GroupStore keeps groups. Who belongs to one is also written by [UserStore.UpdateUser].
type GroupStore interface {
	// CreateGroup stores a new group without members. ErrExists if the name is taken.
	CreateGroup(ctx context.Context, name string, properties json.RawMessage) error
	// Groups returns one page, with members, and how many there are in all. It asks the database the same number of times however many there are.
	Groups(ctx context.Context, q GroupQuery) (groups []Group, total int, err error)
	// SetGroupProperties replaces all properties. ErrNotFound if there is no such group.
	SetGroupProperties(ctx context.Context, name string, properties json.RawMessage) error
	// AddMembers and RemoveMembers change who belongs to a group; who does already, or does not, is skipped. ErrNotFound if there is no such group or user, and
	// then nothing is changed.
	AddMembers(ctx context.Context, group string, userIDs []string) error
	RemoveMembers(ctx context.Context, group string, userIDs []string) error
	// DeleteGroup removes the group; its members stay users. ErrNotFound if there is none.
	DeleteGroup(ctx context.Context, name string) error
}

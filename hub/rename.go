package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// RenameStore carries another name to wherever the old one is written down. Everything else knows users and servers by their IDs.
type RenameStore interface {
	// RenameUser gives a user another name. Their volumes and their part of the ledger show it, and scopes that are limited to them or to one of their servers
	// are limited to the new name. ErrExists if the name is taken, ErrNotFound if the user is gone.
	RenameUser(ctx context.Context, id, name string) error
	// ServerRenamed makes up for another name that [ServerStore.UpdateServer] has just written: the server's own volumes, and scopes that are limited to it.
	// ErrExists if the new name has volumes of its own.
	ServerRenamed(ctx context.Context, id, from string) error
}

// Rename is what a scope's limit was called, and is called now.
type Rename struct {
	kind     scope.Kind
	from, to string
}

// RenameOfUser says that a user is called otherwise.
func RenameOfUser(from, to string) Rename { return Rename{scope.ByUser, from, to} }

// RenameOfServer says that a server of the user is called otherwise.
func RenameOfServer(user, from, to string) Rename {
	return Rename{scope.ByServer, scope.FullName(user, from), scope.FullName(user, to)}
}

// In is the raw scope under the new name; itself if it does not speak of the old one.
func (r Rename) In(raw string) string {
	name, limit, limited := strings.Cut(raw, "!")
	kind, value, named := strings.Cut(limit, "=")
	if !limited || !named {
		return raw
	}
	switch {
	case scope.Kind(kind) == r.kind && value == r.from:
		value = r.to
	case r.kind == scope.ByUser && scope.Kind(kind) == scope.ByServer:
		rest, of := strings.CutPrefix(value, r.from+"/")
		if !of {
			return raw
		}
		value = scope.FullName(r.to, rest)
	default:
		return raw
	}
	return name + "!" + kind + "=" + value
}

// Traces are texts of which every scope that the rename changes holds one.
func (r Rename) Traces() []string {
	if r.kind == scope.ByServer {
		return []string{"!server=" + r.from}
	}
	return []string{"!user=" + r.from, "!server=" + r.from + "/"}
}

// NameGivesMore tells whether the operator's rules give somebody of that name what they do not give the user under their present one: a role, the rights of an
// administrator at the next login, or to enter at all. A rename to it makes more of the user, and is for those who may do that.
func (h *Hub) NameGivesMore(u User, name string) bool {
	name = NormalizeUserName(name)
	admission := h.admission.Load()
	if admission.blocks(u.Name) && !admission.blocks(name) || !u.Admin && slices.Contains(admission.AdminUsers, name) {
		return true
	}
	before := h.Roles().RolesOfUser(HolderOf(u))
	u.Name = name
	return slices.ContainsFunc(h.Roles().RolesOfUser(HolderOf(u)), func(role string) bool { return !slices.Contains(before, role) })
}

// RenameUser gives a user another name, and returns the user as they are now. What belongs to them stays theirs: logins, tokens, groups, shares, volumes and the ledger
// know them by ID, and scopes that name them are written anew. Invalid if the name is taken or cannot be one; Conflict while one of their servers is active,
// because a server is told its owner's name at its start and lives below it.
func (h *Hub) RenameUser(ctx context.Context, u User, name string) (User, error) {
	name = NormalizeUserName(name)
	if name == u.Name {
		return u, nil
	}
	if err := ValidateUserName(name); err != nil {
		return u, err
	}
	err := h.store.InTx(ctx, func(tx Store) error {
		active, total, err := tx.Servers(ctx, ServerQuery{UserIDs: []string{u.ID}, States: []ServerState{Starting, Ready, Stopping}, Limit: 1})
		if err != nil {
			return err
		}
		if total > 0 {
			return Errorf(Conflict, "%s has a server that is %s. Stop all servers of the user, then rename the user.", u.Name, active[0].State)
		}
		return tx.RenameUser(ctx, u.ID, name)
	})
	switch {
	case errors.Is(err, ErrExists):
		return u, Errorf(Invalid, "There is a user named %q already, and names of users are unique.", name)
	case err != nil:
		return u, fmt.Errorf("rename user %s: %w", u.ID, err)
	}
	h.log.InfoContext(ctx, "user renamed", "user_id", u.ID, "user", name, "was", u.Name)
	u.Name = name
	return u, nil
}

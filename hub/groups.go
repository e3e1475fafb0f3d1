package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of groups, in bytes.
const (
	maxGroupName       = 255
	maxGroupProperties = 64 << 10
)

// ValidateGroupName tells what is wrong with the name of a group that is to be made, as an Invalid [Error], or returns nil.
//
// Providers name groups as they like, "/staff" and "org:team" among them, so only that is refused which could not be addressed or seen.
func ValidateGroupName(name string) error {
	switch {
	case name == "" || name != strings.TrimSpace(name):
		return Errorf(Invalid, "The name of a group has at least one character, and no spaces around it.")
	case len(name) > maxGroupName:
		return Errorf(Invalid, "The name of a group has at most %d bytes. Choose a shorter one.", maxGroupName)
	case !utf8.ValidString(name):
		return Errorf(Invalid, "The name of the group is not valid UTF-8.")
	case name == "." || name == "..":
		return Errorf(Invalid, "A group may not be named %q, because browsers rewrite it in addresses.", name)
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return Errorf(Invalid, "The name of a group may not hold the invisible character %U.", r)
		}
	}
	return nil
}

// Groups returns one page of groups, with their members, and how many match in all.
func (h *Hub) Groups(ctx context.Context, q GroupQuery) ([]Group, int, error) {
	return h.store.Groups(ctx, q)
}

// Group returns the group, or a NotFound [Error].
func (h *Hub) Group(ctx context.Context, name string) (Group, error) {
	return groupIn(ctx, h.store, name)
}

func groupIn(ctx context.Context, s GroupStore, name string) (Group, error) {
	found, _, err := s.Groups(ctx, GroupQuery{Names: []string{name}})
	if err != nil {
		return Group{}, err
	}
	if len(found) == 0 {
		return Group{}, noGroup(name)
	}
	return found[0], nil
}

func noGroup(name string) error { return Errorf(NotFound, "There is no group named %q.", name) }

// CreateGroup makes a group of users who exist, all or nothing; nil properties are {}. Conflict if the name is taken; Invalid if it can be no group's, or a
// user is not known.
func (h *Hub) CreateGroup(ctx context.Context, name string, users []string, properties json.RawMessage) (Group, error) {
	if err := ValidateGroupName(name); err != nil {
		return Group{}, err
	}
	properties, err := checkedProperties(properties)
	if err != nil {
		return Group{}, err
	}
	var made Group
	err = h.store.InTx(ctx, func(tx Store) error {
		err := tx.CreateGroup(ctx, name, properties)
		if errors.Is(err, ErrExists) {
			return Errorf(Conflict, "There is a group named %q already.", name)
		}
		if err != nil {
			return err
		}
		made, err = changeMembers(ctx, tx, name, users, Store.AddMembers)
		return err
	})
	if err != nil {
		return Group{}, err
	}
	h.log.InfoContext(ctx, "group created", "group", name, "members", len(made.Users))
	return made, nil
}

// AddMembers makes users members of a group, by name, all or none, and returns the group. NotFound if there is no such group, Invalid if a user is not known.
//
// Who logs in with a provider that tells their groups is, from that login on, a member of those groups only: see [Hub.Login].
func (h *Hub) AddMembers(ctx context.Context, group string, users []string) (Group, error) {
	return h.setMembers(ctx, group, users, Store.AddMembers)
}

// RemoveMembers is the reverse of [Hub.AddMembers].
func (h *Hub) RemoveMembers(ctx context.Context, group string, users []string) (Group, error) {
	return h.setMembers(ctx, group, users, Store.RemoveMembers)
}

// membership is [GroupStore.AddMembers] or [GroupStore.RemoveMembers].
type membership func(tx Store, ctx context.Context, group string, userIDs []string) error

func (h *Hub) setMembers(ctx context.Context, group string, users []string, change membership) (changed Group, err error) {
	err = h.store.InTx(ctx, func(tx Store) error {
		changed, err = changeMembers(ctx, tx, group, users, change)
		return err
	})
	if err != nil {
		return Group{}, err
	}
	h.log.InfoContext(ctx, "members of a group changed", "group", group, "users", len(users), "members", len(changed.Users))
	h.queue.poke() // a start that waits may be under other limits now
	return changed, nil
}

func changeMembers(ctx context.Context, tx Store, group string, users []string, change membership) (Group, error) {
	if _, err := groupIn(ctx, tx, group); err != nil {
		return Group{}, err
	}
	ids, err := userIDs(ctx, tx, users)
	if err != nil {
		return Group{}, err
	}
	if len(ids) > 0 {
		if err := change(tx, ctx, group, ids); err != nil {
			return Group{}, err
		}
	}
	return groupIn(ctx, tx, group)
}

// userIDs finds users by their names, in one query. Invalid if one is not known.
func userIDs(ctx context.Context, s UserStore, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	wanted := make([]string, len(names))
	for i, n := range names {
		wanted[i] = NormalizeUserName(n)
	}
	found, _, err := s.Users(ctx, UserQuery{Names: wanted})
	if err != nil {
		return nil, err
	}
	ids, known := make([]string, len(found)), make(map[string]bool, len(found))
	for i, u := range found {
		ids[i], known[u.Name] = u.ID, true
	}
	for _, n := range wanted {
		if !known[n] {
			return nil, Errorf(Invalid, "There is no user named %q. Create the user first.", n)
		}
	}
	return ids, nil
}

// SetGroupProperties replaces all properties of a group and returns it. NotFound if there is no such group, Invalid if they are no JSON object.
func (h *Hub) SetGroupProperties(ctx context.Context, name string, properties json.RawMessage) (Group, error) {
	properties, err := checkedProperties(properties)
	if err != nil {
		return Group{}, err
	}
	var changed Group
	err = h.store.InTx(ctx, func(tx Store) error {
		err := tx.SetGroupProperties(ctx, name, properties)
		if errors.Is(err, ErrNotFound) {
			return noGroup(name)
		}
		if err != nil {
			return err
		}
		changed, err = groupIn(ctx, tx, name)
		return err
	})
	return changed, err
}

// checkedProperties returns a JSON object without needless spaces; nil for none.
func checkedProperties(p json.RawMessage) (json.RawMessage, error) {
	if p == nil {
		return nil, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, p); err != nil || compact.Bytes()[0] != '{' {
		return nil, &Error{Kind: Invalid, Message: "The properties of a group are a JSON object.", Err: err}
	}
	if compact.Len() > maxGroupProperties {
		return nil, Errorf(Invalid, "The properties of a group have at most %d bytes.", maxGroupProperties)
	}
	return compact.Bytes(), nil
}

// DeleteGroup removes a group. Its members stay users, and its volumes stay until an administrator deletes them. NotFound if there is none.
func (h *Hub) DeleteGroup(ctx context.Context, name string) error {
	err := h.store.DeleteGroup(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return noGroup(name)
	}
	if err != nil {
		return err
	}
	h.log.InfoContext(ctx, "group deleted", "group", name)
	h.queue.poke()
	return nil
}

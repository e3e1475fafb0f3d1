package hub

import (
	"context"
	"errors"
	"fmt"
)

// UserByName returns the user, or a NotFound [Error].
func (h *Hub) UserByName(ctx context.Context, name string) (User, error) {
	u, err := h.store.UserByName(ctx, NormalizeUserName(name))
	if errors.Is(err, ErrNotFound) {
		return User{}, Errorf(NotFound, "There is no user named %q.", name)
	}
	h.activity.showUser(&u)
	return u, err
}

// UserBrief returns the user with ID and name alone, or a NotFound [Error].
func (h *Hub) UserBrief(ctx context.Context, name string) (User, error) {
	u := User{Name: NormalizeUserName(name)}
	var err error
	u.ID, err = h.store.UserIDByName(ctx, u.Name)
	if errors.Is(err, ErrNotFound) {
		return User{}, Errorf(NotFound, "There is no user named %q.", name)
	}
	return u, err
}

// Users returns one page of users and how many match in all.
func (h *Hub) Users(ctx context.Context, q UserQuery) ([]User, int, error) {
	users, total, err := h.store.Users(ctx, q)
	h.activity.showUsers(users)
	return users, total, err
}

// CreateUser adds a user before they ever log in. Conflict if the name is taken.
func (h *Hub) CreateUser(ctx context.Context, name string, admin bool) (User, error) {
	name = NormalizeUserName(name)
	if err := ValidateUserName(name); err != nil {
		return User{}, err
	}
	u := User{ID: newID(), Name: name, Admin: admin, Created: h.now()}
	err := h.store.CreateUser(ctx, u)
	if errors.Is(err, ErrExists) {
		return User{}, Errorf(Conflict, "There is a user named %q already.", name)
	}
	return u, err
}

// SetAdmin makes a user an administrator, or no longer one.
func (h *Hub) SetAdmin(ctx context.Context, name string, admin bool) (User, error) {
	u, err := h.UserByName(ctx, name)
	if err != nil || u.Admin == admin {
		return u, err
	}
	u.Admin = admin
	return u, h.store.UpdateUser(ctx, u)
}

// DeleteUser removes a user and all that is theirs. Conflict while one of their servers is active: the caller stops them first, so that no server is left
// running for nobody.
func (h *Hub) DeleteUser(ctx context.Context, name string) error {
	u, err := h.UserByName(ctx, name)
	if err != nil {
		return err
	}
	defer h.volumes.nudge()
	return h.store.InTx(ctx, func(tx Store) error {
		active, total, err := tx.Servers(ctx, ServerQuery{UserIDs: []string{u.ID}, States: []ServerState{Starting, Ready, Stopping}, Limit: 1})
		if err != nil {
			return fmt.Errorf("delete user %s: %w", u.ID, err)
		}
		if total > 0 {
			return Errorf(Conflict, "The server %q of %s is still %s. Stop it, then delete the user.", active[0].Name, u.Name, active[0].State)
		}
		if err := h.releaseVolumes(ctx, tx, u.ID, nil); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, u.ID)
	})
}

// seen notes that a user did something, for their last activity.
func (h *Hub) seen(userID string) { h.activity.record(userID, "", h.now()) }

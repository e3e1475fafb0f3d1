package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// scopeAccess is what is shared if nothing else is asked for.
const scopeAccess = "access:servers"

// Grantee is whom a server is shared with, by name: a user, or the members of a group.
type Grantee struct{ User, Group string }

func (g Grantee) valid() error {
	if (g.User == "") == (g.Group == "") {
		return Errorf(Invalid, "Name exactly one of user and group.")
	}
	return nil
}

// ShareWish is what of which server is to be shared.
type ShareWish struct {
	Owner  User
	Server string   // name of the owner's server
	Scopes []string // raw; without a limit, or limited to the server. None: to use the server
}

// ShareServer lets a user, or the members of a group, use a server of the owner; what is shared with them already stays. by is who says so, and can share no
// more than they may do themselves, with nobody whose name they may not read. Invalid for scopes that cannot be shared, an unknown grantee, and the owner;
// NotFound for an unknown server.
func (h *Hub) ShareServer(ctx context.Context, by Principal, w ShareWish, with Grantee) (Share, error) {
	if err := with.valid(); err != nil {
		return Share{}, err
	}
	names, err := h.shareable(ctx, by, w)
	if err != nil {
		return Share{}, err
	}
	userID, err := h.grantee(ctx, by, w.Owner, with)
	if err != nil {
		return Share{}, err
	}
	share, err := h.putShare(ctx, w.Owner, w.Server, userID, with.Group, names)
	if err != nil {
		return Share{}, err
	}
	h.log.InfoContext(ctx, "server shared", "user", share.UserName, "server", share.ServerName, "with_user", share.User, "with_group", share.Group, "scopes", names)
	return share, nil
}

// shareable returns the names of the scopes that the wish is about, once it is clear that the server exists and that who wishes may share them.
func (h *Hub) shareable(ctx context.Context, by Principal, w ShareWish) ([]string, error) {
	names, err := h.shareNames(w)
	if err != nil {
		return nil, err
	}
	if _, err := h.lent(ctx, w.Owner, w.Server); err != nil {
		return nil, err
	}
	for _, name := range append([]string{"shares"}, names...) {
		if !by.Can(name, scope.Server(w.Owner.Name, w.Server, w.Owner.Groups...)) {
			return nil, Errorf(Forbidden, "You cannot share the scope %s of this server, because you do not have it yourself.", name)
		}
	}
	return names, nil
}

// lent finds a server for its shares. The default one exists even if it was never started, and then has no ID and no shares.
func (h *Hub) lent(ctx context.Context, owner User, name string) (Server, error) {
	s, err := h.ServerOf(ctx, owner, name)
	if err == nil && s.ID == "" && name != "" {
		err = Errorf(NotFound, "%s has no server named %q.", owner.Name, name)
	}
	return s, err
}

// shareNames takes the limits from raw scopes, which can only be the server.
func (h *Hub) shareNames(w ShareWish) ([]string, error) {
	if len(w.Scopes) > maxScopes {
		return nil, Errorf(Invalid, "The share would have more than %d scopes.", maxScopes)
	}
	full := scope.FullName(w.Owner.Name, w.Server)
	names := make([]string, 0, len(w.Scopes)+1)
	for _, raw := range w.Scopes {
		s, err := h.Roles().Parse(raw)
		if err != nil {
			return nil, &Error{Kind: Invalid, Message: "Some of the scopes are not known: " + err.Error() + ".", Err: err}
		}
		switch {
		case s.Name == scope.Self || s.Name == scope.Inherit:
			return nil, Errorf(Invalid, "The scope %s stands for others and cannot be shared. Name those that you mean.", s.Name)
		case s.Kind != scope.Unlimited && (s.Kind != scope.ByServer || s.Value != full):
			return nil, Errorf(Invalid, "The scope %s is limited to something else than the server %s.", raw, full)
		}
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		names = append(names, scopeAccess)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// grantee finds with whom to share, for somebody who may read their name. The ID is of the user, "" if it is a group.
func (h *Hub) grantee(ctx context.Context, by Principal, owner User, with Grantee) (userID string, err error) {
	if with.Group != "" {
		if !by.Can("read:groups:name", scope.Group(with.Group)) {
			return "", Errorf(Forbidden, "To share with a group by its name you need the scope read:groups:name for it. Make a link for its members instead.")
		}
		_, err := h.Group(ctx, with.Group)
		return "", asInvalid(err)
	}
	u, err := h.UserByName(ctx, with.User)
	if err != nil && KindOf(err) != NotFound {
		return "", err
	}
	if err != nil {
		u.Name = NormalizeUserName(with.User)
	}
	switch {
	case !by.Can("read:users:name", scope.User(u.Name, u.Groups...)):
		return "", Errorf(Forbidden, "To share with users by their names you need the scope read:users:name for them. Make a link for them instead.")
	case err != nil:
		return "", asInvalid(err)
	case u.ID == owner.ID:
		return "", Errorf(Invalid, "The server is %s's own. It cannot be shared with them.", u.Name)
	}
	return u.ID, nil
}

// asInvalid makes what is not found a fault of the request: it is named in its body, and not what its path is about.
func asInvalid(err error) error {
	if err == nil || KindOf(err) != NotFound {
		return err
	}
	message := "There is no such user or group."
	if he, ok := errors.AsType[*Error](err); ok {
		message = he.Message
	}
	return &Error{Kind: Invalid, Message: message, Err: err}
}

// shareAttempts bounds how often a share is tried whose server was made by somebody else at the same moment.
const shareAttempts = 3

// putShare adds scopes to what is shared. Exactly one of userID and group is set.
func (h *Hub) putShare(ctx context.Context, owner User, server, userID, group string, names []string) (share Share, err error) {
	for range shareAttempts {
		err = h.store.InTx(ctx, func(tx Store) error {
			s, err := serverToShare(ctx, tx, owner, server, h.now())
			if err != nil {
				return err
			}
			share, err = addShare(ctx, tx, s.ID, userID, group, names, h.now())
			return err
		})
		if !errors.Is(err, ErrExists) {
			break
		}
	}
	if errors.Is(err, ErrNotFound) {
		return Share{}, Errorf(NotFound, "The server, or whom it was to be shared with, is gone.")
	}
	if err != nil {
		return Share{}, fmt.Errorf("share the server %q of %s: %w", server, owner.ID, err)
	}
	return share, nil
}

// serverToShare finds the server. The default one exists before its first start, and gets its row now.
func serverToShare(ctx context.Context, tx Store, owner User, name string, now time.Time) (Server, error) {
	s, err := tx.ServerByName(ctx, owner.ID, name)
	if name != "" || !errors.Is(err, ErrNotFound) {
		return s, err
	}
	s = Server{ID: newID(), UserID: owner.ID, UserName: owner.Name, State: Stopped, Created: now}
	return s, tx.CreateServer(ctx, s)
}

func addShare(ctx context.Context, tx Store, serverID, userID, group string, names []string, now time.Time) (Share, error) {
	have, found, err := shareWith(ctx, tx, serverID, userID, group)
	if err != nil {
		return Share{}, err
	}
	all := slices.Clone(names)
	if found {
		all = append(all, have.Scopes...)
	}
	slices.Sort(all)
	return tx.PutShare(ctx, serverID, userID, group, slices.Compact(all), now)
}

// shareWith finds the one share of a server with a user or with a group.
func shareWith(ctx context.Context, s ShareStore, serverID, userID, group string) (share Share, found bool, err error) {
	q := ShareQuery{ServerID: serverID, UserID: userID}
	if userID == "" {
		q.Groups = []string{group}
	}
	shares, _, err := s.Shares(ctx, q)
	if err != nil || len(shares) == 0 {
		return Share{}, false, err
	}
	return shares[0], true, nil
}

// UnshareServer takes scopes from what is shared with a user or group, or all of it if none are named. remains is false if nothing is left, or never was
// anything. It acts at the next request: what others may do is read with each. Another replica may remember a token for a moment more. NotFound for an unknown
// server.
func (h *Hub) UnshareServer(ctx context.Context, w ShareWish, with Grantee) (share Share, remains bool, err error) {
	if err := with.valid(); err != nil {
		return Share{}, false, err
	}
	s, err := h.lent(ctx, w.Owner, w.Server)
	if err != nil {
		return Share{}, false, err
	}
	var names []string // nil: all
	if len(w.Scopes) > 0 {
		if names, err = h.shareNames(w); err != nil {
			return Share{}, false, err
		}
	}
	userID := ""
	if with.User != "" {
		u, err := h.UserByName(ctx, with.User)
		if KindOf(err) == NotFound && err != nil {
			return Share{}, false, nil
		}
		if err != nil {
			return Share{}, false, err
		}
		userID = u.ID
	}
	if s.ID == "" { // never started, so never shared
		return Share{}, false, nil
	}
	err = h.store.InTx(ctx, func(tx Store) error {
		share, remains, err = takeShare(ctx, tx, s.ID, userID, with.Group, names)
		return err
	})
	if err != nil {
		return Share{}, false, fmt.Errorf("take back a share of server %s: %w", s.ID, err)
	}
	h.log.InfoContext(ctx, "share taken back", "user", s.UserName, "server", s.Name, "from_user", with.User, "from_group", with.Group, "scopes", names, "remains", share.Scopes)
	return share, remains, nil
}

// takeShare takes scopes from a share, all with nil.
func takeShare(ctx context.Context, tx Store, serverID, userID, group string, names []string) (Share, bool, error) {
	share, found, err := shareWith(ctx, tx, serverID, userID, group)
	if err != nil || !found {
		return Share{}, false, err
	}
	left := slices.DeleteFunc(slices.Clone(share.Scopes), func(name string) bool { return names == nil || slices.Contains(names, name) })
	if len(left) == 0 {
		return Share{}, false, tx.DeleteShare(ctx, share.ID)
	}
	share, err = tx.PutShare(ctx, serverID, userID, group, left, share.Created)
	return share, true, err
}

// UnshareAll takes back all shares of a server, and leaves its codes.
func (h *Hub) UnshareAll(ctx context.Context, owner User, server string) error {
	s, err := h.lent(ctx, owner, server)
	if err != nil || s.ID == "" {
		return err
	}
	n, err := h.store.DeleteSharesOfServer(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("take back the shares of server %s: %w", s.ID, err)
	}
	h.log.InfoContext(ctx, "shares taken back", "user", s.UserName, "server", s.Name, "shares", n)
	return nil
}

// Shares returns one page of shares, and how many match in all.
func (h *Hub) Shares(ctx context.Context, q ShareQuery) ([]Share, int, error) {
	return h.store.Shares(ctx, q)
}

// SharesOfServer returns one page of the shares of one server, or a NotFound [Error] if there is no such server.
func (h *Hub) SharesOfServer(ctx context.Context, owner User, server string, offset, limit int) ([]Share, int, error) {
	s, err := h.lent(ctx, owner, server)
	if err != nil || s.ID == "" {
		return nil, 0, err
	}
	return h.store.Shares(ctx, ShareQuery{ServerID: s.ID, Offset: offset, Limit: limit})
}

// ShareOf returns the share of a server with one user or group themselves, or a NotFound [Error].
func (h *Hub) ShareOf(ctx context.Context, ownerName, server, userID, group string) (Share, error) {
	none := Errorf(NotFound, "There is no such share.")
	s, err := h.Server(ctx, ownerName, server)
	if KindOf(err) == NotFound && err != nil || err == nil && s.ID == "" {
		return Share{}, none
	}
	if err != nil {
		return Share{}, err
	}
	share, found, err := shareWith(ctx, h.store, s.ID, userID, group)
	if err == nil && !found {
		err = none
	}
	return share, err
}

// DropShare removes a share on the wish of who it is for.
func (h *Hub) DropShare(ctx context.Context, share Share) error {
	if err := h.store.DeleteShare(ctx, share.ID); err != nil {
		return fmt.Errorf("drop share %d: %w", share.ID, err)
	}
	h.log.InfoContext(ctx, "share given up", "user", share.UserName, "server", share.ServerName, "by_user", share.User, "by_group", share.Group)
	return nil
}

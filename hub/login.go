package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/auth"
)

// Browser is what is known of the browser that logs in.
type Browser struct {
	Address   string
	UserAgent string
	ID        string // the value of jupyterhub-session-id that it has already, or ""
}

const (
	maxUserAgent  = 256
	seenPrecision = 5 * time.Minute // how coarse LastSeen and token activity are
	browserIDSize = 32
	maxIgnored    = 10 // names of roles in one line of the log
)

// LoginOptions say how far an identity is to be trusted.
type LoginOptions struct {
	// Operator is set for a way in that only the operator can open: admission rules do not apply, but for blocked users.
	Operator bool
	// LinkByName lets a provider's subject take over an existing user of the same name whom another provider vouched for. Only
	// right where both providers speak of the same people.
	LinkByName bool
	// KnownOnly is set where nobody becomes a user: only who is one already is let in.
	KnownOnly bool
}

// Login admits an identity or refuses it with a Forbidden [Error]. It creates the user at the first login, brings groups, roles and the admin flag up
// to date where the provider speaks of them, and begins a session.
func (h *Hub) Login(ctx context.Context, id auth.Identity, b Browser, o LoginOptions) (Session, User, error) {
	var sess Session
	user, err := h.admit(ctx, id, b, o, func(u User) Session {
		sess = h.newSession(u, id.Provider, b)
		return sess
	})
	if err != nil {
		return Session{}, User{}, err
	}
	return sess, user, nil
}

// LoginOnce admits an identity for one request, by the same rules as Login, and tells what it may do. No session begins, and nobody becomes a user by it: a
// Forbidden [Error] if there is none of this name.
func (h *Hub) LoginOnce(ctx context.Context, id auth.Identity, b Browser, o LoginOptions) (Principal, error) {
	o.KnownOnly = true
	u, err := h.admit(ctx, id, b, o, nil)
	if err != nil {
		return Principal{}, err
	}
	h.seen(u.ID)
	return Principal{User: u, Scopes: h.userScopes(u)}, nil
}

// admit finds or makes the user behind an identity, begins the session that they are to have, if any, and tells how it went.
func (h *Hub) admit(ctx context.Context, id auth.Identity, b Browser, o LoginOptions, session func(User) Session) (User, error) {
	id.Roles = h.grantableRoles(ctx, id)
	user, err := h.letIn(ctx, id, o, session)
	switch {
	case KindOf(err) == Forbidden && err != nil:
		h.metrics.login(false)
		h.log.InfoContext(ctx, "login refused", "name", clip(id.Name), "provider", id.Provider, "err", err)
		return User{}, err
	case err != nil:
		return User{}, fmt.Errorf("login by %s: %w", id.Provider, err)
	}
	h.metrics.login(true)
	h.log.InfoContext(ctx, "logged in", "user", user.Name, "provider", id.Provider, "client", b.Address)
	return user, nil
}

// letIn looks who comes before it begins a transaction, and refuses whom it can without one, so that strangers hold nobody up.
//
// Most come back, and nothing about them changes: they need none. What is done for them refers to the user by ID only and each request reads the user and the rules anew,
// so that a change between the look and the act is as one right after the login. Who was deleted there is judged anew, as somebody whom nobody knows.
//
// Of newcomers nothing is read again either: the account is made under a name and tied to a subject that nobody has, or one that was made for them is tied to them if nobody
// else came to it, or nothing is done. All others are judged by what a transaction itself reads; whose subject was never seen, one after another.
func (h *Hub) letIn(ctx context.Context, id auth.Identity, o LoginOptions, session func(User) Session) (User, error) {
	found, err := look(ctx, h.store, id)
	if err != nil {
		return User{}, err
	}
	user, err := h.recognize(found, id, o)
	if err != nil {
		return User{}, err
	}
	begin := func(s Store, u User) error {
		if session == nil {
			return nil
		}
		return s.CreateSession(ctx, session(u))
	}
	switch {
	case found.Identified && user.sameRights(found.User):
		if err = begin(h.store, user); !errors.Is(err, ErrNotFound) {
			return user, err
		}
	case found.nobody() && session != nil:
		if err = h.store.Enroll(ctx, user, id.Provider, id.Subject, session(user)); !errors.Is(err, ErrExists) {
			return user, err
		} // the name or the subject was taken a moment ago, perhaps by another login of the same person
	case found.untouched() && session != nil && user.sameRights(found.User):
		if err = h.store.Welcome(ctx, user, id.Provider, id.Subject, session(user)); !errors.Is(err, ErrExists) {
			return user, err
		} // somebody else came to the account a moment ago, or it is another one's by now
	}
	if !found.Identified {
		done, err := h.newcomers.turn(ctx)
		if err != nil {
			return User{}, err
		}
		defer done()
	}
	err = h.store.InTx(ctx, func(tx Store) (err error) {
		if found, err = look(ctx, tx, id); err != nil {
			return err
		}
		if user, err = h.enroll(ctx, tx, found, id, o); err != nil {
			return err
		}
		return begin(tx, user)
	})
	return user, err
}

// look finds whom an identity is about; it is nobody's if there is no such user.
func look(ctx context.Context, s Store, id auth.Identity) (Acquaintance, error) {
	found, err := s.Acquaintance(ctx, id.Provider, id.Subject, NormalizeUserName(id.Name))
	if errors.Is(err, ErrNotFound) {
		return Acquaintance{}, nil
	}
	return found, err
}

// nobody tells whether neither the identity nor the name is known.
func (a Acquaintance) nobody() bool { return a.User.ID == "" }

// untouched tells whether the user is known by the name alone, and nobody has ever come to the account.
func (a Acquaintance) untouched() bool {
	return !a.nobody() && !a.Identified && len(a.Providers) == 0
}

// grantableRoles are those of a provider's roles that there are, sorted; nil if it says nothing of roles. What is no role here, or none that a login can give, is ignored.
func (h *Hub) grantableRoles(ctx context.Context, id auth.Identity) []string {
	if id.Roles == nil {
		return nil
	}
	given, ignored := []string{}, []string{}
	roles := h.Roles()
	for _, name := range id.Roles {
		switch {
		case roles.Grantable(name):
			given = append(given, name)
		case len(ignored) < maxIgnored:
			ignored = append(ignored, clip(name))
		}
	}
	if len(ignored) > 0 {
		h.log.WarnContext(ctx, "roles of a login ignored; they do not exist here, or a login cannot give them",
			"user", clip(id.Name), "provider", id.Provider, "roles", ignored)
	}
	slices.Sort(given)
	return slices.Compact(given)
}

// clip bounds what strangers can have written to the log.
func clip(name string) string { return name[:min(len(name), maxUserName)] }

func (h *Hub) newSession(u User, provider string, b Browser) Session {
	now := h.now()
	if len(b.ID) != browserIDSize {
		b.ID = newBrowserID()
	}
	return Session{
		ID: newID(), UserID: u.ID, BrowserID: b.ID, Provider: provider, Address: b.Address,
		UserAgent: b.UserAgent[:min(len(b.UserAgent), maxUserAgent)],
		Created:   now, LastSeen: now, Expires: now.Add(h.opts.SessionLifetime),
	}
}

// recognize returns the user as whom somebody comes in, or refuses them. A subject that was never seen is about the user of its name, or a new one. A user whom a provider vouched
// for before is not handed over: names are given up and taken by others, subjects are not.
func (h *Hub) recognize(found Acquaintance, id auth.Identity, o LoginOptions) (User, error) {
	if found.Identified {
		return h.vet(found.User, id, o)
	}
	name := NormalizeUserName(id.Name)
	if err := ValidateUserName(name); err != nil {
		return User{}, err
	}
	user := found.User
	if found.nobody() {
		user = User{ID: newID(), Name: name, Created: h.now()}
	}
	user, err := h.vet(user, id, o)
	switch {
	case err != nil:
		return User{}, err
	case found.nobody() && o.KnownOnly:
		return User{}, Errorf(Forbidden, "Nobody called %q uses this hub yet. Log in with a browser first.", name)
	case slices.Contains(found.Providers, id.Provider), len(found.Providers) > 0 && !o.LinkByName && !o.Operator:
		return User{}, Errorf(Forbidden,
			"The name %q belongs to somebody who logs in another way. Use that way, or ask the administrator.", name)
	}
	return user, nil
}

// vet returns the user as the provider and the rules of admission have them now, or refuses them.
//
// Who has an account is judged by its name. What the provider calls them today counts only where it is blocked: names are given up and taken by others, and
// nobody shall become an administrator by taking one's name.
func (h *Hub) vet(user User, id auth.Identity, o LoginOptions) (User, error) {
	rules := h.admission.Load()
	v := rules.decide(user.Name, id, o.Operator)
	if !v.allowed || rules.blocks(NormalizeUserName(id.Name)) {
		return User{}, Errorf(Forbidden, "You are known as %q, but you may not use this hub. Ask its administrator to let you in.", user.Name)
	}
	if v.admin != nil {
		user.Admin = *v.admin
	}
	if id.Groups != nil {
		user.Groups = slices.Compact(slices.Sorted(slices.Values(id.Groups)))
	}
	if id.Roles != nil {
		user.Roles = id.Roles
	}
	return user, nil
}

// sameRights tells whether nothing is to be written of a user who was like that before a login.
func (u User) sameRights(before User) bool {
	return u.Admin == before.Admin && slices.Equal(u.Groups, before.Groups) && slices.Equal(u.Roles, before.Roles)
}

// enroll writes what a login changes: it makes the user or brings them up to date, and ties a subject that was never seen to them; or it refuses them.
func (h *Hub) enroll(ctx context.Context, tx Store, found Acquaintance, id auth.Identity, o LoginOptions) (User, error) {
	user, err := h.recognize(found, id, o) // by the rules of now, however long the turn was waited for
	switch {
	case err != nil:
		return User{}, err
	case found.nobody():
		err = tx.CreateUser(ctx, user)
	case !user.sameRights(found.User):
		err = tx.UpdateUser(ctx, user)
	}
	if err == nil && !found.Identified {
		err = tx.LinkIdentity(ctx, user.ID, id.Provider, id.Subject)
	}
	return user, err
}

// Logout ends a session, with every token that was issued to servers in this browser.
func (h *Hub) Logout(ctx context.Context, s Session) error {
	return h.store.InTx(ctx, func(tx Store) error {
		if err := tx.DeleteTokensOfBrowser(ctx, s.UserID, s.BrowserID); err != nil {
			return err
		}
		return tx.DeleteSession(ctx, s.ID)
	})
}

// Sessions lists a user's live sessions, newest first.
func (h *Hub) Sessions(ctx context.Context, userID string) ([]Session, error) {
	all, err := h.store.Sessions(ctx, userID)
	if err != nil {
		return nil, err
	}
	now := h.now()
	return slices.DeleteFunc(all, func(s Session) bool { return !s.Expires.After(now) }), nil
}

// RevokeSession ends one of the user's sessions by its ID; NotFound if it is not theirs.
func (h *Hub) RevokeSession(ctx context.Context, userID, sessionID string) error {
	s, err := h.store.SessionByID(ctx, sessionID)
	if errors.Is(err, ErrNotFound) || err == nil && s.UserID != userID {
		return Errorf(NotFound, "There is no such session. It may have ended already.")
	}
	if err != nil {
		return err
	}
	return h.Logout(ctx, s)
}

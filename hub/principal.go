package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// Principal is who makes a request, and what they may do. It may be shared with other requests, so nothing that it points to is changed.
type Principal struct {
	User    User     // the zero User if it is a service
	Service *Service // set if the token is a service's
	Session *Session // set if a browser's cookie says so
	Token   *Token   // set if a token says so
	Scopes  scope.Set
}

// Can tells whether the principal holds the scope for the object.
func (p Principal) Can(name string, on scope.Object) bool { return p.Scopes.Has(name, on) }

// Holds tells whether the principal holds the scope for anything at all.
func (p Principal) Holds(name string) bool { return !p.Scopes.Filter(name).Empty() }

// BrowserID is the browser session that the request belongs to, or "".
func (p Principal) BrowserID() string {
	switch {
	case p.Session != nil:
		return p.Session.BrowserID
	case p.Token != nil:
		return p.Token.BrowserID
	}
	return ""
}

// MayMakeAdmins tells whether the principal may make administrators, and change them: who is one, and has all that an administrator has at this very request. A token that
// was narrowed cannot, or it could make somebody who can do more than it.
func (p Principal) MayMakeAdmins() bool {
	is := p.User.Admin || p.Service != nil && p.Service.Admin
	return is && len(scope.Excess(scope.AdminScopes(), p.Scopes, nil)) == 0
}

// ErrNoSession means that nobody is logged in by this cookie.
var ErrNoSession = Errorf(Unauthenticated, "You are not logged in. Log in and try again.")

// SessionPrincipal tells who is logged in by a session. ErrNoSession if it has ended. It is read each time: a logout at one replica holds at once at all.
func (h *Hub) SessionPrincipal(ctx context.Context, sessionID string) (Principal, error) {
	s, err := h.store.SessionByID(ctx, sessionID)
	if errors.Is(err, ErrNotFound) || err == nil && !s.Expires.After(h.now()) {
		return Principal{}, ErrNoSession
	}
	if err != nil {
		return Principal{}, err
	}
	u, err := h.store.UserByID(ctx, s.UserID)
	if errors.Is(err, ErrNotFound) {
		return Principal{}, ErrNoSession
	}
	if err != nil {
		return Principal{}, err
	}
	if h.admission.Load().blocks(u.Name) {
		return Principal{}, ErrNoSession
	}
	if h.now().Sub(s.LastSeen) > seenPrecision {
		if err := h.store.TouchSession(ctx, s.ID, h.now()); err != nil {
			h.log.WarnContext(ctx, "session not touched", "err", err)
		}
	}
	h.seen(u.ID)
	h.activity.showUser(&u)
	return Principal{User: u, Session: &s, Scopes: h.userScopes(u)}, nil
}

// errUnknownToken is said of tokens that never were and of those that are no more.
var errUnknownToken = Errorf(Forbidden, "The token is not known. It may have expired or been revoked.")

// TokenPrincipal tells whose token a secret is, and what it may do now: what was granted, as far as the owner still has it. A Forbidden [Error] if there is no
// such token.
func (h *Hub) TokenPrincipal(ctx context.Context, secret string) (Principal, error) {
	hash := hashSecret(secret)
	p, err := h.recent.principals.learn(string(hash), func() (Principal, error) { return h.readToken(ctx, hash) })
	switch {
	case err != nil:
		return Principal{}, err
	case h.expired(*p.Token):
		return Principal{}, errUnknownToken
	case p.Service == nil && h.admission.Load().blocks(p.User.Name):
		return Principal{}, Errorf(Forbidden, "The owner of this token may not use the hub.")
	}
	own := p.Service == nil && p.Token.ServerID == "" // what servers report by themselves is not the user's doing
	h.activity.asked(p.Token.ID, &p.User, own, h.now())
	return p, nil
}

// readToken finds out what a token amounts to. What is gone since the token was read, its owner or the server that it is for, takes the token with it; a server
// that heard "not found" would break instead of asking for a login.
func (h *Hub) readToken(ctx context.Context, hash []byte) (Principal, error) {
	t, err := h.store.TokenByHash(ctx, hash)
	if err == nil && h.expired(t) {
		return Principal{}, errUnknownToken
	}
	p := Principal{Token: &t}
	if err == nil && t.Service != "" {
		p.Service, p.Scopes, err = h.readService(ctx, t)
	} else if err == nil {
		if p.User, err = h.store.UserByID(ctx, t.UserID); err == nil {
			p.Scopes, err = h.TokenScopes(ctx, t, p.User)
		}
	}
	if errors.Is(err, ErrNotFound) {
		err = errUnknownToken
	}
	return p, err
}

// readService is who speaks with a service's token.
func (h *Hub) readService(ctx context.Context, t Token) (*Service, scope.Set, error) {
	s, err := h.store.Service(ctx, t.Service)
	if err != nil {
		return nil, scope.Set{}, err
	}
	scopes, err := h.ServiceTokenScopes(ctx, t, s)
	return &s, scopes, err
}

// TokenScopes is what a token of the user amounts to now: what was granted, as far as the owner still has it. The error wraps ErrNotFound if the OAuth
// client that it was issued to is gone.
func (h *Hub) TokenScopes(ctx context.Context, t Token, u User) (scope.Set, error) {
	return h.tokenScopes(ctx, t, scope.Owner{User: u.Name}, u, h.userScopes(u))
}

// ServiceTokenScopes is TokenScopes for a token of a service.
func (h *Hub) ServiceTokenScopes(ctx context.Context, t Token, s Service) (scope.Set, error) {
	return h.tokenScopes(ctx, t, scope.Owner{Service: s.Name}, User{}, h.serviceScopes(s))
}

func (h *Hub) tokenScopes(ctx context.Context, t Token, owner scope.Owner, u User, held scope.Set) (scope.Set, error) {
	if t.ClientID != "" {
		if err := h.addClient(ctx, t.ClientID, &owner); err != nil {
			return scope.Set{}, err
		}
	}
	of, failed := memberships(ctx, h.store, u)
	set := h.Roles().Effective(t.Scopes, owner, held, of)
	if err := failed(); err != nil {
		return scope.Set{}, err
	}
	return set, nil
}

// addClient notes what an OAuth client stands for: a server or a service.
func (h *Hub) addClient(ctx context.Context, clientID string, o *scope.Owner) error {
	c, err := h.store.Client(ctx, clientID)
	if err != nil {
		return fmt.Errorf("client %s of a token: %w", clientID, err)
	}
	if c.Service != "" {
		o.ClientService = c.Service
		return nil
	}
	s, err := h.store.ServerByID(ctx, c.ServerID)
	if err != nil {
		return fmt.Errorf("server of client %s: %w", clientID, err)
	}
	o.ClientServer = scope.FullName(s.UserName, s.Name)
	return nil
}

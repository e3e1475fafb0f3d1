package hub

import (
	"context"
	"time"
)

// Session is one browser in which one user is logged in. The browser holds its ID in a signed cookie.
type Session struct {
	ID     string // UUID version 7; whoever holds it signed is logged in
	UserID string
	// BrowserID is the value of the cookie jupyterhub-session-id: 32 hexadecimal digits, readable by every server. Tokens
	// made for this browser carry it, so that logging out ends them.
	BrowserID string
	Provider  string // the authenticator's ID
	Address   string // the client's address at login
	UserAgent string // at most 256 bytes
	Created   time.Time
	LastSeen  time.Time // coarse: written at most every few minutes
	Expires   time.Time
}

// SessionStore keeps sessions.
type SessionStore interface {
	CreateSession(ctx context.Context, s Session) error
	// SessionByID also returns sessions that have expired; the caller looks at the clock.
	SessionByID(ctx context.Context, id string) (Session, error)
	// Sessions returns a user's sessions, newest first.
	Sessions(ctx context.Context, userID string) ([]Session, error)
	// TouchSession moves LastSeen forward.
	TouchSession(ctx context.Context, id string, seen time.Time) error
	// DeleteSession is nil for the unknown.
	DeleteSession(ctx context.Context, id string) error
	// DeleteSessionsBefore removes what expired before then, and says how many.
	DeleteSessionsBefore(ctx context.Context, then time.Time) (int, error)
}

// Supersede ends a session in whose browser somebody has logged in again. If it is the same user, what was issued to servers there stays: the page in another tab goes on,
// and the new session's end is its end. Otherwise it is a logout.
func (h *Hub) Supersede(ctx context.Context, before, now Session) error {
	if before.UserID != now.UserID || before.BrowserID != now.BrowserID {
		return h.Logout(ctx, before)
	}
	return h.store.DeleteSession(ctx, before.ID)
}

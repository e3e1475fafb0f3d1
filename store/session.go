package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const sessionColumns = "id, user_id, browser_id, provider, address, user_agent, created, last_seen, expires"

// sessionArgs are the values of these columns.
func sessionArgs(v hub.Session) args {
	return args{v.ID, v.UserID, v.BrowserID, v.Provider, v.Address, v.UserAgent, micros(v.Created), micros(v.LastSeen), micros(v.Expires)}
}

// CreateSession implements [hub.SessionStore].
func (s *Store) CreateSession(ctx context.Context, v hub.Session) error {
	return s.mustWrite(ctx, "create session",
		"INSERT INTO sessions ("+sessionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING", sessionArgs(v))
}

// SessionByID implements [hub.SessionStore].
func (s *Store) SessionByID(ctx context.Context, id string) (hub.Session, error) {
	var v hub.Session
	err := s.byKey(ctx, "find session", "SELECT "+sessionColumns+" FROM sessions WHERE id = $1", args{id}, sessionFields(&v)...)
	return v, err
}

// Sessions implements [hub.SessionStore].
func (s *Store) Sessions(ctx context.Context, userID string) ([]hub.Session, error) {
	return all(ctx, s, "list sessions",
		"SELECT "+sessionColumns+" FROM sessions WHERE user_id = $1 ORDER BY created DESC NULLS LAST, id DESC", args{userID},
		func(scan scanner) (v hub.Session, err error) {
			err = scan(sessionFields(&v)...)
			return v, err
		})
}

func sessionFields(v *hub.Session) []any {
	return []any{
		&v.ID, &v.UserID, &v.BrowserID, &v.Provider, &v.Address, &v.UserAgent,
		timeOf{&v.Created}, timeOf{&v.LastSeen}, timeOf{&v.Expires},
	}
}

// TouchSession implements [hub.SessionStore]. It is [hub.ErrNotFound] if the session is gone.
func (s *Store) TouchSession(ctx context.Context, id string, seen time.Time) error {
	n, err := s.exec(ctx, "touch session",
		"UPDATE sessions SET last_seen = CASE WHEN last_seen > $2 THEN last_seen ELSE $2 END WHERE id = $1",
		args{id, seen.UnixMicro()})
	if err == nil && n == 0 {
		err = fmt.Errorf("store: touch session: %w", hub.ErrNotFound)
	}
	return err
}

// DeleteSession implements [hub.SessionStore].
func (s *Store) DeleteSession(ctx context.Context, id string) error {
	_, err := s.exec(ctx, "delete session", "DELETE FROM sessions WHERE id = $1", args{id})
	return err
}

// DeleteSessionsBefore implements [hub.SessionStore].
func (s *Store) DeleteSessionsBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "delete old sessions", "DELETE FROM sessions WHERE expires < $1", args{then.UnixMicro()})
}

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const tokenColumns = "user_id, service, hash, client_id, browser_id, server_id, scopes, note, created, last_activity, expires, code_hash"

// CreateToken implements [hub.TokenStore].
func (s *Store) CreateToken(ctx context.Context, t hub.Token) (hub.Token, error) {
	scopes, err := words(t.Scopes)
	if err != nil {
		return hub.Token{}, err
	}
	made := t
	err = s.returning(ctx, "create token", `
		INSERT INTO tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT DO NOTHING RETURNING id`,
		args{
			null(t.UserID), null(t.Service), t.Hash, null(t.ClientID), null(t.BrowserID), null(t.ServerID), scopes, t.Note,
			micros(t.Created), micros(t.LastActivity), micros(t.Expires), nullHash(t.CodeHash),
		}, &made.ID)
	if isNothing(err) {
		return hub.Token{}, fmt.Errorf("store: create token: %w", hub.ErrExists)
	}
	if err != nil {
		return hub.Token{}, err
	}
	if len(made.Scopes) == 0 {
		made.Scopes = nil
	}
	for _, at := range []*time.Time{&made.Created, &made.LastActivity, &made.Expires} {
		*at = rounded(*at)
	}
	return made, nil
}

func tokenFields(t *hub.Token) []any {
	return []any{
		&t.ID, textOf{&t.UserID}, textOf{&t.Service}, &t.Hash, textOf{&t.ClientID}, textOf{&t.BrowserID}, textOf{&t.ServerID}, wordsOf{&t.Scopes}, &t.Note,
		timeOf{&t.Created}, timeOf{&t.LastActivity}, timeOf{&t.Expires}, &t.CodeHash,
	}
}

// TokenByHash implements [hub.TokenStore].
func (s *Store) TokenByHash(ctx context.Context, hash []byte) (hub.Token, error) {
	var t hub.Token
	err := s.byKey(ctx, "find token", "SELECT id, "+tokenColumns+" FROM tokens WHERE hash = $1", args{hash}, tokenFields(&t)...)
	return t, err
}

// TokenByID implements [hub.TokenStore].
func (s *Store) TokenByID(ctx context.Context, userID string, id int64) (hub.Token, error) {
	var t hub.Token
	err := s.byKey(ctx, "find token", "SELECT id, "+tokenColumns+" FROM tokens WHERE id = $1 AND user_id = $2",
		args{id, userID}, tokenFields(&t)...)
	return t, err
}

// Tokens implements [hub.TokenStore].
func (s *Store) Tokens(ctx context.Context, userID string) ([]hub.Token, error) {
	return s.tokens(ctx, "SELECT id, "+tokenColumns+" FROM tokens WHERE user_id = $1 ORDER BY id", userID)
}

// TokensOfService implements [hub.TokenStore].
func (s *Store) TokensOfService(ctx context.Context, service string) ([]hub.Token, error) {
	return s.tokens(ctx, "SELECT id, "+tokenColumns+" FROM tokens WHERE service = $1 ORDER BY id", service)
}

func (s *Store) tokens(ctx context.Context, query, owner string) ([]hub.Token, error) {
	return all(ctx, s, "list tokens", query, args{owner}, func(scan scanner) (t hub.Token, err error) {
		err = scan(tokenFields(&t)...)
		return t, err
	})
}

// DeleteToken implements [hub.TokenStore].
func (s *Store) DeleteToken(ctx context.Context, id int64) error {
	_, err := s.exec(ctx, "delete token", "DELETE FROM tokens WHERE id = $1", args{id})
	return err
}

// DeleteTokenOfCode implements [hub.TokenStore].
func (s *Store) DeleteTokenOfCode(ctx context.Context, clientID string, code []byte) (bool, error) {
	n, err := s.exec(ctx, "delete the token of a code", "DELETE FROM tokens WHERE code_hash = $1 AND client_id = $2", args{code, clientID})
	return n > 0, err
}

// DeleteTokensOfBrowser implements [hub.TokenStore]. A token that belongs to no browser has NULL for one, which equals nothing,
// not even "": the like holds for the two methods that follow.
func (s *Store) DeleteTokensOfBrowser(ctx context.Context, userID, browserID string) error {
	_, err := s.exec(ctx, "delete tokens of a browser", "DELETE FROM tokens WHERE user_id = $1 AND browser_id = $2",
		args{userID, browserID})
	return err
}

// DeleteTokensOfClient implements [hub.TokenStore].
func (s *Store) DeleteTokensOfClient(ctx context.Context, clientID, userID string) error {
	_, err := s.exec(ctx, "delete tokens of a client", "DELETE FROM tokens WHERE client_id = $1 AND ($2 = '' OR user_id = $2)",
		args{clientID, userID})
	return err
}

// DeleteTokensOfServer implements [hub.TokenStore].
func (s *Store) DeleteTokensOfServer(ctx context.Context, serverID string) error {
	_, err := s.exec(ctx, "delete tokens of a server", "DELETE FROM tokens WHERE server_id = $1", args{serverID})
	return err
}

// DeleteTokensOfService implements [hub.TokenStore].
func (s *Store) DeleteTokensOfService(ctx context.Context, service string, keep ...[]byte) error {
	query, a := "DELETE FROM tokens WHERE service = $1", args{service}
	for i, hash := range keep {
		query += fmt.Sprintf(" AND hash <> $%d", i+2)
		a = append(a, hash)
	}
	_, err := s.exec(ctx, "delete tokens of a service", query, a)
	return err
}

// DeleteTokensBefore implements [hub.TokenStore].
func (s *Store) DeleteTokensBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "delete old tokens", "DELETE FROM tokens WHERE expires < $1", args{then.UnixMicro()})
}

package store

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

const codeColumns = "hash, client_id, user_id, browser_id, redirect_uri, scopes, challenge, challenge_type, expires"

// PutClient implements [hub.OAuthStore].
func (s *Store) PutClient(ctx context.Context, c hub.OAuthClient) error {
	scopes, err := words(c.AllowedScopes)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "put client", `
		INSERT INTO oauth_clients (id, secret_hash, redirect_uri, server_id, service, description, allowed_scopes)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET secret_hash = excluded.secret_hash, redirect_uri = excluded.redirect_uri,
			server_id = excluded.server_id, service = excluded.service, description = excluded.description, allowed_scopes = excluded.allowed_scopes`,
		args{c.ID, c.SecretHash, c.RedirectURI, null(c.ServerID), null(c.Service), c.Description, scopes})
	return err
}

// Client implements [hub.OAuthStore].
func (s *Store) Client(ctx context.Context, id string) (hub.OAuthClient, error) {
	var c hub.OAuthClient
	err := s.byKey(ctx, "find client",
		"SELECT id, secret_hash, redirect_uri, server_id, service, description, allowed_scopes FROM oauth_clients WHERE id = $1", args{id},
		&c.ID, &c.SecretHash, &c.RedirectURI, textOf{&c.ServerID}, textOf{&c.Service}, &c.Description, wordsOf{&c.AllowedScopes})
	return c, err
}

// DeleteClientsOfServer implements [hub.OAuthStore]; codes and tokens go by the foreign keys.
func (s *Store) DeleteClientsOfServer(ctx context.Context, serverID string) error {
	_, err := s.exec(ctx, "delete clients of a server", "DELETE FROM oauth_clients WHERE server_id = $1", args{serverID})
	return err
}

// DeleteClientsOfService implements [hub.OAuthStore]; codes and tokens go by the foreign keys.
func (s *Store) DeleteClientsOfService(ctx context.Context, service, keep string) error {
	_, err := s.exec(ctx, "delete clients of a service", "DELETE FROM oauth_clients WHERE service = $1 AND id <> $2", args{service, keep})
	return err
}

// CreateCode implements [hub.OAuthStore].
func (s *Store) CreateCode(ctx context.Context, c hub.OAuthCode) error {
	scopes, err := words(c.Scopes)
	if err != nil {
		return err
	}
	return s.mustWrite(ctx, "create code",
		"INSERT INTO oauth_codes ("+codeColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
		args{c.Hash, c.ClientID, c.UserID, c.BrowserID, c.RedirectURI, scopes, c.Challenge, c.ChallengeType, micros(c.Expires)})
}

// CodeByHash implements [hub.OAuthStore].
func (s *Store) CodeByHash(ctx context.Context, hash []byte) (hub.OAuthCode, error) {
	var c hub.OAuthCode
	err := s.byKey(ctx, "find code", "SELECT "+codeColumns+" FROM oauth_codes WHERE hash = $1", args{hash},
		&c.Hash, &c.ClientID, &c.UserID, &c.BrowserID, &c.RedirectURI, wordsOf{&c.Scopes},
		&c.Challenge, &c.ChallengeType, timeOf{&c.Expires})
	return c, err
}

// TakeCode implements [hub.OAuthStore].
func (s *Store) TakeCode(ctx context.Context, hash []byte) (bool, error) {
	n, err := s.exec(ctx, "take code", "DELETE FROM oauth_codes WHERE hash = $1", args{hash})
	return n == 1, err
}

// DeleteCodesBefore implements [hub.OAuthStore].
func (s *Store) DeleteCodesBefore(ctx context.Context, then time.Time) (int, error) {
	return s.exec(ctx, "delete old codes", "DELETE FROM oauth_codes WHERE expires < $1", args{then.UnixMicro()})
}

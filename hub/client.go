package hub

import (
	"context"
	"time"
)

// OAuthClient is a program that asks the hub who its visitor is: a notebook server, or a service.
type OAuthClient struct {
	ID          string // "jupyterhub-user-alice"
	SecretHash  []byte // SHA-256
	RedirectURI string // compared by string equality; may be a path
	ServerID    string // the server behind it; "" if it is a service
	Service     string // the name of the service behind it; "" if it is a server
	Description string // shown on the consent page: "Server at /user/alice/"
	// AllowedScopes are what the client may ask for; access and identity come on top.
	AllowedScopes []string
}

// OAuthCode is an authorization code: it can be exchanged once, within minutes, for a token.
type OAuthCode struct {
	Hash          []byte // SHA-256 of the code
	ClientID      string
	UserID        string
	BrowserID     string
	RedirectURI   string
	Scopes        []string
	Challenge     string // PKCE, "" if none was sent
	ChallengeType string // "S256", or "" if none was sent
	Expires       time.Time
}

// OAuthStore keeps clients and codes.
type OAuthStore interface {
	// PutClient creates or replaces a client. Tokens issued to it stay.
	PutClient(ctx context.Context, c OAuthClient) error
	Client(ctx context.Context, id string) (OAuthClient, error)
	// DeleteClientsOfServer removes the server's clients with their codes and the tokens issued to them.
	DeleteClientsOfServer(ctx context.Context, serverID string) error
	// DeleteClientsOfService removes the service's clients, but not the one with the ID keep, with their codes and the tokens issued to them.
	DeleteClientsOfService(ctx context.Context, service, keep string) error
	CreateCode(ctx context.Context, c OAuthCode) error
	// CodeByHash also returns codes that have expired.
	CodeByHash(ctx context.Context, hash []byte) (OAuthCode, error)
	// TakeCode deletes the code and tells whether this call was the one that did: of two at once, one wins.
	TakeCode(ctx context.Context, hash []byte) (bool, error)
	// DeleteCodesBefore removes what expired before then, and says how many.
	DeleteCodesBefore(ctx context.Context, then time.Time) (int, error)
}

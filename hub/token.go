package hub

import (
	"context"
	"time"
)

// Token is permission to speak to the API as its owner, within Scopes. Only a hash of the secret is stored.
type Token struct {
	ID     int64  // "a7" in the API is 7
	UserID string // owner; "" if it is a service
	// Service is the name of the service that owns it, or "".
	Service string
	// Hash is the SHA-256 of the secret. The secrets are random and long, so a slow hash would buy nothing.
	Hash []byte
	// ClientID is the OAuth client that the token was issued to, or "" for one that a person or the hub made.
	ClientID string
	// CodeHash is the SHA-256 of the authorization code that the token was given for, or nil. A code gives one token; see [TokenStore].DeleteTokenOfCode.
	CodeHash []byte
	// BrowserID ties the token to a browser session, or is "".
	BrowserID string
	// ServerID is set on the token that a server itself speaks with; it dies when the server stops.
	ServerID     string
	Scopes       []string // raw, as granted; what they amount to is decided at each request
	Note         string
	Created      time.Time
	LastActivity time.Time // zero: never used
	Expires      time.Time // zero: never
}

// TokenStore keeps tokens.
type TokenStore interface {
	// CreateToken stores the token and returns it with its ID. ErrExists if the hash is taken, or its code has given a token.
	CreateToken(ctx context.Context, t Token) (Token, error)
	// TokenByHash also returns tokens that have expired; the caller looks at the clock.
	TokenByHash(ctx context.Context, hash []byte) (Token, error)
	TokenByID(ctx context.Context, userID string, id int64) (Token, error)
	// Tokens returns a user's tokens by ID.
	Tokens(ctx context.Context, userID string) ([]Token, error)
	// TokensOfService returns a service's tokens by ID.
	TokensOfService(ctx context.Context, service string) ([]Token, error)
	// TouchTokens moves the tokens' last activity forward, never back, in one statement; unknown IDs are skipped.
	TouchTokens(ctx context.Context, used map[int64]time.Time) error
	// DeleteToken is nil for the unknown.
	DeleteToken(ctx context.Context, id int64) error
	// DeleteTokenOfCode removes the token that the client was given for the authorization code with this hash, and tells whether there was one.
	DeleteTokenOfCode(ctx context.Context, clientID string, code []byte) (bool, error)
	// DeleteTokensOfBrowser removes what was issued to this user in this browser session.
	DeleteTokensOfBrowser(ctx context.Context, userID, browserID string) error
	// DeleteTokensOfClient removes what was issued to this OAuth client; userID "" means for all users.
	DeleteTokensOfClient(ctx context.Context, clientID, userID string) error
	// DeleteTokensOfServer removes the tokens which the server itself speaks with.
	DeleteTokensOfServer(ctx context.Context, serverID string) error
	// DeleteTokensOfService removes the tokens that the service owns, but not those with one of these hashes.
	DeleteTokensOfService(ctx context.Context, service string, keep ...[]byte) error
	// DeleteTokensBefore removes what expired before then, and says how many.
	DeleteTokensBefore(ctx context.Context, then time.Time) (int, error)
}

package hub

import (
	"context"
	"time"
)

// Share lets a user, or the members of a group, use somebody's server.
type Share struct {
	ID         int64
	ServerID   string
	UserName   string // of the server's owner; read with the row
	ServerName string // read with the row; "" is the default server
	Ready      bool   // the server is; read with the row
	User       string // name of who may use it; "" if it is a group
	Group      string // name of the group whose members may; "" if it is a user
	// Scopes are names without limits, such as "access:servers", sorted. They hold for the server alone, by whatever name it and its owner go.
	Scopes  []string
	Created time.Time
}

// ShareCode is a secret by which whoever holds it may join a server.
type ShareCode struct {
	ID                   int64 // "sc_7" in the API is 7
	ServerID             string
	UserName, ServerName string   // as in [Share]
	Ready                bool     // as in [Share]
	Hash                 []byte   // SHA-256 of the code
	Scopes               []string // as in [Share]
	Created, Expires     time.Time
	Exchanges            int
	LastExchanged        time.Time // zero: never
}

// ShareQuery selects shares, by ID. Fields that are set narrow it.
type ShareQuery struct {
	ID       int64
	OwnerID  string // shares of this user's servers
	ServerID string
	UserID   string   // shares with this user
	Groups   []string // shares with one of these groups
	// Either joins UserID and Groups by "or".
	Either bool
	Offset int
	Limit  int // 0: no limit
}

// ShareCodeQuery selects codes, by ID; those that have expired are left out.
type ShareCodeQuery struct {
	OwnerID, ServerID string
	Now               time.Time
	Offset, Limit     int
}

// ShareStore keeps shares and their codes. They go with the server, and with the user or group that they are for.
type ShareStore interface {
	// PutShare creates the share of the server with this user or group, or replaces its scopes, and returns it with its ID. ErrNotFound if server, user
	// or group is gone.
	PutShare(ctx context.Context, serverID, userID, group string, scopes []string, now time.Time) (Share, error)
	Shares(ctx context.Context, q ShareQuery) (shares []Share, total int, err error)
	DeleteShare(ctx context.Context, id int64) error // nil for the unknown
	// DeleteSharesOfServer removes all, and says how many.
	DeleteSharesOfServer(ctx context.Context, serverID string) (int, error)

	CreateShareCode(ctx context.Context, c ShareCode) (ShareCode, error)
	ShareCodes(ctx context.Context, q ShareCodeQuery) (codes []ShareCode, total int, err error)
	// ShareCodeByHash also returns codes that have expired.
	ShareCodeByHash(ctx context.Context, hash []byte) (ShareCode, error)
	// CountExchange notes that a code was used.
	CountExchange(ctx context.Context, id int64, now time.Time) error
	// DeleteShareCodes removes the server's code with this ID or hash, or all with neither, and says how many.
	DeleteShareCodes(ctx context.Context, serverID string, id int64, hash []byte) (int, error)
	DeleteShareCodesBefore(ctx context.Context, then time.Time) (int, error)
}

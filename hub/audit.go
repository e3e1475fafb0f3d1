package hub

import (
	"context"
	"encoding/json"
	"time"
)

// AuditEntry is one privileged act. It never changes once it is written, and outlives what it is about.
type AuditEntry struct {
	ID      int64
	At      time.Time
	Kind    string // of the actor: "user", "service" or "hub"; "" if it is not known who it was
	Actor   string // name
	Token   int64  // ID of the token that was shown; 0: a browser's session, or none
	Address string // from where, without port
	Action  string // "server.start"
	Target  string // "server/alice/lab"
	Owner   string // name of the user whom it concerns; "": nobody
	OwnerID string // ID of that user, who may read it too if it is about a server; "": nobody may
	Result  AuditResult
	Detail  json.RawMessage // a JSON object without secrets; nil: {}
}

// AuditResult is how an act ended.
type AuditResult string

// The results of acts.
const (
	AuditDone    AuditResult = "done"
	AuditRefused AuditResult = "refused" // by a rule
	AuditFailed  AuditResult = "failed"  // by a fault
)

// Kinds of actors.
const (
	ActorUser    = "user"
	ActorService = "service"
	ActorHub     = "hub"
)

// AuditQuery selects entries, the newest first.
type AuditQuery struct {
	Owner, OwnerID, Actor string // "": all
	Actions               []string
	// Servers leaves only what is about servers, which is what owners may read.
	Servers      bool
	Since, Until time.Time // zero: open; Until itself is left out
	Before       int64     // only entries with a lower ID, to go on from the last page; 0: from the newest
	Limit        int       // 0: no limit
}

// AuditStore is a log to which one can only add.
type AuditStore interface {
	// AddAudit appends entries in one statement; their IDs are ignored.
	AddAudit(ctx context.Context, entries []AuditEntry) error
	Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
	// DeleteAuditBefore forgets what is older, and says how many.
	DeleteAuditBefore(ctx context.Context, then time.Time) (int, error)
}

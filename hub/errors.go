package hub

import (
	"errors"
	"fmt"
	"time"
)

// Sentinels that a [Store] returns; everything else it returns is a fault of the database.
var (
	// ErrNotFound means that no such row exists.
	ErrNotFound = errors.New("hub: not found")
	// ErrExists means that a row with the same key exists already.
	ErrExists = errors.New("hub: exists already")
	// ErrStale means that the row was changed since it was read; read it again and decide anew.
	ErrStale = errors.New("hub: changed meanwhile")
)

// Kind says what sort of trouble an [Error] is, in terms of who can do something about it.
type Kind int

// The kinds of errors. The zero value is for what nobody foresaw.
const (
	Internal        Kind = iota // a fault of ours; the person sees a general sentence, the log sees the cause
	Invalid                     // the request cannot be right
	Unauthenticated             // who are you?
	Forbidden                   // we know you, and you may not
	NotFound                    // there is none, or you may not know that there is
	Conflict                    // it exists already, or something else is under way
	TooMany                     // a limit is reached; see RetryAfter
	Unavailable                 // Nomad, Consul, Vault or the database is away; try again
	NotRunning                  // the server asked for does not run
)

// Error is an error that a person may see.
type Error struct {
	Kind Kind
	// Message is a sentence for the person: what happened and what to do. It holds no secret and no internals.
	Message string
	// RetryAfter, if not zero, is how long to wait before trying again.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error of the kind with the sentence.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf tells the kind of err: that of the first [Error] in its chain, else what a store's sentinel says, else Internal.
func KindOf(err error) Kind {
	if he, ok := errors.AsType[*Error](err); ok {
		return he.Kind
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return NotFound
	case errors.Is(err, ErrExists), errors.Is(err, ErrStale):
		return Conflict
	}
	return Internal
}

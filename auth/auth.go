// Package auth is the contract of authenticators: who is at the door. Who of them may enter is decided in package hub from the
// [Identity], so that every authenticator gets the same allow-lists and groups.
package auth

import (
	"context"
	"errors"
	"net/http"
)

// ErrDenied means that the credentials are wrong or the provider refused; wrapping errors carry the cause for the log.
var ErrDenied = errors.New("auth: credentials refused")

// ErrUnavailable means that the provider could not be asked. The person may try again.
var ErrUnavailable = errors.New("auth: provider not reachable")

// Identity is who somebody is, as one provider tells it.
type Identity struct {
	Provider string   // the authenticator's ID in the configuration
	Subject  string   // immutable at the provider: a numeric ID, an OIDC "sub"
	Name     string   // proposed user name, before normalising
	Groups   []string // nil: the provider says nothing of groups; empty: it says there are none
	Roles    []string // names of the hub's roles; nil: the provider says nothing of them; empty: it says there are none
	Admin    *bool    // nil: the provider says nothing
}

// Authenticator is what every authenticator is; it is also a [Password] or a [Redirect].
type Authenticator interface {
	// ID names the authenticator in URLs and in the configuration: "github", "corp".
	ID() string
	// Label is what the login page shows: "GitHub".
	Label() string
}

// Password asks for a name and a password on the hub's own page.
type Password interface {
	Authenticator
	// Login returns the identity, ErrDenied, or ErrUnavailable.
	Login(ctx context.Context, name, password string) (Identity, error)
}

// Redirect sends the browser to a provider and receives it back.
type Redirect interface {
	Authenticator
	// Begin returns where to send the browser, and what must be kept, tied to this browser, until it comes back (state,
	// nonce, PKCE verifier). callback is the absolute URL at which it will.
	Begin(ctx context.Context, callback string) (url string, flow Flow, err error)
	// Finish reads the provider's answer from the callback request. flow is what Begin returned for this browser; a
	// state that does not match is ErrDenied.
	Finish(ctx context.Context, r *http.Request, callback string, flow Flow) (Identity, error)
}

// Flow is the memory of one login through a provider. It is sealed into a short-lived cookie of the browser.
type Flow struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce,omitempty"`
	Verifier string `json:"verifier,omitempty"`
}

// Package dummy lets in whoever asks, under any name. It is for trying things out on one's own machine; that nobody else can reach the
// hub is for the configuration to ensure.
package dummy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/secret"
)

// Config is the block of the configuration.
type Config struct {
	Label    string       `hcl:"label,optional" doc:"What the login page shows; default: \"Test login\"."`
	Password secret.Value `hcl:"password,optional" doc:"The password of everybody; default: any password will do."`
}

// Authenticator believes everybody.
type Authenticator struct {
	id, label string
	password  secret.Value
}

var _ auth.Password = (*Authenticator)(nil)

// Open makes the authenticator with this ID.
func Open(cfg Config, id string) (*Authenticator, error) {
	if id == "" {
		return nil, errors.New("dummy: the authenticator has no ID")
	}
	return &Authenticator{id: id, label: cmp.Or(cfg.Label, "Test login"), password: cfg.Password}, nil
}

// ID names the authenticator.
func (a *Authenticator) ID() string { return a.id }

// Label is what the login page shows.
func (a *Authenticator) Label() string { return a.label }

// AnyPassword tells that no password is configured, so that everybody who can reach the hub can be anybody.
func (a *Authenticator) AnyPassword() bool { return a.password == "" }

// Login believes the name, and fails with ErrDenied if it is empty or the password is wrong.
func (a *Authenticator) Login(_ context.Context, name, password string) (auth.Identity, error) {
	// Hashes are of one length, so the comparison does not tell how long the password is.
	given, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(a.password.Reveal()))
	if a.password != "" && subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return auth.Identity{}, fmt.Errorf("%w: wrong password", auth.ErrDenied)
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return auth.Identity{}, fmt.Errorf("%w: empty name", auth.ErrDenied)
	}
	// One person, however the name is typed.
	subject := norm.NFC.String(strings.ToLower(norm.NFC.String(name)))
	return auth.Identity{Provider: a.id, Subject: subject, Name: name}, nil
}

// Package link is the way in for whoever started the hub: a link with a code that works once. It is how the first administrator
// of a fresh hub logs in, and the way back in when a provider is away.
package link

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/auth"
)

// DefaultLifetime is how long a code is good for.
const DefaultLifetime = 15 * time.Minute

// Options configure an Authenticator.
type Options struct {
	ID       string           // "": "link"
	Label    string           // "": "One-time link"
	Name     string           // of the user who gets in; "": "admin"
	Lifetime time.Duration    // of a code; 0: DefaultLifetime
	Now      func() time.Time // nil: time.Now
}

// Authenticator gives out codes and takes them back. It keeps one at a time, in memory: a restart makes it worthless.
type Authenticator struct {
	opts Options

	mu      sync.Mutex
	hash    [sha256.Size]byte // of the code; the code itself is not kept
	expires time.Time         // zero: there is no code
}

var _ auth.Authenticator = (*Authenticator)(nil)

// New makes an authenticator without a code.
func New(o Options) (*Authenticator, error) {
	if o.Lifetime < 0 {
		return nil, errors.New("link: the lifetime of a code is negative")
	}
	o.ID, o.Label, o.Name = cmp.Or(o.ID, "link"), cmp.Or(o.Label, "One-time link"), cmp.Or(o.Name, "admin")
	o.Lifetime = cmp.Or(o.Lifetime, DefaultLifetime)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Authenticator{opts: o}, nil
}

// ID names the authenticator.
func (a *Authenticator) ID() string { return a.opts.ID }

// Label is what people call it. The login page shows no button for it: whoever has the link needs none.
func (a *Authenticator) Label() string { return a.opts.Label }

// Issue makes a new code and says until when it is good. The code before it is worthless from then on.
func (a *Authenticator) Issue() (code string, expires time.Time) {
	code = rand.Text() + rand.Text() // 260 bits
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hash, a.expires = sha256.Sum256([]byte(code)), a.opts.Now().Add(a.opts.Lifetime)
	return code, a.expires
}

// Redeem returns the identity of an administrator for the code, once. Every other code is ErrDenied, and does no harm to the good one.
func (a *Authenticator) Redeem(code string) (auth.Identity, error) {
	hash := sha256.Sum256([]byte(code))
	a.mu.Lock()
	defer a.mu.Unlock()
	same := subtle.ConstantTimeCompare(hash[:], a.hash[:]) == 1
	switch {
	case a.expires.IsZero() || !same:
		return auth.Identity{}, fmt.Errorf("%w: the link was used before, or another one was made since", auth.ErrDenied)
	case !a.opts.Now().Before(a.expires):
		return auth.Identity{}, fmt.Errorf("%w: the link has expired", auth.ErrDenied)
	}
	a.hash, a.expires = [sha256.Size]byte{}, time.Time{}
	return auth.Identity{Provider: a.opts.ID, Subject: a.opts.Name, Name: a.opts.Name, Admin: new(true)}, nil
}

package secret

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// An unknown key in a code may be one that another replica has already begun to use. So it is worth a look into the store, but
// not more often than this, and nobody waits longer than that: anyone may send us such codes.
const (
	unknownKeyPause   = time.Second
	unknownKeyTimeout = 2 * time.Second
)

// RingOptions configure a Ring.
type RingOptions struct {
	Store    Store         // required
	Name     string        // required: the secret that holds the keys
	Interval time.Duration // between reads; 0 means DefaultInterval
	Logger   *slog.Logger  // nil: nothing is logged
}

// Ring is the key ring as the store has it now: it follows the store's newest version, and keeps the last good one while the
// store is away or holds something useless. It never invents a key: before Load has succeeded it signs nothing, and nothing verifies.
type Ring struct {
	*watch

	keys  atomic.Pointer[KeyRing]
	tried time.Time // guarded by watch.reading
}

// NewRing checks the options; Load reads the keys.
func NewRing(o RingOptions) (*Ring, error) {
	if o.Store == nil || o.Name == "" {
		return nil, errors.New("secret: a key ring needs a store and the name of its secret")
	}
	r := &Ring{}
	r.watch = newWatch(o.Store, o.Name, o.Interval, o.Logger, r.apply)
	return r, nil
}

// Load reads the keys for the first time, or again. It fails with ErrNotFound, ErrUnavailable, or the reason why they are of no use.
func (r *Ring) Load(ctx context.Context) error { return r.refresh(ctx) }

// Run reads the keys again every interval until ctx ends, and returns its error.
func (r *Ring) Run(ctx context.Context) error { return r.run(ctx) }

// Keys returns the ring in use, nil before Load.
func (r *Ring) Keys() *KeyRing { return r.keys.Load() }

func (r *Ring) apply(s Secret) error {
	ring, err := NewKeyRing(s)
	if err != nil {
		return err
	}
	old := r.keys.Swap(ring)
	if old != nil && (old.current != ring.current || !slices.Equal(old.IDs(), ring.IDs())) {
		r.log.Info("key ring changed", "secret", r.name, "current", ring.current, "keys", ring.IDs())
	}
	return nil
}

// Sign is KeyRing.Sign with the newest key. Before Load it returns "", which nothing verifies.
func (r *Ring) Sign(purpose string, message []byte) (code string) {
	ring := r.keys.Load()
	if ring == nil {
		return ""
	}
	return ring.Sign(purpose, message)
}

// Verify is KeyRing.Verify with every key of the newest ring. For a code by an unknown key it reads the store once more, at most
// once a second: another replica may have seen a new key first, and nobody shall be logged out for that.
func (r *Ring) Verify(purpose string, message []byte, code string) bool {
	ring := r.ringFor(code)
	return ring != nil && ring.Verify(purpose, message, code)
}

// Seal is KeyRing.Seal with the newest key. It fails before Load.
func (r *Ring) Seal(purpose string, plaintext []byte) (string, error) {
	ring := r.keys.Load()
	if ring == nil {
		return "", ErrUnavailable
	}
	return ring.Seal(purpose, plaintext)
}

// Open is KeyRing.Open with every key of the newest ring; see Verify for unknown keys.
func (r *Ring) Open(purpose, sealed string) ([]byte, error) {
	ring := r.ringFor(sealed)
	if ring == nil {
		return nil, ErrSealed
	}
	return ring.Open(purpose, sealed)
}

func (r *Ring) ringFor(code string) *KeyRing {
	ring := r.keys.Load()
	if ring == nil || !plausible(code) || ring.knows(code) {
		return ring
	}
	ctx, cancel := context.WithTimeout(context.Background(), unknownKeyTimeout)
	defer cancel()
	r.refreshIfOlder(ctx, unknownKeyPause, &r.tried)
	return r.keys.Load()
}

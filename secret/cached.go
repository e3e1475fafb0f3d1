package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// CachedOptions configure a Cached value.
type CachedOptions struct {
	Store    Store         // required
	Name     string        // required: the secret
	Key      string        // required: the value within it, such as "client_secret"
	Interval time.Duration // between reads; 0 means DefaultInterval
	Logger   *slog.Logger  // nil: nothing is logged
}

// Cached is one value of one secret, in memory, as the store has it now. While the store is away the last good value stays.
type Cached struct {
	*watch

	key   string
	value atomic.Pointer[Value]
}

// NewCached checks the options; Load reads the value.
func NewCached(o CachedOptions) (*Cached, error) {
	if o.Store == nil || o.Name == "" || o.Key == "" {
		return nil, errors.New("secret: a cached value needs a store, the name of its secret and its key in it")
	}
	c := &Cached{key: o.Key}
	c.watch = newWatch(o.Store, o.Name, o.Interval, o.Logger, c.apply)
	return c, nil
}

// Load reads the value for the first time. It fails with ErrNotFound, also when the secret lacks the key, or ErrUnavailable.
func (c *Cached) Load(ctx context.Context) error { return c.refresh(ctx) }

// Refresh reads the value at once: somebody said that the one we have is wrong. On failure the last good value stays.
func (c *Cached) Refresh(ctx context.Context) error { return c.refresh(ctx) }

// Run reads the value again every interval until ctx ends, and returns its error.
func (c *Cached) Run(ctx context.Context) error { return c.run(ctx) }

// Get returns the value from memory, "" before Load.
func (c *Cached) Get() Value {
	if v := c.value.Load(); v != nil {
		return *v
	}
	return ""
}

func (c *Cached) apply(s Secret) error {
	text := strings.TrimSpace(s.Values[c.key].Reveal()) // files and shells add line ends
	if text == "" {
		return fmt.Errorf("%w: it has no value %q", ErrNotFound, c.key)
	}
	v := Value(text)
	c.value.Store(&v)
	return nil
}

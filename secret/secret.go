// Package secret is where secrets come from: Vault (secret/vault), a private file (secret/file) or the environment. It is a leaf:
// it imports nothing of this program.
package secret

import (
	"context"
	"errors"
	"log/slog"
)

// ErrNotFound means that the store answered and has no such secret.
var ErrNotFound = errors.New("secret: not found")

// ErrUnavailable means that the store did not answer. What was read before stays valid.
var ErrUnavailable = errors.New("secret: store not reachable")

// Store reads secrets by name. A secret is a small map of strings, as in Vault's KV version 2.
type Store interface {
	// Get returns the newest version of the secret.
	Get(ctx context.Context, name string) (Secret, error)
}

// Secret is one version of a named secret.
type Secret struct {
	Values  map[string]Value
	Version int // 0 where the store has no versions
}

// Value is a string that shows itself to nobody by accident.
type Value string

// Reveal returns the secret text, for the one place that needs it.
func (v Value) Reveal() string { return string(v) }

// String hides the value.
func (v Value) String() string { return "(redacted)" }

// GoString hides the value from %#v.
func (v Value) GoString() string { return "(redacted)" }

// LogValue hides the value from slog.
func (v Value) LogValue() slog.Value { return slog.StringValue("(redacted)") }

// MarshalText hides the value from encoders.
func (v Value) MarshalText() ([]byte, error) { return []byte("(redacted)"), nil }

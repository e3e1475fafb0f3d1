// Package env takes secrets from environment variables, for trials and for platforms that know nothing better. Whoever may look at
// the process sees them, so a file or Vault is preferable.
package env

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nomadhub/nomadhub/secret"
)

// DefaultPrefix begins the name of every variable that holds a secret.
const DefaultPrefix = "NOMADHUB_SECRET_"

// Options configure a Store.
type Options struct {
	// Environ is the environment as os.Environ returns it.
	Environ []string
	// Prefix begins the names of the variables; "" means DefaultPrefix.
	Prefix string
}

// Store reads secrets from the environment that the process was started with. The value "client_secret" of the secret
// "oauth/github" is the variable NOMADHUB_SECRET_OAUTH_GITHUB__CLIENT_SECRET: prefix, name and key in upper case, two underscores
// between the latter, every other character an underscore. Keys are read as lower case.
type Store struct {
	values map[string]map[string]secret.Value // by name as written in variables
}

var _ secret.Store = (*Store)(nil)

// New reads the environment. It fails when a variable with the prefix cannot be a secret, so that no typing error is silently ignored.
func New(o Options) (*Store, error) {
	prefix := o.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	s := &Store{values: make(map[string]map[string]secret.Value)}
	for _, entry := range o.Environ {
		variable, value, _ := strings.Cut(entry, "=")
		rest, ok := strings.CutPrefix(variable, prefix)
		if !ok {
			continue
		}
		name, key, ok := strings.Cut(rest, "__")
		if !ok || name == "" || key == "" {
			return nil, fmt.Errorf("secret: the variable %s must be named %sNAME__KEY", variable, prefix)
		}
		if s.values[name] == nil {
			s.values[name] = make(map[string]secret.Value)
		}
		s.values[name][strings.ToLower(key)] = secret.Value(value)
	}
	return s, nil
}

// Get returns the secret of that name.
func (s *Store) Get(_ context.Context, name string) (secret.Secret, error) {
	if name == "" {
		return secret.Secret{}, errors.New("secret: the name of a secret is empty")
	}
	values, ok := s.values[Variable(name)]
	if !ok {
		return secret.Secret{}, fmt.Errorf("%w: no variable %s%s__…", secret.ErrNotFound, DefaultPrefix, Variable(name))
	}
	return secret.Secret{Values: values}, nil
}

// Variable returns a secret's name as it is written in variables: "oauth/github" is "OAUTH_GITHUB".
func Variable(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
}

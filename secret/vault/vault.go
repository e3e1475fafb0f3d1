// Package vault reads secrets from Vault's key/value store, version 2.
//
// A Store logs in by itself and again whenever its token comes to an age or is refused, so that it outlives every token: a renewal
// stops working at the token's maximum lifetime, when it is revoked and when Vault is restored from a backup; a login does not.
package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/nomadhub/nomadhub/secret"
)

// Options say where Vault is and how to log in there: by TokenFile, AppRole or JWT, of which at most one may be set. With none
// of them the token is that of VAULT_TOKEN, for as long as it lives. Other VAULT_ variables keep their usual meaning too.
type Options struct {
	Address   string        // "": VAULT_ADDR
	Namespace string        // "": VAULT_NAMESPACE
	CACert    string        // file with the certificates that sign Vault's; "": VAULT_CACERT
	Mount     string        // of the key/value store; "": "secret"
	Prefix    string        // put before every secret's name: "nomadhub"
	Timeout   time.Duration // of one request; 0: 5 seconds

	// TokenFile is a file with a token that somebody else keeps fresh, as Nomad does for a task; it is read for every request.
	TokenFile string
	// AppRole and JWT are ways to log in.
	AppRole *AppRole
	JWT     *JWT

	Logger *slog.Logger // nil: nothing is logged
}

// AppRole logs in with a role ID and a secret ID.
type AppRole struct {
	Mount        string // of the login method; "": "approle"
	RoleID       string
	SecretIDFile string // file with the secret ID, read at every login
}

// JWT logs in with a signed proof of identity, such as the one that Nomad gives to a task.
type JWT struct {
	Mount string // of the login method; "": "jwt-nomad"
	Role  string // "": the method's default role
	File  string // file with the proof, read at every login, since it is replaced before it expires
}

// Store reads secrets from one key/value store. It is safe for concurrent use.
type Store struct {
	client *api.Client
	mount  string
	prefix string
	tokens tokens
}

var _ secret.Store = (*Store)(nil)

// New checks the options. It does not speak to Vault yet.
func New(o Options) (*Store, error) {
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	tokens, err := newTokens(client, o)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: client,
		mount:  strings.Trim(cmp.Or(o.Mount, "secret"), "/"),
		prefix: strings.Trim(o.Prefix, "/"),
		tokens: tokens,
	}, nil
}

func newClient(o Options) (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("vault: read the environment: %w", config.Error)
	}
	config.Address = cmp.Or(o.Address, config.Address)
	config.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	config.MaxRetries = 0 // whoever asks, asks again; a person may be waiting
	if o.CACert != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: o.CACert}); err != nil {
			return nil, fmt.Errorf("vault: certificates in %s: %w", o.CACert, err)
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if o.Namespace != "" {
		client.SetNamespace(o.Namespace)
	}
	return client, nil
}

// Get returns the newest version of a secret. It fails with ErrNotFound if there is none or it is deleted, and with ErrUnavailable
// if Vault is away, sealed or overloaded. Other errors say what Vault refused.
func (s *Store) Get(ctx context.Context, name string) (secret.Secret, error) {
	if !localName(name) {
		return secret.Secret{}, fmt.Errorf("vault: %q is not the name of a secret", name)
	}
	token, err := s.tokens.token(ctx)
	if err != nil {
		return secret.Secret{}, err
	}
	got, err := s.read(ctx, token, name)
	if !refused(err) {
		return got, err
	}
	// The token may have been revoked. One more attempt with another one, if there is another one.
	if token, ok := s.tokens.instead(ctx, token); ok {
		return s.read(ctx, token, name)
	}
	return got, err
}

func (s *Store) read(ctx context.Context, token, name string) (secret.Secret, error) {
	where := path.Join(s.prefix, name)
	got, err := withToken(s.client, token).KVv2(s.mount).Get(ctx, where)
	switch {
	case errors.Is(err, api.ErrSecretNotFound):
		return secret.Secret{}, fmt.Errorf("%w: Vault has nothing at %s in the key/value store %s", secret.ErrNotFound, where, s.mount)
	case err != nil:
		return secret.Secret{}, explain(fmt.Sprintf("read %s from the key/value store %s", where, s.mount), err)
	case got.Data == nil:
		return secret.Secret{}, fmt.Errorf("%w: the newest version of %s in the key/value store %s is deleted", secret.ErrNotFound, where, s.mount)
	}
	out := secret.Secret{Values: make(map[string]secret.Value, len(got.Data))}
	for key, value := range got.Data {
		text, ok := asText(value)
		if !ok {
			return secret.Secret{}, fmt.Errorf("vault: the value %q of %s is not a text", key, where)
		}
		out.Values[key] = secret.Value(text)
	}
	if got.VersionMetadata != nil {
		out.Version = got.VersionMetadata.Version
	}
	return out, nil
}

// localName tells whether a name stays below the prefix.
func localName(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// asText accepts what people write without quotes, too.
func asText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// withToken returns a client for one request. The shared one has no token, so none can be sent by mistake with a login.
func withToken(c *api.Client, token string) *api.Client {
	return c.WithRequestCallbacks(func(r *api.Request) { r.ClientToken = token })
}

// refused tells whether Vault said that this token may not do this. It does not say whether a better token might.
func refused(err error) bool {
	answer, ok := errors.AsType[*api.ResponseError](err)
	return ok && answer.StatusCode == http.StatusForbidden
}

// explain turns the client's error, which spreads over many lines, into one; and everything that may pass by itself into ErrUnavailable.
func explain(doing string, err error) error {
	answer, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		return fmt.Errorf("%w: %s: %w", secret.ErrUnavailable, doing, err)
	}
	said := strings.Join(strings.Fields(strings.Join(answer.Errors, "; ")), " ")
	if len(said) > 300 {
		said = said[:300] + "…"
	}
	told := &refusal{doing: doing, said: fmt.Sprintf("Vault answered %d: %s", answer.StatusCode, said), answer: answer}
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("%w: %w", secret.ErrUnavailable, told)
	}
	return told
}

// refusal is an answer of Vault in one line.
type refusal struct {
	doing, said string
	answer      *api.ResponseError
}

func (r *refusal) Error() string { return "vault: " + r.doing + ": " + r.said }

func (r *refusal) Unwrap() error { return r.answer }

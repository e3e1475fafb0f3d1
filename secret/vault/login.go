package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/nomadhub/nomadhub/secret"
)

// loginPause is the least time between two logins. A policy that forbids us to read would otherwise look like a lost token for
// ever, and each login leaves one behind in Vault.
const loginPause = 15 * time.Second

// tokens is where the token for a request comes from.
type tokens interface {
	// token returns one that ought to work.
	token(ctx context.Context) (string, error)
	// instead returns another one after Vault refused this one, if there is a chance that it is better.
	instead(ctx context.Context, refused string) (string, bool)
}

func newTokens(client *api.Client, o Options) (tokens, error) {
	ways := 0
	for _, set := range []bool{o.TokenFile != "", o.AppRole != nil, o.JWT != nil} {
		if set {
			ways++
		}
	}
	given := client.Token() // VAULT_TOKEN
	client.ClearToken()
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case ways > 1:
		return nil, errors.New("vault: a token file, AppRole and JWT exclude one another; set one of them")
	case o.TokenFile != "":
		return tokenFile(o.TokenFile), nil
	case o.AppRole != nil:
		if o.AppRole.RoleID == "" || o.AppRole.SecretIDFile == "" {
			return nil, errors.New("vault: a login by AppRole needs a role ID and a file with the secret ID")
		}
		return &login{client: client, log: log, mount: cmp.Or(o.AppRole.Mount, "approle"), body: o.AppRole.body, pause: loginPause}, nil
	case o.JWT != nil:
		if o.JWT.File == "" {
			return nil, errors.New("vault: a login by JWT needs the file with the JWT")
		}
		return &login{client: client, log: log, mount: cmp.Or(o.JWT.Mount, "jwt-nomad"), body: o.JWT.body, pause: loginPause}, nil
	case given != "":
		return fixed(given), nil
	default:
		return nil, errors.New("vault: there is no way to log in; set a token file, AppRole, JWT or VAULT_TOKEN")
	}
}

// fixed is a token that nobody replaces.
type fixed string

func (f fixed) token(context.Context) (string, error) { return string(f), nil }

func (f fixed) instead(context.Context, string) (string, bool) { return "", false }

// tokenFile is a token that somebody else replaces.
type tokenFile string

func (f tokenFile) token(context.Context) (string, error) { return readFile("token", string(f)) }

func (f tokenFile) instead(ctx context.Context, refused string) (string, bool) {
	token, err := f.token(ctx)
	return token, err == nil && token != refused
}

func (a *AppRole) body() (map[string]any, error) {
	id, err := readFile("secret ID", a.SecretIDFile)
	return map[string]any{"role_id": a.RoleID, "secret_id": id}, err
}

func (j *JWT) body() (map[string]any, error) {
	jwt, err := readFile("JWT", j.File)
	return map[string]any{"role": j.Role, "jwt": jwt}, err
}

func readFile(what, path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w: no %s to log in to Vault with: %w", secret.ErrUnavailable, what, err)
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return "", fmt.Errorf("%w: no %s to log in to Vault with: %s is empty", secret.ErrUnavailable, what, path)
	}
	return trimmed, nil
}

// login is a token that we get for ourselves.
type login struct {
	client *api.Client
	log    *slog.Logger
	mount  string
	body   func() (map[string]any, error)
	pause  time.Duration // least time between two logins

	mu      sync.Mutex
	current string
	since   time.Time // when the last login succeeded
	renewAt time.Time // when to log in again; zero: never
	expires time.Time // zero: never
}

func (l *login) token(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.current != "" && (l.renewAt.IsZero() || now.Before(l.renewAt)) {
		return l.current, nil
	}
	err := l.logIn(ctx)
	if err == nil {
		return l.current, nil
	}
	if l.current != "" && now.Before(l.expires) {
		// Not at every request: a Vault that hangs would slow down each of them.
		l.renewAt = now.Add(min(l.pause, l.expires.Sub(now)))
		l.log.Warn("login to vault failed, the token in hand stays in use", "expires", l.expires, "err", err)
		return l.current, nil
	}
	return "", err
}

func (l *login) instead(ctx context.Context, refused string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != refused { // somebody else has logged in since
		return l.current, l.current != ""
	}
	if time.Since(l.since) < l.pause {
		return "", false
	}
	if err := l.logIn(ctx); err != nil {
		l.log.Warn("login to vault failed after a refusal", "err", err)
		return "", false
	}
	return l.current, true
}

func (l *login) logIn(ctx context.Context) error {
	body, err := l.body()
	if err != nil {
		return err
	}
	where := "auth/" + strings.Trim(l.mount, "/") + "/login"
	answer, err := l.client.Logical().WriteWithContext(ctx, where, body)
	if err != nil {
		return explain("log in at "+where, err)
	}
	if answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "" {
		return fmt.Errorf("vault: log in at %s: Vault sent no token", where)
	}
	l.current, l.since = answer.Auth.ClientToken, time.Now()
	l.renewAt, l.expires = time.Time{}, time.Time{}
	if ttl := time.Duration(answer.Auth.LeaseDuration) * time.Second; ttl > 0 {
		l.expires = l.since.Add(ttl)
		// Between a half and two thirds of the lifetime: early enough to try often, and not all replicas at once.
		l.renewAt = l.since.Add(ttl/2 + rand.N(ttl/6+1))
	}
	l.log.Debug("logged in to vault", "mount", l.mount, "expires", l.expires)
	return nil
}

package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/internal/redirect"
)

const (
	// discoveryAge is after what time the provider is asked again what it offers.
	discoveryAge = time.Hour
	// discoveryPause is how long a failure counts for all: many people may be waiting for a provider that does not answer.
	discoveryPause = 2 * time.Second
)

// provider is what discovery found, in a form that is ready for use.
type provider struct {
	*gooidc.Provider
	keys     gooidc.KeySet
	algs     []string
	basic    bool // whether the client secret may be sent as HTTP Basic
	sendsIss bool // whether answers name their issuer, by RFC 9207
	found    time.Time
}

// discovery asks a provider for its endpoints when they are first needed, and now and then again.
type discovery struct {
	issuer string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	turn chan struct{} // holds one element while somebody looks at what follows, or asks
	last *provider
	err  error
	when time.Time // of err
}

func newDiscovery(issuer string, client *http.Client, now func() time.Time, log *slog.Logger) *discovery {
	return &discovery{issuer: issuer, client: client, now: now, log: log, turn: make(chan struct{}, 1)}
}

// get returns the provider's endpoints, or ErrUnavailable.
func (d *discovery) get(ctx context.Context) (*provider, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, ctx.Err())
	}
	if d.last != nil && d.now().Sub(d.last.found) < discoveryAge {
		return d.last, nil
	}
	if d.err != nil && d.now().Sub(d.when) < discoveryPause {
		return d.last, d.failure()
	}
	p, err := d.ask(ctx)
	if err != nil {
		d.err, d.when = err, d.now()
		if ctx.Err() != nil { // the asker left; that says nothing of the provider
			d.err = nil
		}
		d.log.WarnContext(ctx, "discovery of the login provider failed", "issuer", d.issuer, "known", d.last != nil, "err", err)
		if d.last != nil {
			return d.last, nil
		}
		return nil, unavailable(err)
	}
	d.last, d.err = p, nil
	return p, nil
}

// failure is nil when something older is known: endpoints hardly ever change.
func (d *discovery) failure() error {
	if d.last != nil {
		return nil
	}
	return unavailable(d.err)
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
}

func (d *discovery) ask(ctx context.Context) (*provider, error) {
	found, err := gooidc.NewProvider(gooidc.ClientContext(ctx, d.client), d.issuer)
	if err != nil {
		return nil, fmt.Errorf("discover %s: %w", d.issuer, shorten(err))
	}
	var more struct {
		Keys     string   `json:"jwks_uri"`
		Algs     []string `json:"id_token_signing_alg_values_supported"`
		Auth     []string `json:"token_endpoint_auth_methods_supported"`
		SendsIss bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, fmt.Errorf("discover %s: %w", d.issuer, err)
	}
	for name, endpoint := range map[string]string{
		"authorization_endpoint": found.Endpoint().AuthURL, "token_endpoint": found.Endpoint().TokenURL, "jwks_uri": more.Keys,
	} {
		if err := redirect.CheckURL(endpoint); err != nil {
			return nil, fmt.Errorf("discover %s: %s: %w", d.issuer, name, err)
		}
	}
	return &provider{
		Provider: found,
		keys:     newKeys(d.client, more.Keys),
		algs:     asymmetric(more.Algs),
		basic:    len(more.Auth) == 0 || slices.Contains(more.Auth, "client_secret_basic"), // the default by the standard
		sendsIss: more.SendsIss,
		found:    d.now(),
	}, nil
}

// asymmetric leaves the algorithms that are signatures: "none" is none, and an HMAC would be made with a key that others know.
func asymmetric(offered []string) []string {
	safe := []string{
		gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512,
		gooidc.PS256, gooidc.PS384, gooidc.PS512, gooidc.EdDSA,
	}
	algs := slices.DeleteFunc(slices.Clone(offered), func(alg string) bool { return !slices.Contains(safe, alg) })
	if len(algs) == 0 {
		return []string{gooidc.RS256}
	}
	return algs
}

// oauth returns the protocol's parameters for this provider.
func (p *provider) oauth(cfg Config, callback string) oauth2.Config {
	endpoint := p.Endpoint()
	// Never by trial and error: the first attempt would use up the code.
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	if cfg.TokenAuth == "basic" || cfg.TokenAuth == "" && p.basic && !cfg.Public {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return oauth2.Config{ClientID: cfg.ClientID, Endpoint: endpoint, RedirectURL: callback, Scopes: cfg.Scopes}
}

// shorten keeps the page that a broken provider sends out of the log: the library's errors quote it.
func shorten(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return err
	}
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return errors.New(text)
}

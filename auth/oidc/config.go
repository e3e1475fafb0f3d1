// Package oidc logs people in with an OpenID Connect provider: authorization code flow with PKCE, state and nonce, endpoints by
// discovery, and an ID token whose signature, issuer, audience and time are verified.
package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/internal/redirect"
	"github.com/nomadhub/nomadhub/secret"
)

// Config is the block of the configuration.
type Config struct {
	Label    string `hcl:"label,optional" doc:"What the login page shows; default: the authenticator's ID."`
	Issuer   string `hcl:"issuer" doc:"The provider's URL, exactly as it calls itself. Its endpoints are discovered below it."`
	ClientID string `hcl:"client_id" doc:"What the provider calls this hub."`
	Secret   string `hcl:"secret,optional" doc:"Which secret of the secret store holds the value client_secret; default: oauth/ID."`
	Public   bool   `hcl:"public_client,optional" doc:"Whether the provider gave no client secret, so that none is looked for."`

	Scopes        []string `hcl:"scopes,optional" doc:"What the provider is asked for; default: openid, profile and email. openid is always asked for."`
	UsernameClaim string   `hcl:"username_claim,optional" doc:"The claim that becomes the user name; default: preferred_username. With email, only addresses that the provider has verified."`
	GroupsClaim   string   `hcl:"groups_claim,optional" doc:"The claim that lists the groups, with dots into nested claims: realm_access.roles. Default: the provider says nothing of groups."`
	AdminGroups   []string `hcl:"admin_groups,optional" doc:"Members of any of these groups are administrators, and others are not. Default: the provider does not decide that."`
	RolesClaim    string   `hcl:"roles_claim,optional" doc:"The claim that lists roles of the hub, with dots like groups_claim. Users have exactly those of their last login beside the configured ones; names of roles that the hub has not are ignored. Default: the provider says nothing of roles."`
	AdminRole     bool     `hcl:"admin_from_roles,optional" doc:"Whether the role admin in roles_claim makes administrators, and its absence makes them none. Otherwise it is ignored there."`
	UserInfo      bool     `hcl:"userinfo,optional" doc:"Whether to ask the provider's userinfo endpoint too, for claims that are not in its ID token."`

	AuthParams map[string]string `hcl:"auth_params,optional" doc:"Added to the URL of the provider's login page: {prompt = \"login\"}."`
	TokenAuth  string            `hcl:"token_auth,optional" doc:"How the client secret is sent: basic or post; default: as the provider's discovery says."`
	CAFile     string            `hcl:"ca_file,optional" doc:"File with certificates to trust for the provider, beside the system's."`
	Timeout    string            `hcl:"timeout,optional" doc:"Of one request to the provider; default: 10s."`
}

// Deps are what the authenticator needs of others.
type Deps struct {
	// ID names the authenticator: required.
	ID string
	// Secret returns the client secret as it is now: required unless the client is public. It is asked at every login.
	Secret func() secret.Value
	// Refresh makes Secret look into its store at once, since the provider refused what it returned. nil: it cannot.
	Refresh func(context.Context) error
	Logger  *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now
}

// SecretName is the name of the secret with the client secret, "" for a public client.
func (c Config) SecretName(id string) string {
	if c.Public {
		return ""
	}
	return cmp.Or(c.Secret, "oauth/"+id)
}

// reserved are the parameters of the login page's URL that the protocol decides.
var reserved = []string{
	"client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "request", "request_uri",
	"response_mode", "response_type", "scope", "state",
}

// Open makes the authenticator. It does not speak to the provider yet, so that a provider which is away does not keep the hub from starting.
func Open(cfg Config, d Deps) (*Authenticator, error) {
	if err := cfg.validate(d); err != nil {
		return nil, fmt.Errorf("authenticator %q: %w", d.ID, err)
	}
	client, err := redirect.NewHTTP(cfg.CAFile, cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("authenticator %q: %w", d.ID, err)
	}
	cfg.Label = cmp.Or(cfg.Label, d.ID)
	cfg.UsernameClaim = cmp.Or(cfg.UsernameClaim, "preferred_username")
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(cfg.Scopes, "openid") {
		cfg.Scopes = append([]string{"openid"}, cfg.Scopes...)
	}
	if cfg.Public {
		d.Secret, d.Refresh = nil, nil
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &Authenticator{
		cfg: cfg, id: d.ID, now: d.Now,
		client:    redirect.Client{Secret: d.Secret, Refresh: d.Refresh, HTTP: client, Log: d.Logger},
		discovery: newDiscovery(cfg.Issuer, client, d.Now, d.Logger),
	}, nil
}

func (c Config) validate(d Deps) error {
	if err := redirect.CheckURL(c.Issuer); err != nil {
		return fmt.Errorf("issuer %q: %w", c.Issuer, err)
	}
	switch {
	case d.ID == "":
		return errors.New("it has no ID")
	case c.ClientID == "":
		return errors.New("client_id is empty")
	case d.Secret == nil && !c.Public:
		return errors.New("it has no client secret; set public_client if the provider gave none")
	case len(c.AdminGroups) > 0 && c.GroupsClaim == "":
		return errors.New("admin_groups needs groups_claim: without it nobody would ever be in a group")
	case c.AdminRole && c.RolesClaim == "":
		return errors.New("admin_from_roles needs roles_claim: without it nobody would ever have the role")
	case !slices.Contains([]string{"", "basic", "post"}, c.TokenAuth):
		return fmt.Errorf("token_auth is %q, and must be basic or post", c.TokenAuth)
	}
	for name := range c.AuthParams {
		if slices.Contains(reserved, name) {
			return fmt.Errorf("auth_params sets %q, which the protocol decides", name)
		}
	}
	return nil
}

var _ auth.Redirect = (*Authenticator)(nil)

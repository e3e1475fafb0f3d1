// Package github logs people in with GitHub or GitHub Enterprise: OAuth 2.0 with PKCE and state, the numeric ID as what never
// changes, and organizations and teams as groups.
package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/internal/redirect"
	"github.com/nomadhub/nomadhub/secret"
)

// ReadOrg is the scope without which GitHub does not tell private memberships, nor teams.
const ReadOrg = "read:org"

// Config is the block of the configuration.
type Config struct {
	Label    string `hcl:"label,optional" doc:"What the login page shows; default: GitHub."`
	ClientID string `hcl:"client_id" doc:"The client ID of the OAuth app."`
	Secret   string `hcl:"secret,optional" doc:"Which secret of the secret store holds the value client_secret; default: oauth/ID."`

	URL    string `hcl:"url,optional" doc:"GitHub Enterprise's own URL; default: https://github.com."`
	APIURL string `hcl:"api_url,optional" doc:"Its API; default: https://api.github.com, or /api/v3 below url."`

	Scopes      []string `hcl:"scopes,optional" doc:"What GitHub is asked for; default: nothing. With read:org, organizations (\"org\") and teams (\"org:team\") become groups."`
	AdminGroups []string `hcl:"admin_groups,optional" doc:"Members of any of these groups are administrators, and others are not. Needs the scope read:org. Default: GitHub does not decide that."`

	AuthParams map[string]string `hcl:"auth_params,optional" doc:"Added to the URL of GitHub's login page: {allow_signup = \"false\"}."`
	CAFile     string            `hcl:"ca_file,optional" doc:"File with certificates to trust for GitHub Enterprise, beside the system's."`
	Timeout    string            `hcl:"timeout,optional" doc:"Of one request to GitHub; default: 10s."`
}

// Deps are what the authenticator needs of others.
type Deps struct {
	// ID names the authenticator: required.
	ID string
	// Secret returns the client secret as it is now: required. It is asked at every login.
	Secret func() secret.Value
	// Refresh makes Secret look into its store at once, since GitHub refused what it returned. nil: it cannot.
	Refresh func(context.Context) error
	Logger  *slog.Logger // nil: nothing is logged
}

// SecretName is the name of the secret with the client secret.
func (c Config) SecretName(id string) string { return cmp.Or(c.Secret, "oauth/"+id) }

// Open makes the authenticator. It does not speak to GitHub yet.
func Open(cfg Config, d Deps) (*Authenticator, error) {
	if cfg.APIURL == "" && cfg.URL != "" {
		cfg.APIURL = strings.TrimRight(cfg.URL, "/") + "/api/v3"
	}
	cfg.Label = cmp.Or(cfg.Label, "GitHub")
	cfg.URL = strings.TrimRight(cmp.Or(cfg.URL, "https://github.com"), "/")
	cfg.APIURL = strings.TrimRight(cmp.Or(cfg.APIURL, "https://api.github.com"), "/")
	if err := cfg.validate(d); err != nil {
		return nil, fmt.Errorf("authenticator %q: %w", d.ID, err)
	}
	client, err := redirect.NewHTTP(cfg.CAFile, cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("authenticator %q: %w", d.ID, err)
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return &Authenticator{
		cfg: cfg, id: d.ID,
		client: redirect.Client{Secret: d.Secret, Refresh: d.Refresh, HTTP: client, Log: d.Logger},
		oauth: oauth2.Config{
			ClientID: cfg.ClientID, Scopes: cfg.Scopes,
			Endpoint: oauth2.Endpoint{
				AuthURL: cfg.URL + "/login/oauth/authorize", TokenURL: cfg.URL + "/login/oauth/access_token",
				AuthStyle: oauth2.AuthStyleInParams,
			},
		},
	}, nil
}

func (c Config) validate(d Deps) error {
	for name, address := range map[string]string{"url": c.URL, "api_url": c.APIURL} {
		if err := redirect.CheckURL(address); err != nil {
			return fmt.Errorf("%s %q: %w", name, address, err)
		}
	}
	switch {
	case d.ID == "":
		return errors.New("it has no ID")
	case c.ClientID == "":
		return errors.New("client_id is empty")
	case d.Secret == nil:
		return errors.New("it has no client secret")
	case len(c.AdminGroups) > 0 && !slices.Contains(c.Scopes, ReadOrg):
		return fmt.Errorf("admin_groups needs the scope %s: without it nobody would ever be in a group", ReadOrg)
	}
	for name := range c.AuthParams {
		if slices.Contains([]string{"client_id", "code_challenge", "code_challenge_method", "redirect_uri", "response_type", "scope", "state"}, name) {
			return fmt.Errorf("auth_params sets %q, which the protocol decides", name)
		}
	}
	return nil
}

var _ auth.Redirect = (*Authenticator)(nil)

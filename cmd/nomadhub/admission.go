package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth/github"
	"github.com/nomadhub/nomadhub/auth/oidc"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/secret"
)

// noSecrets stands in for the secret store while a configuration is only checked.
type noSecrets struct{}

func (noSecrets) Get(context.Context, string) (secret.Secret, error) {
	return secret.Secret{}, secret.ErrNotFound
}

// checkAuthenticators finds what is wrong with the blocks, without asking anybody.
func checkAuthenticators(cfg config.Config, environ []string) error {
	if _, _, err := openAuthenticators(cfg, environ, noSecrets{}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	for _, block := range cfg.Authenticators {
		if block.Type == "dummy" && (!config.Loopback(cfg.Listen.Public) || !localURL(cfg.Address())) {
			return fmt.Errorf("authenticator %q: the dummy believes every name, so the hub must listen on this machine only, and listen.public is %s%s",
				block.ID, cfg.Listen.Public, andURL(cfg.Address()))
		}
	}
	return nil
}

func andURL(public string) string {
	if public == "" {
		return ""
	}
	return ", public_url " + public
}

func localURL(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && (config.Loopback(u.Hostname()+":80") || strings.HasSuffix(u.Hostname(), ".localhost"))
}

// checkAdmission refuses a configuration that lets nobody in, or everybody without anybody having said so.
func checkAdmission(cfg config.Config, environ []string) error {
	if err := checkAuthenticators(cfg, environ); err != nil {
		return err
	}
	l := cfg.Login
	if len(cfg.Authenticators) == 0 {
		return errors.New("there is no way to log in: add an authenticator block")
	}
	if !l.AllowAll && len(l.AllowedUsers)+len(l.AllowedGroups)+len(l.AdminUsers) == 0 {
		return errors.New("nobody could enter: set allow_all, allowed_users, allowed_groups or admin_users in the login block")
	}
	if !l.AllowAll || l.Public {
		return nil
	}
	for _, block := range cfg.Authenticators {
		if k, options, err := decodeAuthenticator(block, environ); err != nil || k.forAll(options) {
			return errors.Join(err, fmt.Errorf("authenticator %q: with allow_all, everybody who has an account at this provider could enter, and anybody can get one; "+
				"name allowed_users or allowed_groups, or set public = true in the login block if that is meant", block.ID))
		}
	}
	return nil
}

func gitHubForAll(c github.Config) bool {
	u, err := url.Parse(c.URL)
	return c.URL == "" || err != nil || strings.EqualFold(u.Hostname(), "github.com")
}

// oidcForAll knows the providers at which everybody can get an account. It cannot know all of them; it is there for those that are met most.
func oidcForAll(c oidc.Config) bool {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return true
	}
	host := strings.ToLower(u.Hostname())
	if host == "login.microsoftonline.com" { // one's own tenant is not for all
		tenant, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
		return slices.Contains([]string{"common", "consumers", "organizations", "9188040d-6c67-4c5b-b112-36a304b66dad"}, strings.ToLower(tenant))
	}
	return slices.Contains([]string{
		"accounts.google.com", "appleid.apple.com", "cilogon.org", "gitlab.com", "orcid.org", "slack.com", "www.facebook.com", "www.linkedin.com",
		"api.login.yahoo.com", "id.twitch.tv",
	}, host)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/dummy"
	"github.com/nomadhub/nomadhub/auth/github"
	"github.com/nomadhub/nomadhub/auth/oidc"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/secret"
)

// opening is what an authenticator needs to be opened.
type opening struct {
	id      string
	log     *slog.Logger
	secrets secret.Store
	every   config.Duration
	// watch collects what has to run for as long as the authenticator is used.
	watch *[]func(context.Context) error
}

// kind is one type of authenticator: its options, and how it is made from a block.
type kind struct {
	defaults any
	open     func(block config.Authenticator, environ []string, o opening) (auth.Authenticator, error)
}

// kinds are all types of authenticators, by the first label of their block.
func kinds() map[string]kind {
	return map[string]kind{
		"dummy": {&dummy.Config{}, func(b config.Authenticator, environ []string, o opening) (auth.Authenticator, error) {
			var c dummy.Config
			if err := b.DecodeBody(&c, environ); err != nil {
				return nil, err
			}
			return dummy.Open(c, o.id)
		}},
		"github": {&github.Config{}, func(b config.Authenticator, environ []string, o opening) (auth.Authenticator, error) {
			var c github.Config
			if err := b.DecodeBody(&c, environ); err != nil {
				return nil, err
			}
			s, err := o.clientSecret(c.SecretName(o.id))
			if err != nil {
				return nil, err
			}
			return github.Open(c, github.Deps{ID: o.id, Secret: s.Get, Refresh: s.Refresh, Logger: o.log})
		}},
		"oidc": {&oidc.Config{}, func(b config.Authenticator, environ []string, o opening) (auth.Authenticator, error) {
			var c oidc.Config
			if err := b.DecodeBody(&c, environ); err != nil {
				return nil, err
			}
			d := oidc.Deps{ID: o.id, Logger: o.log}
			if !c.Public {
				s, err := o.clientSecret(c.SecretName(o.id))
				if err != nil {
					return nil, err
				}
				d.Secret, d.Refresh = s.Get, s.Refresh
			}
			return oidc.Open(c, d)
		}},
	}
}

// clientSecret follows one client secret in the secret store, so that changing it there needs no restart.
func (o opening) clientSecret(name string) (*secret.Cached, error) {
	s, err := secret.NewCached(secret.CachedOptions{Store: o.secrets, Name: name, Key: "client_secret", Interval: o.every.Value(), Logger: o.log})
	if err != nil {
		return nil, err
	}
	*o.watch = append(*o.watch, func(ctx context.Context) error {
		if err := s.Load(ctx); err != nil {
			o.log.WarnContext(ctx, "client secret not read yet; logins of this authenticator fail until it is", "authenticator", o.id, "secret", name, "err", err)
		}
		return s.Run(ctx)
	})
	return s, nil
}

// openAuthenticators makes the configured ways to log in, in order, and what has to run beside them.
func openAuthenticators(cfg config.Config, environ []string, secrets secret.Store, log *slog.Logger) ([]auth.Authenticator, []func(context.Context) error, error) {
	var ways []auth.Authenticator
	var watchers []func(context.Context) error
	var errs []error
	for _, block := range cfg.Authenticators {
		k, ok := kinds()[block.Type]
		if !ok {
			errs = append(errs, fmt.Errorf("authenticator %q %q: there is no such type; there are %s", block.Type, block.ID, strings.Join(kindNames(), ", ")))
			continue
		}
		way, err := k.open(block, environ, opening{id: block.ID, log: log, secrets: secrets, every: cfg.Secrets.Interval, watch: &watchers})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ways = append(ways, way)
	}
	return ways, watchers, errors.Join(errs...)
}

func kindNames() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func printAuthenticators(w io.Writer) {
	for _, name := range kindNames() {
		fmt.Fprintf(w, "\n# A way to log in. There may be several; the second label names it in URLs.\n")
		config.PrintOptions(w, name, name, kinds()[name].defaults)
	}
}

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
		if block.Type == "dummy" && (!config.Loopback(cfg.Listen.Public) || !localURL(cfg.PublicURL)) {
			return fmt.Errorf("authenticator %q: the dummy believes every name, so the hub must listen on this machine only, and listen.public is %s",
				block.ID, cfg.Listen.Public)
		}
	}
	return nil
}

func localURL(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && config.Loopback(u.Hostname()+":80")
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
	for _, block := range cfg.Authenticators {
		if l.AllowAll && !l.Public && block.Type == "github" && publicGitHub(block, environ) {
			return fmt.Errorf("authenticator %q: with allow_all, everybody who has an account at github.com could enter; "+
				"name allowed_users or allowed_groups, or set public = true in the login block if that is meant", block.ID)
		}
	}
	return nil
}

func publicGitHub(block config.Authenticator, environ []string) bool {
	var c github.Config
	if err := block.DecodeBody(&c, environ); err != nil {
		return true
	}
	u, err := url.Parse(c.URL)
	return c.URL == "" || err != nil || strings.EqualFold(u.Hostname(), "github.com")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// kind is one type of authenticator.
type kind struct {
	// decode reads the options of a block; a block without a body gives the defaults.
	decode func(block config.Authenticator, environ []string) (options any, err error)
	open   func(options any, o opening) (auth.Authenticator, error)
	// forAll tells whether anybody at all can get an account there.
	forAll func(options any) bool
}

func newKind[C any](open func(C, opening) (auth.Authenticator, error), forAll func(C) bool) kind {
	return kind{
		decode: func(block config.Authenticator, environ []string) (any, error) {
			var c C
			if block.Body == nil {
				return c, nil
			}
			err := block.DecodeBody(&c, environ)
			return c, err
		},
		open:   func(options any, o opening) (auth.Authenticator, error) { return open(options.(C), o) },
		forAll: func(options any) bool { return forAll(options.(C)) },
	}
}

// kinds are all types of authenticators, by the first label of their block.
func kinds() map[string]kind {
	return map[string]kind{
		"dummy":  newKind(openDummy, func(dummy.Config) bool { return false }), // who may reach it is checked elsewhere
		"github": newKind(openGitHub, gitHubForAll),
		"oidc":   newKind(openOIDC, oidcForAll),
	}
}

func openDummy(c dummy.Config, o opening) (auth.Authenticator, error) { return dummy.Open(c, o.id) }

func openGitHub(c github.Config, o opening) (auth.Authenticator, error) {
	s, err := o.clientSecret(c.SecretName(o.id))
	if err != nil {
		return nil, err
	}
	return github.Open(c, github.Deps{ID: o.id, Secret: s.Get, Refresh: s.Refresh, Logger: o.log})
}

func openOIDC(c oidc.Config, o opening) (auth.Authenticator, error) {
	d := oidc.Deps{ID: o.id, Logger: o.log}
	if !c.Public {
		s, err := o.clientSecret(c.SecretName(o.id))
		if err != nil {
			return nil, err
		}
		d.Secret, d.Refresh = s.Get, s.Refresh
	}
	return oidc.Open(c, d)
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
		k, options, err := decodeAuthenticator(block, environ)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		way, err := k.open(options, opening{id: block.ID, log: log, secrets: secrets, every: cfg.Secrets.Interval, watch: &watchers})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ways = append(ways, way)
	}
	return ways, watchers, errors.Join(errs...)
}

func decodeAuthenticator(block config.Authenticator, environ []string) (kind, any, error) {
	k, ok := kinds()[block.Type]
	if !ok {
		return kind{}, nil, fmt.Errorf("authenticator %q %q: there is no such type; there are %s", block.Type, block.ID, strings.Join(kindNames(), ", "))
	}
	options, err := k.decode(block, environ)
	return k, options, err
}

func kindNames() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

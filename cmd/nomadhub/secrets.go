package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/secret/env"
	"github.com/nomadhub/nomadhub/secret/file"
	"github.com/nomadhub/nomadhub/secret/vault"
)

// keysName is the secret that holds the key ring: its keys sign cookies and routes.
const keysName = "keys"

// openSecrets opens the place where secrets come from. A private file is made at the first start; the secrets of Vault and of the environment are the
// operator's to make.
func openSecrets(ctx context.Context, c config.Secrets, environ []string, log *slog.Logger) (secret.Store, error) {
	if c.Environment {
		return env.New(env.Options{Environ: environ})
	}
	if c.Vault == nil {
		f, err := file.New(c.File)
		if err != nil {
			return nil, err
		}
		return f, f.Create(ctx, keysName)
	}
	v := c.Vault
	o := vault.Options{Address: v.Address, Mount: v.Mount, Prefix: v.Prefix, TokenFile: v.TokenFile, Logger: log}
	if v.JWTFile != "" {
		o.JWT = &vault.JWT{Mount: v.JWTMount, Role: v.JWTRole, File: v.JWTFile}
	}
	return vault.New(o)
}

// loadKeys reads the key ring. Keys are never invented: without them the hub waits, alive but not ready.
func loadKeys(ctx context.Context, s secret.Store, c config.Secrets, log *slog.Logger) (*secret.Ring, error) {
	ring, err := secret.NewRing(secret.RingOptions{Store: s, Name: keysName, Interval: c.Interval.Value(), Logger: log})
	if err != nil {
		return nil, err
	}
	return ring, retry(ctx, log, "the key ring", ring.Load)
}

const (
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
)

// retry calls fn until it succeeds, for what may be away when the hub starts. It gives up when ctx ends.
func retry(ctx context.Context, log *slog.Logger, what string, fn func(context.Context) error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := fn(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		log.WarnContext(ctx, "waiting at start", "for", what, "err", err)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-t.C:
		}
	}
}

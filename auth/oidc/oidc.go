package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/internal/redirect"
)

// Authenticator sends people to one OpenID Connect provider.
type Authenticator struct {
	cfg       Config
	id        string
	now       func() time.Time
	client    redirect.Client
	discovery *discovery
}

// ID names the authenticator.
func (a *Authenticator) ID() string { return a.id }

// Label is what the login page shows.
func (a *Authenticator) Label() string { return a.cfg.Label }

// Begin returns the URL of the provider's login page. It fails with ErrUnavailable while the provider's endpoints are not known.
func (a *Authenticator) Begin(ctx context.Context, callback string) (string, auth.Flow, error) {
	p, err := a.discovery.get(ctx)
	if err != nil {
		return "", auth.Flow{}, err
	}
	flow := redirect.NewFlow(true)
	params := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(flow.Verifier), gooidc.Nonce(flow.Nonce)}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.AuthParams)) {
		params = append(params, oauth2.SetAuthURLParam(name, a.cfg.AuthParams[name]))
	}
	config := p.oauth(a.cfg, callback)
	return config.AuthCodeURL(flow.State, params...), flow, nil
}

// Finish verifies the provider's answer and returns who it vouches for.
func (a *Authenticator) Finish(ctx context.Context, r *http.Request, callback string, flow auth.Flow) (auth.Identity, error) {
	code, answer, err := redirect.Code(r, flow)
	if err != nil {
		return auth.Identity{}, err
	}
	p, err := a.discovery.get(ctx)
	if err != nil {
		return auth.Identity{}, err
	}
	// Another provider's answer must not be taken for this one's, whose token endpoint would then learn the other's code.
	if iss := answer.Get("iss"); iss != a.cfg.Issuer && (iss != "" || p.sendsIss) {
		return auth.Identity{}, fmt.Errorf("%w: the answer is by %.200q, not by %q", auth.ErrDenied, iss, a.cfg.Issuer)
	}
	token, err := a.client.Exchange(ctx, p.oauth(a.cfg, callback), code, flow.Verifier)
	if err != nil {
		return auth.Identity{}, err
	}
	verified, err := a.verify(ctx, p, token, flow)
	if err != nil {
		return auth.Identity{}, err
	}
	all, err := a.claims(ctx, p, token, verified)
	if err != nil {
		return auth.Identity{}, err
	}
	return a.identity(verified.Subject, all)
}

// verify returns the ID token if it was made by the provider, for us, now, and for this login.
func (a *Authenticator) verify(ctx context.Context, p *provider, token *oauth2.Token, flow auth.Flow) (*gooidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, fmt.Errorf("%w: the provider sent no ID token", auth.ErrDenied)
	}
	verifier := gooidc.NewVerifier(a.cfg.Issuer, p.keys, &gooidc.Config{
		ClientID: a.cfg.ClientID, SupportedSigningAlgs: p.algs, Now: a.now,
	})
	failed := &fetchFailure{}
	verified, err := verifier.Verify(context.WithValue(ctx, fetchFailureKey{}, failed), raw)
	switch {
	case failed.err != nil:
		return nil, fmt.Errorf("%w: the provider's keys: %w", auth.ErrUnavailable, failed.err)
	case err != nil:
		return nil, fmt.Errorf("%w: ID token: %w", auth.ErrDenied, shorten(err))
	case flow.Nonce == "" || !redirect.Same(verified.Nonce, flow.Nonce):
		return nil, fmt.Errorf("%w: the ID token was made for another login", auth.ErrDenied)
	case verified.Subject == "" || len(verified.Subject) > 255: // the standard's bound
		return nil, fmt.Errorf("%w: the ID token names nobody", auth.ErrDenied)
	}
	if verified.AccessTokenHash != "" {
		if err := verified.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: the access token is not the one of the ID token", auth.ErrDenied)
		}
	}
	return verified, a.checkParty(verified)
}

// checkParty refuses a token that was issued to somebody else, even if we are among those who may read it.
func (a *Authenticator) checkParty(t *gooidc.IDToken) error {
	var party struct {
		Authorized *string `json:"azp"`
	}
	if err := t.Claims(&party); err != nil {
		return fmt.Errorf("%w: ID token: %w", auth.ErrDenied, err)
	}
	if party.Authorized == nil && len(t.Audience) == 1 || party.Authorized != nil && *party.Authorized == a.cfg.ClientID {
		return nil
	}
	return fmt.Errorf("%w: the ID token was issued to another client", auth.ErrDenied)
}

// claims returns what the ID token says, and what the userinfo endpoint says where that was configured.
func (a *Authenticator) claims(ctx context.Context, p *provider, token *oauth2.Token, verified *gooidc.IDToken) (claims, error) {
	all := claims{}
	if err := verified.Claims(&all); err != nil {
		return nil, fmt.Errorf("%w: ID token: %w", auth.ErrDenied, err)
	}
	if !a.cfg.UserInfo {
		return all, nil
	}
	info, err := p.UserInfo(gooidc.ClientContext(ctx, a.client.HTTP), oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("%w: userinfo: %w", auth.ErrUnavailable, shorten(err))
	}
	// The answer is not signed. Without this check a token of one person could be filled with the claims of another.
	if !redirect.Same(info.Subject, verified.Subject) {
		return nil, fmt.Errorf("%w: the userinfo endpoint speaks of somebody else", auth.ErrDenied)
	}
	var more map[string]json.RawMessage
	if err := info.Claims(&more); err != nil {
		return nil, fmt.Errorf("%w: userinfo: %w", auth.ErrUnavailable, err)
	}
	return all.merge(more), nil
}

package github

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/internal/redirect"
)

// Authenticator sends people to GitHub.
type Authenticator struct {
	cfg    Config
	id     string
	client redirect.Client
	oauth  oauth2.Config // without a secret and a callback
}

// ID names the authenticator.
func (a *Authenticator) ID() string { return a.id }

// Label is what the login page shows.
func (a *Authenticator) Label() string { return a.cfg.Label }

// Begin returns the URL of GitHub's login page. It never fails: nothing has to be asked first.
func (a *Authenticator) Begin(_ context.Context, callback string) (string, auth.Flow, error) {
	flow := redirect.NewFlow(false)
	params := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(flow.Verifier)}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.AuthParams)) {
		params = append(params, oauth2.SetAuthURLParam(name, a.cfg.AuthParams[name]))
	}
	config := a.oauth
	config.RedirectURL = callback
	return config.AuthCodeURL(flow.State, params...), flow, nil
}

// Finish takes GitHub's answer and asks its API who the person is.
func (a *Authenticator) Finish(ctx context.Context, r *http.Request, callback string, flow auth.Flow) (auth.Identity, error) {
	code, _, err := redirect.Code(r, flow)
	if err != nil {
		return auth.Identity{}, err
	}
	config := a.oauth
	config.RedirectURL = callback
	token, err := a.client.Exchange(ctx, config, code, flow.Verifier)
	if err != nil {
		return auth.Identity{}, err
	}
	api := &api{url: a.cfg.APIURL, http: a.client.HTTP, token: token.AccessToken}
	who, err := api.user(ctx)
	if err != nil {
		return auth.Identity{}, err
	}
	id := auth.Identity{Provider: a.id, Subject: strconv.FormatInt(who.ID, 10), Name: who.Login}
	if !slices.Contains(a.cfg.Scopes, ReadOrg) {
		return id, nil
	}
	// GitHub may give less than was asked for. Unknown groups must not pass for no groups, nor leave those of the last login.
	if granted, _ := token.Extra("scope").(string); !readsOrg(granted) {
		return auth.Identity{}, fmt.Errorf("%w: GitHub was asked for %s and granted %.200q", auth.ErrDenied, ReadOrg, granted)
	}
	if id.Groups, err = api.groups(ctx); err != nil {
		return auth.Identity{}, err
	}
	if len(a.cfg.AdminGroups) > 0 {
		id.Admin = new(slices.ContainsFunc(id.Groups, func(g string) bool { return slices.Contains(a.cfg.AdminGroups, g) }))
	}
	return id, nil
}

// readsOrg tells whether granted scopes, separated by commas or spaces, include read:org. The larger ones do.
func readsOrg(granted string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(granted, func(r rune) bool { return r == ',' || r == ' ' }), func(s string) bool {
		return s == ReadOrg || s == "write:org" || s == "admin:org"
	})
}

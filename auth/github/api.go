package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth"
)

const (
	pageSize = 100 // the most that GitHub gives at once
	maxPages = 50  // of one list
)

// api is GitHub's REST API in the name of one person.
type api struct {
	url   string
	http  *http.Client
	token string
}

type account struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Type  string `json:"type"`
}

// user asks who the person is. The ID counts: a login can be given up, and taken by somebody else.
func (a *api) user(ctx context.Context) (account, error) {
	var who account
	if _, err := a.get(ctx, "/user", &who); err != nil {
		return account{}, err
	}
	if who.ID <= 0 || who.Login == "" || who.Type != "User" {
		return account{}, fmt.Errorf("%w: GitHub named no person, but %.100q with ID %d of type %.100q", auth.ErrDenied, who.Login, who.ID, who.Type)
	}
	return who, nil
}

// groups asks for the person's organizations ("org") and teams ("org:team"), sorted.
func (a *api) groups(ctx context.Context) ([]string, error) {
	groups := []string{}
	orgs, err := list[account](ctx, a, "/user/orgs")
	if err != nil {
		return nil, err
	}
	for _, org := range orgs {
		groups = append(groups, org.Login)
	}
	type team struct {
		Slug         string  `json:"slug"`
		Organization account `json:"organization"`
	}
	teams, err := list[team](ctx, a, "/user/teams")
	if err != nil {
		return nil, err
	}
	for _, t := range teams {
		groups = append(groups, t.Organization.Login+":"+t.Slug)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// list reads all pages of a list. It counts the pages itself, and follows no link to elsewhere with the token in hand.
func list[T any](ctx context.Context, a *api, path string) ([]T, error) {
	var all []T
	for page := 1; page <= maxPages; page++ {
		var some []T
		more, err := a.get(ctx, fmt.Sprintf("%s?per_page=%d&page=%d", path, pageSize, page), &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if !more {
			return all, nil
		}
	}
	return nil, fmt.Errorf("%w: GitHub lists more than %d entries at %s", auth.ErrUnavailable, maxPages*pageSize, path)
}

// get reads one answer and tells whether there are more pages of it.
func (a *api) get(ctx context.Context, path string, into any) (more bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return false, fmt.Errorf("ask GitHub: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("User-Agent", "nomadhub") // GitHub refuses those who do not say who they are
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	resp, err := a.http.Do(req)
	if err != nil {
		return false, fmt.Errorf("%w: ask GitHub: %w", auth.ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return false, fmt.Errorf("%w: GitHub does not accept its own token for %s", auth.ErrDenied, path)
	default: // 403 is a rate limit more often than a refusal
		return false, fmt.Errorf("%w: GitHub answered %s with status %d", auth.ErrUnavailable, path, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return false, fmt.Errorf("%w: GitHub's answer to %s: %w", auth.ErrUnavailable, path, err)
	}
	return strings.Contains(resp.Header.Get("Link"), `rel="next"`), nil
}

package github_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/authtest"
	"github.com/nomadhub/nomadhub/auth/github"
	"github.com/nomadhub/nomadhub/secret"
)

func open(t *testing.T, p *authtest.Provider, s func() secret.Value, change func(*github.Config)) *github.Authenticator {
	t.Helper()
	cfg := github.Config{ClientID: authtest.ClientID, URL: p.URL() + "/", CAFile: p.CAFile(), Scopes: []string{github.ReadOrg}}
	change(&cfg)
	a, err := github.Open(cfg, github.Deps{ID: "test", Secret: s})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func as(*github.Config) {}

func TestRedirect(t *testing.T) {
	t.Parallel()
	authtest.RunRedirect(t, authtest.Redirect{
		Provider: authtest.NewGitHub,
		Open: func(t *testing.T, p *authtest.Provider, s *authtest.Secret) auth.Redirect {
			a, err := github.Open(
				github.Config{ClientID: authtest.ClientID, URL: p.URL(), CAFile: p.CAFile(), Scopes: []string{github.ReadOrg}},
				github.Deps{ID: "test", Secret: s.Get, Refresh: s.Refresh, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))},
			)
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
		Alice: auth.Identity{Provider: "test", Subject: "4711", Name: "alice", Groups: []string{"physics", "physics:staff"}},
	})
}

func login(t *testing.T, p *authtest.Provider, a auth.Redirect) (auth.Identity, error) {
	t.Helper()
	address, flow, err := a.Begin(t.Context(), authtest.Callback)
	if err != nil {
		t.Fatal(err)
	}
	return a.Finish(t.Context(), p.Visit(address), authtest.Callback, flow)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	p := authtest.NewGitHub(t)
	person := authtest.Alice()
	person.Groups = nil
	var want []string
	for i := range 250 { // more than two pages of each
		org := fmt.Sprintf("org%03d", i)
		person.Groups = append(person.Groups, org, org+":staff")
		want = append(want, org, org+":staff")
	}
	p.Sit(person)
	id, err := login(t, p, open(t, p, p.Secret, as))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, id.Groups); diff != "" {
		t.Error(diff)
	}

	person.Groups = nil
	p.Sit(person)
	if id, err = login(t, p, open(t, p, p.Secret, as)); err != nil || id.Groups == nil || len(id.Groups) != 0 {
		t.Errorf("without groups: %#v, %v; want an empty list, which says that there are none", id.Groups, err)
	}
	nothing := func(c *github.Config) { c.Scopes = nil }
	if id, err = login(t, p, open(t, p, p.Secret, nothing)); err != nil || id.Groups != nil || id.Admin != nil {
		t.Errorf("without read:org: %#v, %v; want nil, which says nothing", id.Groups, err)
	}
}

// Without the scope GitHub lists public memberships only. They must not pass for all of them.
func TestScopeNotGranted(t *testing.T) {
	t.Parallel()
	p := authtest.NewGitHub(t)
	p.Behave(authtest.Behaviour{Scope: "read:user"})
	if id, err := login(t, p, open(t, p, p.Secret, as)); !errors.Is(err, auth.ErrDenied) || !strings.Contains(err.Error(), "read:org") {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestAdminGroups(t *testing.T) {
	t.Parallel()
	p := authtest.NewGitHub(t)
	for group, want := range map[string]bool{"physics:staff": true, "physics": true, "chemistry": false} {
		a := open(t, p, p.Secret, func(c *github.Config) { c.AdminGroups = []string{"x", group} })
		if id, err := login(t, p, a); err != nil || id.Admin == nil || *id.Admin != want {
			t.Errorf("%s: %v, %v", group, id.Admin, err)
		}
	}
}

func TestOnlyPersons(t *testing.T) {
	t.Parallel()
	p := authtest.NewGitHub(t)
	a := open(t, p, p.Secret, as)
	for _, person := range []authtest.Person{
		{Name: "alice"}, {Subject: "0", Name: "alice"}, {Subject: "-1", Name: "alice"}, {Subject: "1"},
		{Subject: "1", Name: "robot", Claims: map[string]any{"type": "Bot"}},
	} {
		p.Sit(person)
		if id, err := login(t, p, a); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%+v: %+v, %v", person, id, err)
		}
	}
}

func TestLoginURL(t *testing.T) {
	t.Parallel()
	a, err := github.Open(
		github.Config{ClientID: "id", AuthParams: map[string]string{"allow_signup": "false"}, Label: "Our GitHub"},
		github.Deps{ID: "gh", Secret: func() secret.Value { return "s" }},
	)
	if err != nil {
		t.Fatal(err)
	}
	address, _, err := a.Begin(t.Context(), authtest.Callback)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme+"://"+u.Host+u.Path != "https://github.com/login/oauth/authorize" || u.Query().Get("allow_signup") != "false" ||
		u.Query().Get("redirect_uri") != authtest.Callback || a.Label() != "Our GitHub" {
		t.Errorf("%s %s", a.Label(), address)
	}
	if got := (github.Config{}).SecretName("gh"); got != "oauth/gh" {
		t.Errorf("secret %q", got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	s := func() secret.Value { return "s" }
	for want, tt := range map[string]struct {
		cfg github.Config
		d   github.Deps
	}{
		"no ID":                  {github.Config{ClientID: "id"}, github.Deps{Secret: s}},
		"client_id is empty":     {github.Config{}, github.Deps{ID: "x", Secret: s}},
		"no client secret":       {github.Config{ClientID: "id"}, github.Deps{ID: "x"}},
		"https://":               {github.Config{ClientID: "id", URL: "http://github.example.org"}, github.Deps{ID: "x", Secret: s}},
		"absolute URL":           {github.Config{ClientID: "id", APIURL: "api"}, github.Deps{ID: "x", Secret: s}},
		"admin_groups needs":     {github.Config{ClientID: "id", AdminGroups: []string{"a"}}, github.Deps{ID: "x", Secret: s}},
		`auth_params sets "stat`: {github.Config{ClientID: "id", AuthParams: map[string]string{"state": "x"}}, github.Deps{ID: "x", Secret: s}},
		`timeout "soon"`:         {github.Config{ClientID: "id", Timeout: "soon"}, github.Deps{ID: "x", Secret: s}},
		"certificates":           {github.Config{ClientID: "id", CAFile: "/nonexistent"}, github.Deps{ID: "x", Secret: s}},
	} {
		if _, err := github.Open(tt.cfg, tt.d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

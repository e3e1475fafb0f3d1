package env_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/secret/env"
)

func TestGet(t *testing.T) {
	t.Parallel()
	store, err := env.New(env.Options{Environ: []string{
		"PATH=/bin",
		"NOMADHUB_SECRET_OAUTH_GITHUB__CLIENT_SECRET=a=b",
		"NOMADHUB_SECRET_COOKIE_KEYS__2025=one",
		"NOMADHUB_SECRET_COOKIE_KEYS__2026=two",
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Get(t.Context(), "oauth/github")
	if err != nil || s.Values["client_secret"].Reveal() != "a=b" {
		t.Errorf("%v, %v", s, err)
	}
	s, err = store.Get(t.Context(), "cookie-keys")
	if err != nil || len(s.Values) != 2 || s.Values["2026"].Reveal() != "two" {
		t.Errorf("%v, %v", s, err)
	}
	_, err = store.Get(t.Context(), "oauth/gitlab")
	if !errors.Is(err, secret.ErrNotFound) || !strings.Contains(err.Error(), "NOMADHUB_SECRET_OAUTH_GITLAB__") {
		t.Errorf("unknown secret: %v", err)
	}
	if _, err := store.Get(t.Context(), ""); err == nil {
		t.Error("the empty name is accepted")
	}
}

func TestMistypedVariable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X_SECRET_OAUTH_CLIENT_SECRET", "X_SECRET___KEY", "X_SECRET_OAUTH__"} {
		_, err := env.New(env.Options{Environ: []string{name + "=hunter2"}, Prefix: "X_SECRET_"})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

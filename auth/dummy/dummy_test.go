package dummy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/dummy"
)

func open(t *testing.T, cfg dummy.Config) *dummy.Authenticator {
	t.Helper()
	a, err := dummy.Open(cfg, "test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnyPassword(t *testing.T) {
	t.Parallel()
	a := open(t, dummy.Config{})
	if !a.AnyPassword() || a.ID() != "test" || a.Label() != "Test login" {
		t.Errorf("%s %q, open: %t", a.ID(), a.Label(), a.AnyPassword())
	}
	for _, password := range []string{"", "anything"} {
		for _, name := range []string{" Ren\u00e9 ", "Rene\u0301", "ren\u00e9"} { // the same name for people
			id, err := a.Login(t.Context(), name, password)
			if err != nil {
				t.Fatal(err)
			}
			want := auth.Identity{Provider: "test", Subject: "ren\u00e9", Name: id.Name}
			if diff := cmp.Diff(want, id); diff != "" {
				t.Error(diff)
			}
		}
	}
	if id, err := a.Login(t.Context(), " Alice ", ""); err != nil || id.Name != "Alice" {
		t.Errorf("name %q, %v", id.Name, err)
	}
	if _, err := a.Login(t.Context(), " ", "x"); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("empty name: %v", err)
	}
}

func TestOnePassword(t *testing.T) {
	t.Parallel()
	a := open(t, dummy.Config{Label: "Workshop", Password: "open sesame"})
	if a.AnyPassword() || a.Label() != "Workshop" {
		t.Errorf("%q, open: %t", a.Label(), a.AnyPassword())
	}
	if _, err := a.Login(t.Context(), "alice", "open sesame"); err != nil {
		t.Error(err)
	}
	for _, password := range []string{"", "open", "open sesame ", "Open Sesame"} {
		if _, err := a.Login(t.Context(), "alice", password); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%q: %v", password, err)
		}
	}
	if _, err := dummy.Open(dummy.Config{}, ""); err == nil {
		t.Error("opened without an ID")
	}
}

package link_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/link"
)

func open(t *testing.T, o link.Options) *link.Authenticator {
	t.Helper()
	a, err := link.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func denied(t *testing.T, a *link.Authenticator, what, code string) {
	t.Helper()
	if id, err := a.Redeem(code); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("%s: %+v, %v; want ErrDenied", what, id, err)
	}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	a := open(t, link.Options{Name: "operator"})
	denied(t, a, "before there is a code", "")
	code, _ := a.Issue()
	denied(t, a, "empty code", "")
	denied(t, a, "wrong code", code+"A")
	id, err := a.Redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	if diff := cmp.Diff(auth.Identity{Provider: "link", Subject: "operator", Name: "operator", Admin: &yes}, id); diff != "" {
		t.Error(diff)
	}
	denied(t, a, "used code", code)
	denied(t, a, "empty code after use", "")
}

func TestNewCodeReplacesOld(t *testing.T) {
	t.Parallel()
	a := open(t, link.Options{ID: "first", Label: "First login"})
	if a.ID() != "first" || a.Label() != "First login" {
		t.Errorf("%s %q", a.ID(), a.Label())
	}
	old, _ := a.Issue()
	code, _ := a.Issue()
	denied(t, a, "replaced code", old)
	if id, err := a.Redeem(code); err != nil || id.Name != "admin" || id.Provider != "first" {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := open(t, link.Options{Lifetime: time.Minute, Now: func() time.Time { return now }})
	code, expires := a.Issue()
	if want := now.Add(time.Minute); !expires.Equal(want) {
		t.Errorf("expires %s, want %s", expires, want)
	}
	now = expires
	denied(t, a, "expired code", code)
	code, expires = a.Issue()
	now = expires.Add(-time.Nanosecond)
	if _, err := a.Redeem(code); err != nil {
		t.Errorf("a moment before it expires: %v", err)
	}
	if _, err := link.New(link.Options{Lifetime: -1}); err == nil {
		t.Error("a negative lifetime is accepted")
	}
}

func TestOnlyOneGetsIn(t *testing.T) {
	t.Parallel()
	a := open(t, link.Options{})
	code, _ := a.Issue()
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := a.Redeem(code); err == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
}

package cache

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestLockExcludes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("a free lock was waited for") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	// The second one gives up once it has said that it waits.
	if _, err := Lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock was given, or refused for another reason: %v", err)
	}
	unlock()
	again, err := Lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestLockIsPassedOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Lock(t.Context(), path, unlock)
	if err != nil {
		t.Fatal(err)
	}
	next()
}

func TestLockWhereThereIsNoFolder(t *testing.T) {
	t.Parallel()
	if _, err := Lock(t.Context(), filepath.Join(t.TempDir(), "none", "lock"), nil); err == nil {
		t.Error("a lock was given in a folder that is not there")
	}
}

func TestDir(t *testing.T) {
	t.Setenv("NOMADHUB_CACHE", "/elsewhere")
	if dir, err := Dir(); err != nil || dir != "/elsewhere" {
		t.Errorf("got %q, %v", dir, err)
	}
}

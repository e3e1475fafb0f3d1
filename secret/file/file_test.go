package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/secret/file"
)

func store(t *testing.T) *file.Store {
	t.Helper()
	s, err := file.New(filepath.Join(t.TempDir(), "state", "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s *file.Store, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.Path()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Path(), mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s := store(t)
	if _, err := s.Get(t.Context(), "cookie-keys"); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("without a file: %v", err)
	}
	var wg sync.WaitGroup
	for range 8 { // several processes may start at once
		wg.Go(func() {
			if err := s.Create(t.Context(), "cookie-keys"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, err := s.Get(t.Context(), "cookie-keys")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.NewKeyRing(first); err != nil {
		t.Errorf("the created secret is no key ring: %v", err)
	}
	if len(first.Values) != 1 {
		t.Errorf("%d keys, want 1", len(first.Values))
	}
	info, err := os.Stat(s.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := s.Create(t.Context(), "cookie-keys"); err != nil {
		t.Fatal(err)
	}
	for id, key := range first.Values {
		again, err := s.Get(t.Context(), "cookie-keys")
		if err != nil || again.Values[id] != key {
			t.Errorf("the second Create changed the key: %v", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(s.Path()), ".secrets-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	s := store(t)
	var wg sync.WaitGroup
	for i := range 8 { // none of the writers may lose what another wrote
		wg.Go(func() {
			name := fmt.Sprintf("oauth/%d", i)
			if err := s.Put(t.Context(), name, map[string]secret.Value{"client_secret": secret.Value(name)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		name := fmt.Sprintf("oauth/%d", i)
		got, err := s.Get(t.Context(), name)
		if err != nil || got.Values["client_secret"].Reveal() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Get(t.Context(), "oauth/none"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestRefusesWhatOthersCanRead(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o610} {
		s := store(t)
		write(t, s, `{"a": {"b": "c"}}`, mode)
		_, err := s.Get(t.Context(), "a")
		if !errors.Is(err, file.ErrNotPrivate) || !strings.Contains(err.Error(), "chmod 600 "+s.Path()) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err := s.Create(t.Context(), "keys"); !errors.Is(err, file.ErrNotPrivate) {
			t.Errorf("mode %o: Create: %v", mode, err)
		}
	}
}

func TestRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "null", "[]", `{"a": "hunter2"}`, `{"a": {"b": "hunter2"`, strings.Repeat(" ", 1<<20+1)} {
		s := store(t)
		write(t, s, text, 0o600)
		_, err := s.Get(t.Context(), "a")
		if !errors.Is(err, secret.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.20q: %v", text, err)
		}
		if err := s.Create(t.Context(), "keys"); err == nil { // it must not overwrite what somebody may still repair
			t.Errorf("%.20q: Create went on", text)
		}
	}
	dir, err := file.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Get(t.Context(), "a"); !errors.Is(err, file.ErrNotPrivate) {
		t.Errorf("directory: %v", err)
	}
	if _, err := file.New(""); err == nil {
		t.Error("the empty path is accepted")
	}
}

func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	s := store(t)
	if err := s.Create(t.Context(), "keys"); err != nil {
		t.Fatal(err)
	}
	release := file.HoldLock(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("while locked: %v", err)
	}
	release()
	if err := s.Put(t.Context(), "a", nil); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

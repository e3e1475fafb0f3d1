// Package file keeps secrets in one private file, for a hub that runs by itself on one machine. The file is JSON: an object of
// secrets, each an object of strings.
//
//	{"cookie-keys": {"20260102T150405Z": "…"}, "oauth/github": {"client_secret": "…"}}
package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nomadhub/nomadhub/secret"
)

// maxSize bounds what is read, in bytes.
const maxSize = 1 << 20

// ErrNotPrivate means that others than the owner may read or change the file, so what it holds is no secret.
var ErrNotPrivate = errors.New("secret: file is not private")

// Store reads one file, anew for every Get: it is small, and so a change is seen at once.
type Store struct{ path string }

var _ secret.Store = (*Store)(nil)

// New names the file; nothing is read yet.
func New(path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("secret: the path of the secret file is empty")
	}
	return &Store{path: path}, nil
}

// Path returns where the file is.
func (s *Store) Path() string { return s.path }

// Get returns a secret of the file. It fails with ErrNotFound, ErrNotPrivate, or ErrUnavailable when there is no file or no sense in it.
func (s *Store) Get(_ context.Context, name string) (secret.Secret, error) {
	all, err := s.read()
	if err != nil {
		return secret.Secret{}, err
	}
	values, ok := all[name]
	if !ok {
		return secret.Secret{}, fmt.Errorf("%w: %s has no %q", secret.ErrNotFound, s.path, name)
	}
	return view(values), nil
}

func view(values map[string]string) secret.Secret {
	v := make(map[string]secret.Value, len(values))
	for key, value := range values {
		v[key] = secret.Value(value)
	}
	return secret.Secret{Values: v}
}

// Create makes the file, readable by its owner only, unless it exists; and in it the key ring of that name with one random key,
// unless it has one. What exists is never changed, so it may be called at every start, and by several processes at once.
func (s *Store) Create(ctx context.Context, ring string) error {
	return s.update(ctx, func(all map[string]map[string]string) bool {
		if _, ok := all[ring]; ok {
			return false
		}
		id, key := secret.NewKey(time.Now())
		all[ring] = map[string]string{id: key.Reveal()}
		return true
	})
}

// Put replaces one secret, or adds it. Readers see the old file or the new one, never a part.
func (s *Store) Put(ctx context.Context, name string, values map[string]secret.Value) error {
	return s.update(ctx, func(all map[string]map[string]string) bool {
		plain := make(map[string]string, len(values))
		for key, value := range values {
			plain[key] = value.Reveal()
		}
		all[name] = plain
		return true
	})
}

// update changes the file under a lock that holds between processes.
func (s *Store) update(ctx context.Context, change func(all map[string]map[string]string) (changed bool)) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return unavailable(err)
	}
	unlock, err := lock(ctx, s.path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	all, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		all, err = make(map[string]map[string]string), nil
	}
	if err != nil {
		return err
	}
	if !change(all) {
		return nil
	}
	return s.replace(all)
}

func (s *Store) read() (map[string]map[string]string, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	if err := private(f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, unavailable(err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", secret.ErrUnavailable, s.path, maxSize)
	}
	var all map[string]map[string]string
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		// The decoder's error is left out: it may quote a piece of a secret.
		return nil, fmt.Errorf("%w: %s is not a JSON object of objects of strings", secret.ErrUnavailable, s.path)
	}
	return all, nil
}

// private looks at the open file, not at its name: the name could point elsewhere a moment later.
func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return unavailable(err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrNotPrivate, f.Name())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s may be read or written by others (mode %04o); run: chmod 600 %s",
			ErrNotPrivate, f.Name(), info.Mode().Perm(), f.Name())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, who can change it; this process runs as user %d",
			ErrNotPrivate, f.Name(), st.Uid, os.Geteuid())
	}
	return nil
}

// replace writes the whole file beside the old one and renames it: after a crash there is the one or the other.
func (s *Store) replace(all map[string]map[string]string) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(s.path), ".secrets-*") // mode 0600
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), s.path)
	}
	if err != nil {
		return unavailable(err)
	}
	return syncDir(filepath.Dir(s.path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return unavailable(err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", secret.ErrUnavailable, err) }

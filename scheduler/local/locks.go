package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dirLockPatience is how long New waits for the folder: a hub that was just killed may take a moment to be gone.
const dirLockPatience = 3 * time.Second

// lockDir takes the lock that one Scheduler at a time holds. The kernel drops it when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := openLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("local scheduler: %w", err)
	}
	deadline := time.Now().Add(dirLockPatience)
	for {
		err := tryLock(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("local scheduler: another hub seems to use %s: %w", dir, err), f.Close())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func openLock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }

func tryLock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // G115: a file descriptor fits an int
}

// lockAlive makes and locks the file that a server's process inherits. The lock belongs to the open file, so it holds from the
// moment of the fork until the process and all that inherited the file have ended, also when the hub dies in between.
func lockAlive(folder string) (*os.File, error) {
	path := filepath.Join(folder, aliveName)
	// A new file for each start: a child of the last generation may still hold the old one.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// isAlive tells whether anybody holds the lock of [lockAlive].
func isAlive(folder string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(folder, aliveName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) //nolint:gosec // G115: a file descriptor fits an int
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// aliveness is [isAlive] for one server.
func (s *Scheduler) aliveness(id string) func() bool {
	return func() bool {
		held, err := isAlive(s.folder(id))
		return err == nil && held
	}
}

// keyedLocks are mutual exclusions by name, which can be waited for with a context. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	slots map[string]*keySlot
}

type keySlot struct {
	token chan struct{}
	users int // holder and waiters; the slot goes with the last of them
}

// lock waits until nobody holds key, or ctx ends.
func (k *keyedLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.slots == nil {
		k.slots = make(map[string]*keySlot)
	}
	slot := k.slots[key]
	if slot == nil {
		slot = &keySlot{token: make(chan struct{}, 1)}
		k.slots[key] = slot
	}
	slot.users++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if slot.users--; slot.users == 0 {
			delete(k.slots, key)
		}
	}
	select {
	case slot.token <- struct{}{}:
		return func() { <-slot.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// Package cache is where development tools keep what is costly to make: built programs and Python environments. All checkouts of a
// machine share it.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Dir is the cache's folder: $NOMADHUB_CACHE, else /var/cache/nomadhub for root, else nomadhub in the account's own cache
// folder. It need not exist yet.
func Dir() (string, error) {
	if dir := os.Getenv("NOMADHUB_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/nomadhub", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder (set NOMADHUB_CACHE to choose one): %w", err)
	}
	return filepath.Join(dir, "nomadhub"), nil
}

// lockPoll is how often a waiting process asks for the lock again. What it waits for takes a minute.
const lockPoll = 100 * time.Millisecond

// Lock takes an exclusive lock on the file at path, so that one of several processes makes a thing and the others wait for it.
// waiting is called once if the lock is not free at once; nil says nothing. The file stays: removing it would let two processes
// hold two locks. The kernel drops the lock when the process ends, however it ends.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, f, waiting); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func wait(ctx context.Context, f *os.File, waiting func()) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if !told && waiting != nil {
			waiting()
		}
		told = true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

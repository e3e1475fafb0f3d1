package file

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPause is the time between two attempts to get the lock. Its holder writes one small file.
const lockPause = 20 * time.Millisecond

// lock takes an exclusive lock on a file of its own, since the file with the secrets is replaced while the lock is held. The
// system releases it when the process ends, however that happens.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unavailable(err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing releases it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(unavailable(err), f.Close())
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(unavailable(ctx.Err()), f.Close())
		}
	}
}

//go:build unix

package routing

import (
	"errors"
	"io"
	"os"
	"syscall"
)

const readinessKnown = true

// readReady waits until the connection has bytes and only then takes a buffer for them.
func readReady(raw syscall.RawConn, buffers *copyBuffers) (buf []byte, n int, err error) {
	waitErr := raw.Read(func(fd uintptr) (done bool) {
		buf = buffers.Get()
		for {
			n, err = syscall.Read(int(fd), buf) //nolint:gosec // a descriptor is an int
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if n > 0 {
			return true
		}
		buffers.Put(buf)
		buf = nil
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case waitErr != nil:
		return nil, 0, waitErr
	case err != nil:
		return nil, 0, os.NewSyscallError("read", err)
	case n == 0:
		return nil, 0, io.EOF
	}
	return buf, n, nil
}

//go:build !unix

package routing

import (
	"errors"
	"syscall"
)

const readinessKnown = false

// readReady is never reached: nothing but Unix tells readiness apart from reading. See readerOf.
func readReady(syscall.RawConn, *copyBuffers) ([]byte, int, error) {
	return nil, 0, errors.ErrUnsupported
}

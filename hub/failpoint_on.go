//go:build failpoints

package hub

import (
	"os"
	"syscall"
)

// failpoint kills the process without warning at the point that NOMADHUB_FAILPOINT names, as a machine that loses power would. Tests build the binary
// with the tag "failpoints" to prove that a start survives it.
func failpoint(name string) {
	if os.Getenv("NOMADHUB_FAILPOINT") == name { //nolint:forbidigo // only in binaries built for tests
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

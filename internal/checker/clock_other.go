//go:build !linux

package checker

import "time"

// monotonic is the wall clock. Where homes are written by other processes, tests run on Linux.
func monotonic() int64 { return time.Now().UnixNano() }

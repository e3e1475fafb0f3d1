// Package cputime tells benchmarks what they cost where a clock tells more of the machine's other work.
package cputime

import (
	"syscall"
	"testing"
	"time"
)

// Used is the processor time that this process has used until now, in itself and in the kernel.
func Used(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

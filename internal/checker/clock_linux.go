package checker

import "golang.org/x/sys/unix"

// monotonic is the machine's clock that never goes back, in nanoseconds. Other processes read the same one, such as those that write into homes.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // the kernel has had it since 2.6; times then are counted, and compare within this process
	}
	return now.Nano()
}

package schedulertest

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// requireNoProcess fails if any process that left a mark still exists. A mark that is no process ID (a fake's, a
// container's) proves nothing and is passed over. It waits a little, because the kernel reaps an orphan after its parent's end was told.
func (b *bench) requireNoProcess(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(b.marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		b.await(t, "process "+entry.Name()+" has ended", func() bool {
			return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid)
		})
	}
}

// isZombie reports whether the process has ended and waits to be reaped by a parent that is not the scheduler.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	for i, s := range slices.Backward(stat) { // the state follows the command's name in parentheses
		if s == ')' {
			return i+2 < len(stat) && stat[i+2] == 'Z'
		}
	}
	return false
}

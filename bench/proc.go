package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit in which Linux counts processor time for all programs: USER_HZ, which is 100 on every platform that Go runs on.
const tick = 10 * time.Millisecond

// cpuTime is the processor time that a process has used so far, all of its threads, those that ended included.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	user, system, err := statTimes(string(text))
	return user + system, err
}

// statTimes reads utime and stime. The program's name before them is in parentheses and may itself hold any character.
func statTimes(stat string) (user, system time.Duration, err error) {
	_, after, ok := cutLast(stat, ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0, 0, errors.New("a process's stat file has an unknown form")
	}
	u, err1 := strconv.ParseInt(fields[11], 10, 64)
	s, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(u) * tick, time.Duration(s) * tick, errors.Join(err1, err2)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// memory is the resident memory of a process in MiB, now and at most so far.
func memory(pid int) (now, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kib, err := strconv.ParseFloat(fields[0], 64)
		switch {
		case name == "VmRSS" && err == nil:
			now = kib / 1024
		case name == "VmHWM" && err == nil:
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// machineBusy is the processor time that the whole machine has used so far.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(first)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, errors.New("/proc/stat has an unknown form")
	}
	var busy int64
	for i, field := range fields[1:8] {
		if i == 3 || i == 4 { // idle, and waiting for disks
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		busy += n
	}
	return time.Duration(busy) * tick, nil
}

// pin gives all threads of this process, and with them all threads to come, the core alone.
func pin(core int) error {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return err
		}
		if err := setCore(id, core); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin to core %d: %w", core, err)
		}
	}
	return nil
}

// setCore pins one thread; 0 is the caller's.
func setCore(thread, core int) error {
	var set unix.CPUSet
	set.Set(core)
	return unix.SchedSetaffinity(thread, &set)
}

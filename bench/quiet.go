package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// How much of a core others may use while nothing of ours is measured, and in proportion to all work while something is.
const (
	idleOthers = 0.03
	busyOthers = 0.05
	look       = 200 * time.Millisecond
)

// round is one repetition of a measurement.
type round struct {
	number int
	quiet  bool
	others float64 // cores that programs which are not ours used
}

// usage is the processor time used so far by the whole machine and by us.
type usage struct {
	at            time.Time
	machine, ours time.Duration
}

func readUsage() (usage, error) {
	machine, err := machineBusy()
	return usage{time.Now(), machine, ourTime()}, err
}

// ourTime is what this process, its children that have ended, and all of their living descendants have used.
func ourTime() time.Duration {
	var total time.Duration
	for pid := range descendants(os.Getpid()) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		total += withEndedChildren(string(text))
	}
	return total
}

// withEndedChildren reads utime, stime, cutime and cstime.
func withEndedChildren(stat string) time.Duration {
	_, after, _ := cutLast(stat, ") ")
	fields := strings.Fields(after)
	if len(fields) < 15 {
		return 0
	}
	var total int64
	for _, field := range fields[11:15] {
		n, _ := strconv.ParseInt(field, 10, 64)
		total += n
	}
	return time.Duration(total) * tick
}

// descendants are a process and all that came of it and live.
func descendants(root int) map[int]bool {
	parents := map[int]int{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, after, _ := cutLast(string(text), ") ")
		fields := strings.Fields(after)
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 2 || err1 != nil {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	// As process 1 of a namespace of its own, all that there is came of the root.
	family := map[int]bool{root: true}
	for pid := range parents {
		chain := []int{}
		for at := pid; at > 0 && !family[at] && len(chain) < 64; at = parents[at] {
			chain = append(chain, at)
		}
		last := pid
		if len(chain) > 0 {
			last = parents[chain[len(chain)-1]]
		}
		if family[last] {
			for _, member := range chain {
				family[member] = true
			}
		}
	}
	return family
}

// othersSince is how many cores others have used since then.
func othersSince(before usage) (others, all float64, err error) {
	now, err := readUsage()
	if err != nil {
		return 0, 0, err
	}
	elapsed := now.at.Sub(before.at).Seconds()
	all = (now.machine - before.machine).Seconds() / elapsed
	return max(0, all-(now.ours-before.ours).Seconds()/elapsed), all, nil
}

// machine waits for quiet, and tells afterwards whether it lasted.
type machine struct {
	patience time.Duration // how long one round may wait for others
}

// begin waits until nobody else uses the machine, or patience is over, and begins a round.
func (m machine) begin(ctx context.Context) usage {
	end := time.Now().Add(m.patience)
	for {
		before, err := readUsage()
		if err != nil || !pause(ctx, look) {
			return before
		}
		others, _, err := othersSince(before)
		if err != nil || others <= idleOthers || time.Now().After(end) {
			now, _ := readUsage()
			return now
		}
	}
}

// end tells how the round that began then went.
func (m machine) end(number int, began usage) round {
	others, all, err := othersSince(began)
	return round{number: number, others: others, quiet: err == nil && (others <= idleOthers || others <= busyOthers*all)}
}

// pause waits, and tells whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

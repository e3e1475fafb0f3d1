package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// ticksPerSecond is the unit in which Linux tells programs of processor time, on every machine.
	ticksPerSecond = 100
	// shortLook is how far apart the two looks are when there was none before.
	shortLook = 250 * time.Millisecond
	// oldLook is when a former look says nothing about now.
	oldLook = 30 * time.Second
)

// look is what a server had used at one moment.
type look struct {
	at    time.Time
	ticks uint64 // of processor time, of the processes that were there
	bytes int64  // resident
}

// Usage implements [scheduler.Meter]: all processes of the server together. Memory that they share is counted for each of them. Processor use is the
// mean since the last call, or over a quarter of a second. There is no limit to tell, because none is enforced here.
func (s *Scheduler) Usage(ctx context.Context, id string) (scheduler.Usage, error) {
	if err := s.check(ctx); err != nil {
		return scheduler.Usage{}, err
	}
	s.mu.Lock()
	srv := s.servers[id]
	if srv == nil || srv.rec.Phase != phaseRunning {
		s.mu.Unlock()
		return scheduler.Usage{}, fmt.Errorf("local scheduler: the server does not run: %w", scheduler.ErrNotFound)
	}
	marker, before := srv.rec.Marker, srv.looked
	s.mu.Unlock()

	now, err := lookAt(marker)
	if err == nil && (now.at.Sub(before.at) > oldLook || now.at.Sub(before.at) < shortLook) {
		before = now
		timer := time.NewTimer(shortLook)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return scheduler.Usage{}, ctx.Err()
		case <-timer.C:
		}
		now, err = lookAt(marker)
	}
	if err != nil {
		return scheduler.Usage{}, fmt.Errorf("local scheduler: %w: %w", scheduler.ErrUnavailable, err)
	}
	s.mu.Lock()
	srv.looked = now
	s.mu.Unlock()
	return usageBetween(before, now), nil
}

func usageBetween(before, now look) scheduler.Usage {
	usage := scheduler.Usage{Time: now.at.Round(0).UTC(), MemoryBytes: now.bytes}
	// A process that ended takes its time with it; then less was used than before, and nothing can be said.
	if spent := now.at.Sub(before.at).Seconds(); spent > 0 && now.ticks > before.ticks {
		usage.CPU = float64(now.ticks-before.ticks) / ticksPerSecond / spent
	}
	return usage
}

// lookAt adds up the living processes that have the marker.
func lookAt(marker string) (look, error) {
	pids, err := marked(marker)
	if err != nil {
		return look{}, err
	}
	l := look{at: time.Now()}
	for _, pid := range pids {
		ticks, resident, err := spentBy(pid)
		if err != nil {
			continue // it has just ended
		}
		l.ticks += ticks
		l.bytes += resident
	}
	return l, nil
}

// spentBy reads the processor time of a process in ticks, and its resident memory in bytes.
func spentBy(pid int) (ticks uint64, resident int64, err error) {
	text, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return 0, 0, err
	}
	const user, system, pages = 11, 12, 21 // positions after the name, which is in parentheses
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= pages {
		return 0, 0, fmt.Errorf("unknown form of process status: %q", text)
	}
	inUser, err1 := strconv.ParseUint(string(fields[user]), 10, 64)
	inSystem, err2 := strconv.ParseUint(string(fields[system]), 10, 64)
	size, err3 := strconv.ParseInt(string(fields[pages]), 10, 64)
	return inUser + inSystem, size * int64(os.Getpagesize()), errors.Join(err1, err2, err3)
}

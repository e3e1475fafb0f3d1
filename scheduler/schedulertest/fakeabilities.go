package schedulertest

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

var (
	_ scheduler.LogReader = (*Fake)(nil)
	_ scheduler.Meter     = (*Fake)(nil)
	_ scheduler.PeakMeter = (*Fake)(nil)
	_ scheduler.Historian = (*Fake)(nil)
	_ scheduler.Fresh     = (*Fake)(nil)
)

// lookForMoreEvery is how often a log that is followed is looked at.
const lookForMoreEvery = 5 * time.Millisecond

// Log implements scheduler.LogReader with the lines given to Print, whichever of the two logs is asked for.
func (f *Fake) Log(ctx context.Context, id string, q scheduler.LogQuery) (io.ReadCloser, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return nil, err
	}
	s := f.world.servers[id]
	if s == nil {
		return nil, scheduler.ErrNotFound
	}
	text := s.text()
	begin := 0
	if q.Tail > 0 {
		begin = max(0, len(text)-int(q.Tail))
	}
	if !q.Follow {
		return io.NopCloser(strings.NewReader(text[begin:])), nil
	}
	from, to := io.Pipe()
	go func() { _ = to.CloseWithError(f.follow(ctx, to, s, begin)) }()
	return from, nil
}

// text is the whole log. The caller holds world.mu.
func (s *fakeServer) text() string {
	if len(s.log) == 0 {
		return ""
	}
	return strings.Join(s.log, "\n") + "\n"
}

// follow writes what is printed until the server has ended.
func (f *Fake) follow(ctx context.Context, to io.Writer, s *fakeServer, at int) error {
	again := time.NewTicker(lookForMoreEvery)
	defer again.Stop()
	for {
		f.world.mu.Lock()
		text, over := s.text(), s.status.State == scheduler.Dead
		f.world.mu.Unlock()
		if _, err := io.WriteString(to, text[at:]); err != nil || over {
			return err
		}
		at = len(text)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// Use sets what Usage tells of a server.
func (f *Fake) Use(id string, usage scheduler.Usage) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if s := f.world.servers[id]; s != nil {
		s.usage = usage
	}
}

// Usage implements scheduler.Meter with what was given to Use.
func (f *Fake) Usage(ctx context.Context, id string) (scheduler.Usage, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return scheduler.Usage{}, err
	}
	s := f.world.servers[id]
	if s == nil || s.status.State != scheduler.Running {
		return scheduler.Usage{}, scheduler.ErrNotFound
	}
	usage := s.usage
	if usage.Time.IsZero() {
		usage.Time, usage.MemoryBytes = time.Now().UTC(), max(usage.MemoryBytes, 1<<20)
	}
	return usage, nil
}

// PeakMemory implements scheduler.PeakMeter with what was given to Use.
func (f *Fake) PeakMemory(ctx context.Context, id string) (int64, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return 0, err
	}
	s := f.world.servers[id]
	if s == nil {
		return 0, scheduler.ErrNotFound
	}
	return s.usage.MemoryBytes, nil
}

// History implements scheduler.Historian with all that was told of the server.
func (f *Fake) History(ctx context.Context, id string) ([]scheduler.Event, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.failList); err != nil {
		return nil, err
	}
	s := f.world.servers[id]
	if s == nil {
		return nil, scheduler.ErrNotFound
	}
	return slices.Clone(s.events), nil
}

// LastSign implements scheduler.Fresh: a scheduler in memory always knows, unless DropEvents or FailList says otherwise.
func (f *Fake) LastSign() time.Time {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if !f.world.deaf && f.world.failList == nil {
		f.world.sign = time.Now()
	}
	return f.world.sign
}

// Drain says that an operator empties the server's machine by then; the zero time: whenever.
func (f *Fake) Drain(id string, leaveBy time.Time) {
	f.change(id, "The server's machine is being emptied.", func(s *fakeServer) { s.status.Drained, s.status.LeaveBy = true, leaveBy })
}

// Undrain says that the server's machine stays.
func (f *Fake) Undrain(id string) {
	f.change(id, "The server's machine is no longer being emptied.", func(s *fakeServer) { s.status.Drained, s.status.LeaveBy = false, time.Time{} })
}

package schedulertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// ability returns what the scheduler under test can do beside the contract; the case is skipped where it cannot.
func ability[T any](t *testing.T, b *bench) T {
	t.Helper()
	able, ok := b.Scheduler.(T)
	if !ok {
		t.Skip("skipped because this scheduler does not have the ability")
	}
	return able
}

// readAll reads a log to its end.
func (b *bench) readAll(t *testing.T, reader scheduler.LogReader, id string, q scheduler.LogQuery) string {
	t.Helper()
	log, err := reader.Log(b.context(t), id, q)
	if err != nil {
		t.Fatalf("log: %v", err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatalf("log: %v", err)
	}
	return string(text)
}

func logIsRead(t *testing.T, b *bench) {
	reader := ability[scheduler.LogReader](t, b)
	if _, err := reader.Log(b.context(t), "nobody", scheduler.LogQuery{}); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("log of the unknown: %v, want ErrNotFound", err)
	}
	spec := b.spec("lab1", crash)
	b.startHeard(t, spec)
	b.awaitState(t, spec.ID, 1, scheduler.Dead)
	end := lastCrashLine + "\n"
	b.await(t, "the log is whole", func() bool { // it may be written after the end is known
		return strings.HasSuffix(b.readAll(t, reader, spec.ID, scheduler.LogQuery{Errors: true}), end)
	})
	whole := b.readAll(t, reader, spec.ID, scheduler.LogQuery{Errors: true})
	if !strings.Contains(whole, "crash line 1") || !strings.Contains(whole, "crash line 29") {
		t.Errorf("errors: %q", whole)
	}
	if out := b.readAll(t, reader, spec.ID, scheduler.LogQuery{}); !strings.Contains(out, "the server begins\n") {
		t.Errorf("output: %q", out)
	}
	for _, follow := range []bool{false, true} { // following what has ended is reading it
		q := scheduler.LogQuery{Errors: true, Tail: int64(len(end)), Follow: follow}
		if tail := b.readAll(t, reader, spec.ID, q); tail != end {
			t.Errorf("the last %d bytes, followed %v: %q", len(end), follow, tail)
		}
	}
	b.stop(t, spec.ID)
}

// pages gathers what a log that is followed brings.
type pages struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan error
}

func (p *pages) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *pages) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// followLog reads a log in the background.
func (b *bench) followLog(ctx context.Context, t *testing.T, reader scheduler.LogReader, id string) (*pages, io.Closer) {
	t.Helper()
	log, err := reader.Log(ctx, id, scheduler.LogQuery{Follow: true})
	if err != nil {
		t.Fatalf("follow the log: %v", err)
	}
	p := &pages{done: make(chan error, 1)}
	go func() {
		_, err := io.Copy(p, log)
		p.done <- err
	}()
	t.Cleanup(func() { _ = log.Close() })
	return p, log
}

func (p *pages) awaitEnd(t *testing.T, patience time.Duration) error {
	t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		t.Fatalf("the log goes on after %s; so far %q", patience, p)
		return nil
	}
}

func logIsFollowed(t *testing.T, b *bench) {
	reader := ability[scheduler.LogReader](t, b)
	spec := b.spec("lab1", serve)
	heard := b.waitsToBeHeard(spec)
	b.start(t, spec)
	followed, _ := b.followLog(t.Context(), t, reader, spec.ID)
	closed, closer := b.followLog(t.Context(), t, reader, spec.ID)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled, _ := b.followLog(ctx, t, reader, spec.ID)
	b.awaitServing(t, spec)
	for _, p := range []*pages{followed, closed, cancelled} {
		b.await(t, "the log brings what the server says", func() bool { return strings.Contains(p.String(), "serving at ") })
	}
	if err := closer.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	cancel()
	_ = closed.awaitEnd(t, b.Patience)
	if err := cancelled.awaitEnd(t, b.Patience); err == nil {
		t.Error("a log whose reader went away ended as if the server had")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.Scheduler.Stop(b.context(t), spec.ID, anyGeneration) }()
	b.await(t, "the log brings the server's last words", func() bool { return strings.Contains(followed.String(), "stopping: ") })
	heard()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := followed.awaitEnd(t, b.Patience); err != nil {
		t.Errorf("a log that was followed to the end: %v, %q", err, followed)
	}
}

func usageIsMeasured(t *testing.T, b *bench) {
	meter := ability[scheduler.Meter](t, b)
	if _, err := meter.Usage(b.context(t), "nobody"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("usage of the unknown: %v, want ErrNotFound", err)
	}
	begun := time.Now()
	spec := b.spec("lab1", serve)
	b.start(t, spec)
	b.awaitServing(t, spec)
	var usage scheduler.Usage
	b.await(t, "the server's memory is measured", func() bool {
		var err error
		usage, err = meter.Usage(b.context(t), spec.ID)
		if err != nil && !errors.Is(err, scheduler.ErrUnavailable) { // not measured yet
			t.Fatalf("usage: %v", err)
		}
		return usage.MemoryBytes >= 100<<10 // the first measurement may be of a program that is just being loaded
	})
	if usage.CPU < 0 || usage.Time.Before(begun.Add(-time.Minute)) {
		t.Errorf("usage: %+v", usage)
	}
	b.stop(t, spec.ID)
}

func historyIsTold(t *testing.T, b *bench) {
	historian := ability[scheduler.Historian](t, b)
	if _, err := historian.History(b.context(t), "nobody"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("history of the unknown: %v, want ErrNotFound", err)
	}
	spec := b.spec("lab1", crash)
	b.start(t, spec)
	dead := b.awaitState(t, spec.ID, 1, scheduler.Dead)
	if dead.Began.IsZero() || dead.Ended.Before(dead.Began) {
		t.Errorf("the run was from %s to %s", dead.Began, dead.Ended)
	}
	events, err := historian.History(b.context(t), spec.ID)
	if err != nil || len(events) < 2 {
		t.Fatalf("history: %+v, %v", events, err)
	}
	for i, event := range events {
		requireSentence(t, event.Message)
		if event.ID != spec.ID || event.Generation != 1 || event.Time.IsZero() || i > 0 && event.Time.Before(events[i-1].Time) {
			t.Errorf("event %d: %+v after %+v", i, event, events[max(0, i-1)])
		}
	}
	if last := events[len(events)-1]; last.Status == nil || last.Status.State != scheduler.Dead || last.Message != dead.Reason {
		t.Errorf("the history ends with %+v, want the reason %q", last, dead.Reason)
	}
	b.stop(t, spec.ID)
}

func knowledgeIsFresh(t *testing.T, b *bench) {
	fresh := ability[scheduler.Fresh](t, b)
	b.watch(t.Context(), t)
	for range 2 {
		now := time.Now()
		b.await(t, "there is a new sign of life", func() bool { return fresh.LastSign().After(now) })
	}
}

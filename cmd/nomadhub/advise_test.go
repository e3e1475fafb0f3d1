package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// guarded is a log that may be read while it is written.
type guarded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// comesBack is a cluster that is away at first.
type comesBack struct {
	planned
	asked atomic.Int32
}

func (c *comesBack) Advise(ctx context.Context, spec scheduler.Spec) ([]string, error) {
	if c.asked.Add(1) < 3 {
		return nil, scheduler.ErrUnavailable
	}
	if spec.Workload.Placement.Namespace == "gone" {
		return nil, &scheduler.RejectedError{Reason: "There is no namespace gone."}
	}
	return c.planned.Advise(ctx, spec)
}

func TestTheLogTellsWhatTheClusterIgnores(t *testing.T) {
	t.Parallel()
	load := func(text string) loaded {
		l, err := withProfiles(loadText(t, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	var log guarded
	a := newAdviser(&comesBack{planned: planned{Fake: schedulertest.NewFake()}}, slog.New(slog.NewTextHandler(&log, nil)))
	a.again = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.run(ctx) }()
	a.tell(load("profile \"a\" {}\nprofile \"burst\" {\n  mem_guarantee = \"1G\"\n  mem_limit = \"2G\"\n}\nprofile \"more\" {\n  mem_guarantee = \"1G\"\n  mem_limit = \"3G\"\n}"))
	eventually(t, "a cluster that was away is asked again", func() bool { return strings.Contains(log.String(), "Memory oversubscription is off.") })
	a.tell(load("profile \"b\" {\n  namespace = \"gone\"\n}"))
	eventually(t, "a changed configuration is looked at", func() bool { return strings.Contains(log.String(), "There is no namespace gone.") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "oversubscription"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	if newAdviser(schedulertest.NewFake(), slog.New(slog.DiscardHandler)) != nil {
		t.Error("servers of this machine have an adviser")
	}
}

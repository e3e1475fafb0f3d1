package hub_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// removingStore removes a server's record just before its place is written down, as another replica may whose stop came before the scheduler had the job.
type removingStore struct{ hub.Store }

func (s removingStore) UpdateServerAndOpenRun(ctx context.Context, v hub.Server, r hub.UsageRun) (hub.Server, error) {
	if err := s.DeleteServer(ctx, v.ID); err != nil {
		return v, err
	}
	return s.Store.UpdateServerAndOpenRun(ctx, v, r)
}

// lockedBuffer is what several may write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestF07_WhatStartsWithoutARecordIsEndedAtOnce: its owner was told that it is gone, and may start another that works on the same files.
func TestF07_WhatStartsWithoutARecordIsEndedAtOnce(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	var log lockedBuffer
	b := newBench(t, func(o *hub.Options) {
		o.Scheduler.(*schedulertest.Fake).OnStop = func(scheduler.Spec) { close(ended) }
		o.Store = removingStore{o.Store}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	b.placeAt(notebook(t))
	b.login("alice")
	b.start("alice", "lab")
	awaitClosed(t, ended, "the job of the server whose record is gone to end")
	if text := log.String(); strings.Contains(text, "will be repeated") {
		t.Errorf("it was not ended before a pause:\n%s", text)
	}
}

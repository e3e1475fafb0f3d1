package hub_test

import (
	"bytes"
	"context"
	"errors"
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

func (s removingStore) UpdateServer(ctx context.Context, v hub.Server) (hub.Server, error) {
	if err := placing(s).check(v); err != nil {
		if err := s.DeleteServer(ctx, v.ID); err != nil {
			return v, err
		}
	}
	return s.Store.UpdateServer(ctx, v)
}

func (s removingStore) InTx(ctx context.Context, fn func(hub.Store) error) error {
	err := s.Store.InTx(ctx, func(tx hub.Store) error { return fn(placing{tx}) })
	if placed, ok := errors.AsType[placedError](err); ok {
		if err := s.DeleteServer(ctx, placed.id); err != nil {
			return err
		}
		return s.Store.InTx(ctx, fn)
	}
	return err
}

// placing is a transaction that ends where it would write down the place of a server.
type placing struct{ hub.Store }

type placedError struct{ id string }

func (placedError) Error() string { return "the server has a place" }

func (placing) check(v hub.Server) error {
	if v.State == hub.Starting && v.Instance != "" {
		return placedError{v.ID}
	}
	return nil
}

func (s placing) UpdateServer(ctx context.Context, v hub.Server) (hub.Server, error) {
	if err := s.check(v); err != nil {
		return v, err
	}
	return s.Store.UpdateServer(ctx, v)
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

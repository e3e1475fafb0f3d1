package main

import (
	"context"
	"sync"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// counts says how often each call was made.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) note(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[call]++
}

// take returns what was counted since the last call.
func (c *counts) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.of
	c.of = nil
	return taken
}

// countingStore counts the calls that concern servers, which is where the number of servers could come to matter.
type countingStore struct {
	hub.Store
	counts *counts
}

func (s *countingStore) ServerByID(ctx context.Context, id string) (hub.Server, error) {
	s.counts.note("ServerByID")
	return s.Store.ServerByID(ctx, id)
}

func (s *countingStore) ServerByName(ctx context.Context, userID, name string) (hub.Server, error) {
	s.counts.note("ServerByName")
	return s.Store.ServerByName(ctx, userID, name)
}

func (s *countingStore) Servers(ctx context.Context, q hub.ServerQuery) ([]hub.Server, int, error) {
	servers, total, err := s.Store.Servers(ctx, q)
	s.counts.note("Servers")
	for range servers {
		s.counts.note("rows of Servers")
	}
	return servers, total, err
}

func (s *countingStore) CreateServer(ctx context.Context, v hub.Server) error {
	s.counts.note("CreateServer")
	return s.Store.CreateServer(ctx, v)
}

func (s *countingStore) UpdateServer(ctx context.Context, v hub.Server) (hub.Server, error) {
	s.counts.note("UpdateServer")
	return s.Store.UpdateServer(ctx, v)
}

func (s *countingStore) InTx(ctx context.Context, fn func(hub.Store) error) error {
	s.counts.note("InTx")
	return s.Store.InTx(ctx, func(tx hub.Store) error { return fn(&countingStore{tx, s.counts}) })
}

func (s *countingStore) Exclusive(ctx context.Context, name string, fn func(hub.Store) error) error {
	s.counts.note("Exclusive")
	return s.Store.Exclusive(ctx, name, func(tx hub.Store) error { return fn(&countingStore{tx, s.counts}) })
}

// countingScheduler counts the questions to the scheduler.
type countingScheduler struct {
	scheduler.Scheduler
	counts *counts
}

func (s *countingScheduler) Status(ctx context.Context, id string) (scheduler.Status, error) {
	s.counts.note("Status")
	return s.Scheduler.Status(ctx, id)
}

func (s *countingScheduler) List(ctx context.Context) ([]scheduler.Status, error) {
	s.counts.note("List")
	return s.Scheduler.List(ctx)
}

func (s *countingScheduler) Start(ctx context.Context, spec scheduler.Spec) error {
	s.counts.note("Start")
	return s.Scheduler.Start(ctx, spec)
}

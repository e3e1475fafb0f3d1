package main

import (
	"context"
	"sync"
	"time"

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

func (s *countingStore) ServerBriefs(ctx context.Context, states []hub.ServerState) ([]hub.ServerBrief, error) {
	s.counts.note("ServerBriefs")
	return s.Store.ServerBriefs(ctx, states)
}

func (s *countingStore) Revisions(ctx context.Context, ids []string) (map[string]int64, error) {
	s.counts.note("Revisions")
	return s.Store.Revisions(ctx, ids)
}

func (s *countingStore) UserByID(ctx context.Context, id string) (hub.User, error) {
	s.counts.note("UserByID")
	return s.Store.UserByID(ctx, id)
}

func (s *countingStore) UserByName(ctx context.Context, name string) (hub.User, error) {
	s.counts.note("UserByName")
	return s.Store.UserByName(ctx, name)
}

func (s *countingStore) CreateToken(ctx context.Context, t hub.Token) (hub.Token, error) {
	s.counts.note("CreateToken")
	return s.Store.CreateToken(ctx, t)
}

func (s *countingStore) DeleteTokensOfServer(ctx context.Context, serverID string) error {
	s.counts.note("DeleteTokensOfServer")
	return s.Store.DeleteTokensOfServer(ctx, serverID)
}

func (s *countingStore) PutClient(ctx context.Context, c hub.OAuthClient) error {
	s.counts.note("PutClient")
	return s.Store.PutClient(ctx, c)
}

func (s *countingStore) DeleteClientsOfServer(ctx context.Context, serverID string) error {
	s.counts.note("DeleteClientsOfServer")
	return s.Store.DeleteClientsOfServer(ctx, serverID)
}

func (s *countingStore) OpenRun(ctx context.Context, r hub.UsageRun) error {
	s.counts.note("OpenRun")
	return s.Store.OpenRun(ctx, r)
}

func (s *countingStore) UpdateServerAndOpenRun(ctx context.Context, v hub.Server, r hub.UsageRun) (hub.Server, error) {
	s.counts.note("UpdateServerAndOpenRun")
	return s.Store.UpdateServerAndOpenRun(ctx, v, r)
}

func (s *countingStore) CloseRun(ctx context.Context, run hub.RunKey, ended time.Time, exact bool, reason string) error {
	s.counts.note("CloseRun")
	return s.Store.CloseRun(ctx, run, ended, exact, reason)
}

func (s *countingStore) CloseRunsOf(ctx context.Context, serverID string, generation int64, keep string, ended time.Time, reason string) error {
	s.counts.note("CloseRunsOf")
	return s.Store.CloseRunsOf(ctx, serverID, generation, keep, ended, reason)
}

func (s *countingStore) UsageTouched(ctx context.Context) (time.Time, error) {
	s.counts.note("UsageTouched")
	return s.Store.UsageTouched(ctx)
}

func (s *countingStore) CountStarts(ctx context.Context) (hub.StartCount, error) {
	s.counts.note("CountStarts")
	return s.Store.CountStarts(ctx)
}

func (s *countingStore) InTx(ctx context.Context, fn func(hub.Store) error) error {
	s.counts.note("InTx")
	return s.Store.InTx(ctx, func(tx hub.Store) error { return fn(&countingStore{tx, s.counts}) })
}

func (s *countingStore) Exclusive(ctx context.Context, name string, fn func(hub.Store) error) error {
	s.counts.note("Exclusive")
	return s.Store.Exclusive(ctx, name, func(tx hub.Store) error { return fn(&countingStore{tx, s.counts}) })
}

// countingScheduler counts the questions to the scheduler. What servers are given to read goes to given, and no further: a cluster keeps it elsewhere than in the hub, so it
// shall not be on the heap of a hub that is measured.
type countingScheduler struct {
	scheduler.Scheduler
	counts *counts
	given  func(env, secrets map[string]string)
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
	s.given(spec.Env, spec.Secrets)
	spec.Env, spec.Secrets = nil, nil
	return s.Scheduler.Start(ctx, spec)
}

package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// The pace of queries.
const (
	minDelay   = 10 * time.Millisecond // between two answers to one blocking query, so that a busy service cannot keep us spinning
	minBackoff = 100 * time.Millisecond
	maxBackoff = 4 * time.Second // short, because what cannot be read now is a server that cannot be opened
)

var errNoIndex = errors.New("the answer carries no index")

// query asks Consul once.
type query func(ctx context.Context, q *api.QueryOptions) (*api.QueryMeta, error)

// follow repeats a blocking query until ctx ends, and reports how each went.
//
// The index of the last answer is what the next one waits behind. It starts again from nothing when it went backwards, which it does when
// Consul was restored or began anew, and after any error: the old index may be ahead of what a restarted Consul will reach for days.
// The first answer of each beginning is a consistent one; a follower that lags may otherwise say, rightly, that there is nothing.
func (r *Registry) follow(ctx context.Context, q query, report func(error)) {
	var index uint64
	var back backoff
	for ctx.Err() == nil {
		began := time.Now()
		meta, err := r.ask(ctx, q, index)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			report(err)
			index = 0
			pause(ctx, back.next(err))
			continue
		case meta.LastIndex < index:
			index = 0
		default:
			index = meta.LastIndex
		}
		back = backoff{}
		report(nil)
		pause(ctx, minDelay-time.Since(began))
	}
}

func (r *Registry) ask(ctx context.Context, q query, index uint64) (*api.QueryMeta, error) {
	// Consul adds up to a sixteenth of the wait; what takes much longer is a connection that nobody is at the other end of.
	ctx, cancel := context.WithTimeout(ctx, r.wait+r.wait/16+10*time.Second)
	defer cancel()
	o := r.options(ctx)
	o.WaitIndex, o.WaitTime, o.RequireConsistent = index, r.wait, index == 0
	meta, err := q(ctx, o)
	if err == nil && meta.LastIndex == 0 {
		err = errNoIndex
	}
	return meta, err
}

func (r *Registry) options(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{Token: r.tokens.token()}).WithContext(ctx)
}

// backoff doubles, with jitter, so that neither 128 queries nor all replicas come back at once.
type backoff struct{ last time.Duration }

func (b *backoff) next(err error) time.Duration {
	b.last = min(max(2*b.last, minBackoff), maxBackoff)
	if status, ok := errors.AsType[api.StatusError](err); ok && status.Code == http.StatusTooManyRequests {
		b.last = maxBackoff // more of the same would not help
	}
	return b.last/2 + rand.N(b.last/2)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watchRegistrations keeps a shard's list of registrations. It has the bindings read again when the list changed, and now and then: that is
// how a change that nobody announced is found.
func (r *Registry) watchRegistrations(ctx context.Context, s *shard) {
	name := shardName(r.service, s.number)
	var lastWake time.Time
	r.follow(ctx, func(_ context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
		entries, meta, err := r.client.Health().Service(name, "", false, q)
		if err != nil {
			return nil, err
		}
		changed, o := s.list(readRegistrations(entries, s.number))
		r.settle(o)
		if changed || time.Since(lastWake) >= r.wait/2 {
			lastWake = time.Now()
			s.wake()
		}
		return meta, nil
	}, r.reporter("registrations of "+name))
}

// watchChanges has the bindings of those shards read again whose key was touched.
func (r *Registry) watchChanges(ctx context.Context) {
	var seen map[string]uint64
	r.follow(ctx, func(_ context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
		pairs, meta, err := r.client.KV().List(r.changes(), q)
		if err != nil {
			return nil, err
		}
		now := make(map[string]uint64, len(pairs))
		for _, pair := range pairs {
			now[pair.Key] = pair.ModifyIndex
		}
		for _, s := range r.shards {
			key := r.changeKey(s.number)
			if q.WaitIndex == 0 || now[key] != seen[key] { // after a gap, anything may have changed
				s.wake()
			}
		}
		seen = now
		return meta, nil
	}, r.reporter("changes"))
}

// readOnDemand reads a shard's bindings whenever somebody woke it, and again until it succeeds.
func (r *Registry) readOnDemand(ctx context.Context, s *shard) {
	report := r.reporter(fmt.Sprintf("bindings of %02x", s.number))
	var back backoff
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		}
		err := r.read(ctx, s)
		if ctx.Err() != nil {
			return
		}
		report(err)
		if err == nil {
			back = backoff{}
			continue
		}
		pause(ctx, back.next(err))
		s.wake()
	}
}

// read takes the bindings of one shard. At most maxReads run at once.
func (r *Registry) read(ctx context.Context, s *shard) error {
	select {
	case r.reads <- struct{}{}:
		defer func() { <-r.reads }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o := r.options(ctx)
	_, complete := s.snapshot()
	o.RequireConsistent = !complete
	pairs, _, err := r.client.KV().List(r.bindingsOf(s.number), o)
	if err != nil {
		return err
	}
	listed, bad := r.readBindings(pairs, s.number)
	read := make(map[string]kept, len(listed))
	for server, b := range listed {
		read[server] = b.kept
	}
	r.settle(s.take(read, bad))
	if !r.readOnly {
		r.maintain(ctx, s, listed)
	}
	return nil
}

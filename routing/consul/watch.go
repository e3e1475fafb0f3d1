package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"
)

// The pace of queries.
const (
	minDelay = 10 * time.Millisecond  // between two answers to one blocking query, so that a busy service cannot keep us spinning
	maxDelay = 200 * time.Millisecond // the same while many shards are watched
	// watchesAtRest is how many watched shards make the delay longer by minDelay each time.
	watchesAtRest = 8
	minBackoff    = 100 * time.Millisecond
	maxBackoff    = 4 * time.Second // short, because what cannot be read now is a server that cannot be opened
)

var errNoIndex = errors.New("the answer carries no index")

// query asks Consul once.
type query func(ctx context.Context, q *api.QueryOptions) (*api.QueryMeta, error)

// cursor is where a blocking query stands.
type cursor struct {
	index uint64 // what the next query waits behind; 0: it does not wait
	back  backoff
}

// step asks once, moves the cursor, and reports how it went. It returns after a pause that keeps any answer from making us spin.
//
// The cursor starts again from nothing when the index went backwards, which it does when Consul was restored or began anew, and after any
// error: the old index may be ahead of what a restarted Consul will reach for days. The first answer of each beginning is a consistent
// one; a follower that lags may otherwise say, rightly, that there is nothing.
func (r *Registry) step(ctx context.Context, c *cursor, q query, report func(error)) {
	began := time.Now()
	meta, err := r.ask(ctx, q, c.index)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		report(err)
		c.index = 0
		pause(ctx, c.back.next(err))
		return
	case meta.LastIndex < c.index:
		c.index = 0
	default:
		c.index = meta.LastIndex
	}
	c.back = backoff{}
	report(nil)
	pause(ctx, r.rest()-time.Since(began))
}

// rest is how long one blocking query's answers are apart at least. While many servers start at once, each with several changes of its registration in a row, the
// queries of their shards leave Consul and the hub the time to start them.
func (r *Registry) rest() time.Duration {
	return min(minDelay*time.Duration(1+len(r.watches)/watchesAtRest), maxDelay)
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

// watchRegistrations lists a shard's registrations, with a blocking query as long as some binding waits for its registration, and now and
// then when none does. A registration is of no use without a binding, so nothing is missed; and a hub at rest holds one connection to Consul
// instead of 129, of which two hubs on one agent would be turned away.
func (r *Registry) watchRegistrations(ctx context.Context, s *shard) {
	name := shardName(r.service, s.number)
	report := r.reporter("registrations of " + name)
	list := func(ctx context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
		leave, err := r.enter(ctx, q)
		if err != nil {
			return nil, err
		}
		defer leave()
		// The catalog and not the health of the service: whether checks pass is nothing that is asked here, and they are most of that answer.
		var entries []instance
		meta, err := r.client.Raw().Query("/v1/catalog/service/"+url.PathEscape(name), &entries, q)
		if err != nil {
			return nil, err
		}
		changed, o := s.list(readRegistrations(entries, s.number))
		r.settle(o)
		if changed {
			s.wake()
		}
		return meta, nil
	}
	var c cursor
	for ctx.Err() == nil {
		if c.index != 0 && !s.unconfirmed() {
			c.index = 0
			select {
			case <-ctx.Done():
			case <-s.want:
			case <-time.After(r.wait/2 + rand.N(r.wait/2)):
				s.wake() // a change that nobody announced is found this way
			}
			continue
		}
		r.step(ctx, &c, list, report)
	}
}

// enter waits for a place among the queries that may be open at once. While all places for long ones are taken, nobody keeps one for long.
func (r *Registry) enter(ctx context.Context, q *api.QueryOptions) (leave func(), err error) {
	places := r.reads
	if q.WaitIndex != 0 {
		places = r.watches
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if q.WaitIndex != 0 && len(places) == cap(places) {
		q.WaitTime = min(q.WaitTime, time.Second)
	}
	return func() { <-places }, nil
}

// watchChanges has the bindings of those shards read again whose key was touched.
func (r *Registry) watchChanges(ctx context.Context) {
	var seen map[string]uint64
	list := func(_ context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
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
	}
	report := r.reporter("changes")
	for c := (cursor{}); ctx.Err() == nil; {
		r.step(ctx, &c, list, report)
	}
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
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o := r.options(ctx)
	_, _, complete := s.snapshot()
	o.RequireConsistent = !complete
	leave, err := r.enter(ctx, o)
	if err != nil {
		return err
	}
	pairs, _, err := r.client.KV().List(r.bindingsOf(s.number), o)
	leave()
	if err != nil {
		return err
	}
	l := r.readBindings(pairs)
	r.settle(s.take(l))
	if !r.readOnly {
		r.maintain(ctx, s, l)
	}
	return nil
}

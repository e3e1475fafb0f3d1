package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
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
	// unpaced: whoever asks has a pace of his own.
	unpaced bool
	hurry   <-chan struct{} // ends a pause after an answer; nil: nothing does
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
	if !c.unpaced {
		pauseUnless(ctx, c.hurry, r.rest()-time.Since(began))
	}
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

func pause(ctx context.Context, d time.Duration) { pauseUnless(ctx, nil, d) }

func pauseUnless(ctx context.Context, hurry <-chan struct{}, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-hurry:
	case <-time.After(d):
	}
}

// watchChanges has the bindings of those shards read whose key was touched.
func (r *Registry) watchChanges(ctx context.Context) {
	list := func(_ context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
		pairs, meta, err := r.client.KV().List(r.changes(), q)
		if err != nil {
			return nil, err
		}
		now := make(map[string]notice, len(pairs))
		for _, pair := range pairs {
			now[pair.Key] = readNotice(pair.ModifyIndex, pair.Value)
		}
		if q.WaitIndex == 0 { // after a gap, anything may have changed
			r.gaps.Add(1)
		}
		for _, s := range r.shards {
			if n := now[r.changeKey(s.number)]; q.WaitIndex == 0 {
				s.restart(n)
			} else {
				s.notice(n)
			}
		}
		return meta, nil
	}
	tell, failed := r.reporter("changes"), false
	report := func(err error) {
		if err != nil && !failed { // the bindings may be there to be read all the same
			for _, s := range r.shards {
				s.wake()
			}
		}
		failed = err != nil
		tell(err)
	}
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
		err := r.read(ctx, s, s.next())
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

// read takes the bindings of one shard, or the one that changed. At most maxReads run at once.
func (r *Registry) read(ctx context.Context, s *shard, t task) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	known, err := !t.all, error(nil)
	switch {
	case t.all:
	case t.server != "":
		known, err = r.readOne(ctx, s, t)
	case t.unless != 0:
		known, err = r.unchanged(ctx, s, t.unless)
	}
	if err != nil {
		return err
	}
	if known {
		s.done(t)
		return nil
	}
	pairs, index, err := r.readAll(ctx, s, t)
	if err != nil {
		return err
	}
	l := r.readBindings(pairs, index)
	r.settle(s.take(l))
	s.done(t)
	if !r.readOnly {
		r.maintain(ctx, s, l)
	}
	return nil
}

// readAll lists a shard's bindings. A list that is older than the change that it was asked for comes from a server that lags.
func (r *Registry) readAll(ctx context.Context, s *shard, t task) (api.KVPairs, uint64, error) {
	if err := r.reads.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer r.reads.leave()
	o := r.options(ctx)
	o.RequireConsistent = !s.complete()
	pairs, meta, err := r.client.KV().List(r.bindingsOf(s.number), o)
	if err == nil && meta.LastIndex < t.upTo && !o.RequireConsistent {
		o.RequireConsistent = true
		pairs, meta, err = r.client.KV().List(r.bindingsOf(s.number), o)
	}
	if err != nil {
		return nil, 0, err
	}
	return pairs, meta.LastIndex, nil
}

// unchanged tells whether the keys of a shard's bindings have the index still. The answer has a single name for all keys.
func (r *Registry) unchanged(ctx context.Context, s *shard, index uint64) (bool, error) {
	if err := r.reads.enter(ctx); err != nil {
		return false, err
	}
	defer r.reads.leave()
	_, meta, err := r.client.KV().Keys(strings.TrimSuffix(r.bindingsOf(s.number), "/"), "/", r.options(ctx))
	return err == nil && meta.LastIndex == index, err
}

// readOne reads the binding that alone has changed. It tells whether all is known then: not if what lies there is older than the change, is not the
// hub's word, or not the newest word that this replica knows.
func (r *Registry) readOne(ctx context.Context, s *shard, t task) (known bool, err error) {
	if err := r.reads.enter(ctx); err != nil {
		return false, err
	}
	pair, _, err := r.client.KV().Get(r.bindingKey(t.server), r.options(ctx))
	r.reads.leave()
	if err != nil || pair == nil || pair.ModifyIndex < t.upTo {
		return false, err
	}
	b, why := r.open(pair)
	if why != "" {
		return false, nil
	}
	r.settle(s.put(b.Binding, b.index))
	now, _ := s.known(t.server)
	return now == b.Binding, nil
}

package consul

import (
	"context"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/routing"
)

// places bound how many queries are open at once.
type places chan struct{}

func (p places) enter(ctx context.Context) error {
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try takes a place if one is free.
func (p places) try() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p places) leave() { <-p }

// The pace of those that find no place for a blocking query: they look by short ones, at first often, since most registrations come soon.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
	// crowdedWait is how long a blocking query waits that took the last place.
	crowdedWait = time.Second
)

// watch is one shard's listing of registrations as time goes by.
type watch struct {
	*Registry
	cursor
	shard *shard
	gap   int64         // of the registry when the cursor began
	due   bool          // it is time to look whether there is something that nobody announced
	look  time.Duration // until the next short query, if there is no place for a blocking one
}

// watchRegistrations lists a shard's registrations, with a blocking query as long as some binding waits for its registration, and now and
// then when none does. A registration is of no use without a binding, so nothing is missed; and a hub at rest holds one connection to Consul
// instead of 129, of which two hubs on one agent would be turned away.
func (r *Registry) watchRegistrations(ctx context.Context, s *shard) {
	w := &watch{Registry: r, shard: s, cursor: cursor{hurry: s.hurry}, look: firstLook}
	report := r.reporter("registrations of " + shardName(r.service, s.number))
	for ctx.Err() == nil {
		switch {
		case w.index == 0:
			w.gap = r.gaps.Load()
			r.step(ctx, &w.cursor, w.briefly, report)
		case w.due:
			w.due = false
			s.check()
			r.step(ctx, &w.cursor, w.glance, report)
		case !s.unconfirmed():
			w.idle(ctx)
		case w.gap != r.gaps.Load():
			w.index = 0
		case r.watches.try():
			w.look = firstLook
			r.step(ctx, &w.cursor, w.long, report)
		default:
			w.await(ctx)
			w.unpaced = true
			r.step(ctx, &w.cursor, w.briefly, report)
			w.unpaced = false
		}
	}
}

// idle waits until a binding waits for its registration, or it is time to look whether Consul holds what nobody announced.
func (w *watch) idle(ctx context.Context) {
	w.look = firstLook
	select {
	case <-ctx.Done():
	case <-w.shard.want: // the index still stands: what has changed since then is answered at once
	case <-time.After(w.wait/2 + rand.N(w.wait/2)):
		w.due = true
	}
}

// await passes the time until the next short query. Whoever waits for a route has it shortened.
func (w *watch) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-w.hurry:
	case <-time.After(w.look):
	}
	w.look = min(2*w.look, lastLook)
}

func (w *watch) briefly(ctx context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
	if err := w.reads.enter(ctx); err != nil {
		return nil, err
	}
	defer w.reads.leave()
	q.WaitIndex = 0
	return w.query(q)
}

// none is a filter that no registration passes, so that an answer says by its index alone whether anything has changed.
const none = `ServiceID == ""`

// glance lists only if the list is no longer that of the cursor, or has nothing in it: the index of no service moves with all others.
func (w *watch) glance(ctx context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
	if err := w.reads.enter(ctx); err != nil {
		return nil, err
	}
	defer w.reads.leave()
	q.WaitIndex = 0
	if w.shard.unregistered() {
		return w.query(q)
	}
	q.Filter = none
	var entries instances
	meta, err := w.client.Raw().Query(w.path(), &entries, q)
	if err != nil || meta.LastIndex == w.index && w.gap == w.gaps.Load() {
		return meta, err
	}
	w.gap, q.Filter = w.gaps.Load(), ""
	return w.query(q)
}

func (w *watch) path() string {
	return "/v1/catalog/service/" + url.PathEscape(shardName(w.service, w.shard.number))
}

// long has a place and gives it back.
func (w *watch) long(_ context.Context, q *api.QueryOptions) (*api.QueryMeta, error) {
	defer w.watches.leave()
	if len(w.watches) == cap(w.watches) {
		q.WaitTime = min(q.WaitTime, crowdedWait)
	}
	return w.query(q)
}

// query asks the catalog and not for the health of the service: whether checks pass is nothing that is asked here, and they are most of that answer.
func (w *watch) query(q *api.QueryOptions) (*api.QueryMeta, error) {
	var entries instances
	meta, err := w.client.Raw().Query(w.path(), &entries, q)
	if err != nil {
		return nil, err
	}
	registrations, bad := readRegistrations(entries, w.shard.number)
	w.settle(w.shard.list(registrations, bad))
	return meta, nil
}

// Seek implements [routing.Seeker].
func (r *Registry) Seek(server string) {
	if s := r.shards[routing.Shard(server)]; s.awaits(server) {
		offer(s.hurry)
	}
}

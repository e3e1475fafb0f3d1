package consul

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/nomadhub/nomadhub/routing"
)

var errSecondReader = errors.New("consul: the routes of one registry cannot be read twice at once")

// Routes implements [routing.Source].
func (r *Registry) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return routing.Whole(r.Parts(ctx))
}

// Parts implements [routing.PartedSource]; a part is a shard. The first snapshot comes when all shards have been read; while some of the
// queries fail, what is known is yielded along with the error.
func (r *Registry) Parts(ctx context.Context) iter.Seq2[[]routing.Part, error] {
	return func(yield func([]routing.Part, error) bool) {
		if !r.following.CompareAndSwap(false, true) {
			if yield(nil, errSecondReader) {
				<-ctx.Done()
			}
			return
		}
		defer r.following.Store(false)
		ctx, cancel := context.WithCancel(ctx)
		var followers sync.WaitGroup
		defer r.health.clear()
		defer followers.Wait()
		defer cancel()
		r.start(ctx, &followers)
		var told [routing.Shards]uint64
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.news:
			}
			parts, complete := r.since(&told)
			_, err := r.health.failing()
			if (complete || err != nil) && !yield(parts, err) {
				return
			}
		}
	}
}

func (r *Registry) start(ctx context.Context, followers *sync.WaitGroup) {
	r.tell()                                     // a second reading begins with what is known already
	followers.Go(func() { r.watchChanges(ctx) }) // whose first answer, or failure, has all bindings read
	for _, s := range r.shards {
		followers.Go(func() { r.watchRegistrations(ctx, s) })
		followers.Go(func() { r.readOnDemand(ctx, s) })
	}
}

// since gathers the shards whose routes have another version than the one that was told, and notes that it is told now. Before all shards are
// complete it returns nil.
func (r *Registry) since(told *[routing.Shards]uint64) (parts []routing.Part, complete bool) {
	for _, s := range r.shards {
		if !s.complete() { // and so it stays once it is
			return nil, false
		}
	}
	parts, versions := []routing.Part{}, *told
	for i, s := range r.shards {
		if routes, version := s.snapshot(versions[i]); version != versions[i] {
			versions[i] = version
			parts = append(parts, routing.Part{Number: i, Routes: routes})
		}
	}
	*told = versions
	return parts, true
}

func (r *Registry) tell() { offer(r.news) }

// settle draws the consequences of a shard's change.
func (r *Registry) settle(o outcome) {
	for _, i := range o.newlyIgnored {
		r.metrics.ignored.WithLabelValues(string(i.reason)).Inc()
		if i.reason == forged || i.reason == copied {
			r.log.Warn("something in Consul claims to be a notebook and is not", "what", i.what, "reason", string(i.reason))
		} else {
			r.log.Debug("registration ignored", "what", i.what, "reason", string(i.reason))
		}
	}
	if o.routesChanged {
		r.tell()
	}
}

func (r *Registry) reporter(query string) func(error) {
	return func(err error) {
		if r.health.report(query, err) {
			r.tell()
		}
	}
}

package consul

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/nomadhub/nomadhub/routing"
)

var errSecondReader = errors.New("consul: the routes of one registry cannot be read twice at once")

// Routes implements [routing.Source]. Its first snapshot comes when all shards have been read; while some of the queries fail, what is
// known is yielded along with the error.
func (r *Registry) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return func(yield func([]routing.Route, error) bool) {
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
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.news:
			}
			routes, complete := r.snapshot()
			_, err := r.health.failing()
			if !complete {
				routes = nil
			}
			if (complete || err != nil) && !yield(routes, err) {
				return
			}
		}
	}
}

func (r *Registry) start(ctx context.Context, followers *sync.WaitGroup) {
	r.tell() // a second reading begins with what is known already
	followers.Go(func() { r.watchChanges(ctx) })
	for _, s := range r.shards {
		followers.Go(func() { r.watchRegistrations(ctx, s) })
		followers.Go(func() { r.readOnDemand(ctx, s) })
		s.wake()
	}
}

// snapshot gathers the routes of all shards. It is not nil.
func (r *Registry) snapshot() (routes []routing.Route, complete bool) {
	routes, complete = []routing.Route{}, true
	for _, s := range r.shards {
		part, ok := s.snapshot()
		routes, complete = append(routes, part...), complete && ok
	}
	return routes, complete
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

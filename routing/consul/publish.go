package consul

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/routing"
)

const maxAttempts = 10

var errContended = errors.New("consul: somebody else keeps changing this binding; try again")

// decide tells what shall be at a key after what is there now. No change: false.
type decide func(old routing.Binding, known bool) (next routing.Binding, change bool)

// Publish implements [routing.Publisher]. The route stands on this replica at once if the registration has been seen, and on the others
// some milliseconds later.
func (r *Registry) Publish(ctx context.Context, b routing.Binding) error {
	if err := b.Validate(); err != nil {
		return err
	}
	if !keyable(b.Server) {
		return fmt.Errorf("%w: server ID %q cannot be part of a key", routing.ErrInvalid, b.Server)
	}
	mine, iKnow := r.shards[routing.Shard(b.Server)].known(b.Server)
	err := r.write(ctx, b.Server, func(old routing.Binding, known bool) (routing.Binding, bool) {
		if iKnow && !b.MayReplace(mine) { // what Consul holds may be older than what it once held
			return routing.Binding{}, false
		}
		return b, !known || b != old && b.MayReplace(old)
	})
	if err != nil {
		return fmt.Errorf("publish binding of server %s: %w", b.Server, err)
	}
	return nil
}

// Withdraw implements [routing.Publisher]. The route is gone on this replica at once, even if Consul cannot be reached; the error then says
// that the others do not know it yet. They are told as soon as Consul is back, or by another call.
func (r *Registry) Withdraw(ctx context.Context, server string, generation int64) error {
	if !keyable(server) {
		return nil // it was never published
	}
	s := r.shards[routing.Shard(server)]
	mine, iKnow := s.known(server)
	if mark, ok := mine.Withdraw(generation); iKnow && ok {
		sealed, err := mark.Seal(r.signer)
		if err != nil {
			return err
		}
		r.settle(s.put(kept{mark, string(sealed)}))
	}
	err := r.write(ctx, server, func(old routing.Binding, known bool) (routing.Binding, bool) {
		if !known { // Consul lost it; the other replicas may still hold it
			old, known = mine, iKnow
		}
		mark, ok := old.Withdraw(generation)
		return mark, known && ok
	})
	if err != nil {
		s.wake()
		return fmt.Errorf("withdraw binding of server %s: %w", server, err)
	}
	return nil
}

// write changes a binding by check-and-set until nobody comes between.
func (r *Registry) write(ctx context.Context, server string, decide decide) error {
	s := r.shards[routing.Shard(server)]
	for range maxAttempts {
		old, known, index, err := r.get(ctx, server)
		if err != nil {
			return err
		}
		next, change := decide(old.Binding, known)
		if !change {
			if known {
				r.settle(s.put(old))
			}
			return nil
		}
		sealed, err := next.Seal(r.signer)
		if err != nil {
			return err
		}
		done, err := r.set(ctx, kept{next, string(sealed)}, index)
		if err != nil {
			return err
		}
		if done {
			r.settle(s.put(kept{next, string(sealed)}))
			return nil
		}
		pause(ctx, minDelay)
	}
	return errContended
}

// get reads the binding of a server and the index to set it by. A binding that the hub did not sign is not known, and gets overwritten.
func (r *Registry) get(ctx context.Context, server string) (b kept, known bool, index uint64, err error) {
	o := r.options(ctx)
	o.RequireConsistent = true
	pair, _, err := r.client.KV().Get(r.bindingKey(server), o)
	if err != nil || pair == nil {
		return kept{}, false, 0, err
	}
	listed, why := r.open(pair)
	return listed.kept, why == "", pair.ModifyIndex, nil
}

// set writes a binding if its key still has the index, and touches the shard's key in the same transaction. So there is no change that the
// others do not hear of, whenever this process dies.
func (r *Registry) set(ctx context.Context, b kept, index uint64) (done bool, err error) {
	var flags uint64
	if b.Withdrawn() {
		flags = uint64(time.Now().Unix()) //nolint:gosec // not before 1970
	}
	done, _, _, err = r.client.KV().Txn(api.KVTxnOps{
		{Verb: api.KVCAS, Key: r.bindingKey(b.Server), Value: []byte(b.sealed), Index: index, Flags: flags},
		// Consul takes no notice of a value that is there already.
		{Verb: api.KVSet, Key: r.changeKey(routing.Shard(b.Server)), Value: []byte(rand.Text())},
	}, r.options(ctx))
	return done, err
}

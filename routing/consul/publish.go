package consul

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
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
	mine := r.shards[routing.Shard(b.Server)].recall(b.Server)
	err := r.write(ctx, b.Server, mine, func(old routing.Binding, known bool) (routing.Binding, bool) {
		if mine.known && !b.MayReplace(mine.Binding) { // what Consul holds may be older than what it once held
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
	mine := s.recall(server)
	if mark, ok := mine.Withdraw(generation); mine.known && ok {
		r.settle(s.put(mark, 0))
	}
	err := r.write(ctx, server, mine, func(old routing.Binding, known bool) (routing.Binding, bool) {
		if !known { // Consul lost it; the other replicas may still hold it
			old, known = mine.Binding, mine.known
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

// write changes a binding by check-and-set until nobody comes between. What this replica knows to lie there need not be read first: if it is
// no longer so, the check says that.
func (r *Registry) write(ctx context.Context, server string, now found, decide decide) error {
	s := r.shards[routing.Shard(server)]
	for range maxAttempts {
		next, change := routing.Binding{}, false
		if now.sure {
			next, change = decide(now.Binding, now.known)
		}
		if !change { // that there is nothing to do is said by Consul only
			var err error
			if now, err = r.get(ctx, server); err != nil {
				return err
			}
			if next, change = decide(now.Binding, now.known); !change {
				if now.known {
					r.settle(s.put(now.Binding, now.index))
				}
				return nil
			}
		}
		done, err := r.set(ctx, s, next, now.index)
		if err != nil || done {
			return err
		}
		now.sure = false
		pause(ctx, minDelay)
	}
	return errContended
}

// get reads the binding of a server. One that the hub did not sign is not known, and gets overwritten.
func (r *Registry) get(ctx context.Context, server string) (found, error) {
	o := r.options(ctx)
	o.RequireConsistent = true
	pair, _, err := r.client.KV().Get(r.bindingKey(server), o)
	if err != nil || pair == nil {
		return found{sure: true}, err
	}
	listed, why := r.open(pair)
	return found{Binding: listed.Binding, known: why == "", index: pair.ModifyIndex, sure: true}, nil
}

// set writes a binding if its key still has the index, and touches the shard's key in the same transaction. So there is no change that the
// others do not hear of, whenever this process dies.
func (r *Registry) set(ctx context.Context, s *shard, b routing.Binding, index uint64) (done bool, err error) {
	sealed, err := b.Seal(r.signer)
	if err != nil {
		return false, err
	}
	write := &api.KVTxnOp{Verb: api.KVCAS, Key: r.bindingKey(b.Server), Value: sealed, Index: index}
	if b.Withdrawn() {
		write.Flags = uint64(time.Now().Unix()) //nolint:gosec // not before 1970
	}
	f, state := s.depart(), uint64(0)
	defer func() { s.arrive(f, state) }()
	change := r.changeKey(s.number)
	if f.after != 0 {
		next := &api.KVTxnOp{Verb: api.KVCAS, Key: change, Value: []byte(noticeAfter(f.after, b.Server)), Index: f.after}
		indexes, late, err := r.transact(ctx, write, next)
		if err != nil || slices.Contains(late, 0) {
			return false, err
		}
		if indexes != nil {
			state = indexes[change]
			r.settle(s.put(b, indexes[write.Key]))
			return true, nil
		}
	}
	// Somebody else changed another binding of the shard. Consul takes no notice of a value that is there already.
	indexes, _, err := r.transact(ctx, write, &api.KVTxnOp{Verb: api.KVSet, Key: change, Value: []byte(rand.Text())})
	if indexes == nil {
		return false, err
	}
	r.settle(s.put(b, indexes[write.Key]))
	return true, nil
}

// transact does all or nothing. It returns the indexes that the keys have if it was done, and else which of the operations came too late.
func (r *Registry) transact(ctx context.Context, ops ...*api.KVTxnOp) (indexes map[string]uint64, late []int, err error) {
	done, answer, _, err := r.client.KV().Txn(ops, r.options(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range answer.Errors {
		late = append(late, e.OpIndex)
	}
	if !done {
		return nil, late, nil
	}
	indexes = make(map[string]uint64, len(ops))
	for _, pair := range answer.Results {
		indexes[pair.Key] = pair.ModifyIndex
	}
	return indexes, nil, nil
}

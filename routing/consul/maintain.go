package consul

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/routing"
)

// markTTL is how long the mark of a withdrawn binding stays. It has to outlive every replica that has not heard of the withdrawal, since such
// a one would take the missing binding for a lost one. A server that starts again overwrites its mark.
const markTTL = 7 * 24 * time.Hour

// maintain makes Consul hold what this replica knows: bindings and marks that it lost (a restored snapshot, a new cluster), has an older
// version of, or something that the hub did not sign in place of. What fails is tried again at the next reading.
func (r *Registry) maintain(ctx context.Context, s *shard, l listing) {
	lost, done := s.compare(l.bindings, time.Now())
	for _, b := range lost {
		restored, err := r.set(ctx, s, b, l.indexes[r.bindingKey(b.Server)])
		switch {
		case err != nil:
			r.log.Debug("binding not restored", "server_id", b.Server, "err", err)
			return
		case restored:
			r.log.Warn("Consul had lost a binding; it is restored", "server_id", b.Server, "generation", b.Generation)
		}
	}
	for _, server := range done {
		key := r.bindingKey(server)
		if l.indexes[key] == 0 {
			continue
		}
		if _, _, err := r.client.KV().DeleteCAS(&api.KVPair{Key: key, ModifyIndex: l.indexes[key]},
			(&api.WriteOptions{Token: r.tokens.token()}).WithContext(ctx)); err != nil {
			r.log.Debug("old mark not removed", "server_id", server, "err", err)
		}
	}
	s.forget(done)
}

// compare finds the bindings of which Consul has nothing or something older, and the marks that have served their time.
func (s *shard) compare(listed map[string]listedBinding, now time.Time) (lost []routing.Binding, done []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for server, mine := range s.bindings {
		theirs, there := listed[server]
		switch {
		case !there && mine.Withdrawn():
			done = append(done, server)
		case !there, theirs.Binding != mine.Binding && mine.MayReplace(theirs.Binding):
			lost = append(lost, mine.Binding)
		case mine.Withdrawn() && theirs.Binding == mine.Binding && now.Sub(time.Unix(int64(theirs.marked), 0)) > markTTL: //nolint:gosec // seconds fit
			done = append(done, server)
		}
	}
	return lost, done
}

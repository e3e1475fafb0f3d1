package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// principals remembers for a moment who shows which token: servers, services and scripts show theirs again and again, and each look at one takes several
// reads. What another replica revokes is noticed when the moment is over; what this one does, at once.
type principals struct {
	epoch atomic.Uint64 // rises with each change that what is remembered could speak of
	mu    sync.RWMutex
	of    map[string]remembered // by hash
}

type remembered struct {
	Principal

	epoch uint64
	until time.Time
}

const (
	// principalAge is how long another replica's change may go unnoticed. A second is promised.
	principalAge = 500 * time.Millisecond
	// maxPrincipals bounds what is remembered, some kilobytes each.
	maxPrincipals = 4096
)

// forget is called after each change that what is remembered could speak of.
func (r *principals) forget() { r.epoch.Add(1) }

func (r *principals) stands(epoch uint64) bool { return epoch == r.epoch.Load() }

// recall returns whose the token was last seen to be, unless that is too long ago or something has changed since.
func (r *principals) recall(hash []byte) (Principal, bool) {
	r.mu.RLock()
	p, known := r.of[string(hash)]
	r.mu.RUnlock()
	if !known || !r.stands(p.epoch) || time.Now().After(p.until) {
		return Principal{}, false
	}
	return p.Principal, true
}

// learn returns whose the token is, and remembers what it had to read for that unless something has changed meanwhile.
func (r *principals) learn(hash []byte, read func() (Principal, error)) (Principal, error) {
	if p, known := r.recall(hash); known {
		return p, nil
	}
	epoch, until := r.epoch.Load(), time.Now().Add(principalAge)
	p, err := read()
	if err != nil {
		return Principal{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxPrincipals {
		r.of = make(map[string]remembered)
	}
	r.of[string(hash)] = remembered{p, epoch, until}
	return p, nil
}

// sweep forgets those whose moment is over, so that nobody's data stays in memory for nothing.
func (r *principals) sweep() {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for hash, p := range r.of {
		if !r.stands(p.epoch) || now.After(p.until) {
			delete(r.of, hash)
		}
	}
}

// noticing is a store that tells of each write after which a token may stand for somebody else, or for less.
type noticing struct {
	Store

	changed func()
}

// InTx implements [Store]: what a transaction changes is told of when it is over, however it ended.
func (n noticing) InTx(ctx context.Context, fn func(Store) error) error {
	return n.within(func(tell func()) error {
		return n.Store.InTx(ctx, func(tx Store) error { return fn(noticing{tx, tell}) })
	})
}

// Exclusive implements [Store].
func (n noticing) Exclusive(ctx context.Context, name string, fn func(Store) error) error {
	return n.within(func(tell func()) error {
		return n.Store.Exclusive(ctx, name, func(tx Store) error { return fn(noticing{tx, tell}) })
	})
}

func (n noticing) within(do func(tell func()) error) error {
	told := false
	defer func() {
		if told {
			n.changed()
		}
	}()
	return do(func() { told = true })
}

// UpdateUser implements [UserStore].
func (n noticing) UpdateUser(ctx context.Context, u User) error {
	defer n.changed()
	return n.Store.UpdateUser(ctx, u)
}

// RenameUser implements [UserStore].
func (n noticing) RenameUser(ctx context.Context, id, name string) error {
	defer n.changed()
	return n.Store.RenameUser(ctx, id, name)
}

// DeleteUser implements [UserStore].
func (n noticing) DeleteUser(ctx context.Context, id string) error {
	defer n.changed()
	return n.Store.DeleteUser(ctx, id)
}

// DeleteToken implements [TokenStore].
func (n noticing) DeleteToken(ctx context.Context, id int64) error {
	defer n.changed()
	return n.Store.DeleteToken(ctx, id)
}

// DeleteTokenOfCode implements [TokenStore].
func (n noticing) DeleteTokenOfCode(ctx context.Context, clientID string, code []byte) (bool, error) {
	defer n.changed()
	return n.Store.DeleteTokenOfCode(ctx, clientID, code)
}

// DeleteTokensOfBrowser implements [TokenStore].
func (n noticing) DeleteTokensOfBrowser(ctx context.Context, userID, browserID string) error {
	defer n.changed()
	return n.Store.DeleteTokensOfBrowser(ctx, userID, browserID)
}

// DeleteTokensOfClient implements [TokenStore].
func (n noticing) DeleteTokensOfClient(ctx context.Context, clientID, userID string) error {
	defer n.changed()
	return n.Store.DeleteTokensOfClient(ctx, clientID, userID)
}

// DeleteTokensOfServer implements [TokenStore].
func (n noticing) DeleteTokensOfServer(ctx context.Context, serverID string) error {
	defer n.changed()
	return n.Store.DeleteTokensOfServer(ctx, serverID)
}

// DeleteTokensOfService implements [TokenStore].
func (n noticing) DeleteTokensOfService(ctx context.Context, service string, except ...[]byte) error {
	defer n.changed()
	return n.Store.DeleteTokensOfService(ctx, service, except...)
}

// DeleteClientsOfServer implements [OAuthStore].
func (n noticing) DeleteClientsOfServer(ctx context.Context, serverID string) error {
	defer n.changed()
	return n.Store.DeleteClientsOfServer(ctx, serverID)
}

// DeleteClientsOfService implements [OAuthStore].
func (n noticing) DeleteClientsOfService(ctx context.Context, service, except string) error {
	defer n.changed()
	return n.Store.DeleteClientsOfService(ctx, service, except)
}

// DeleteServer implements [ServerStore].
func (n noticing) DeleteServer(ctx context.Context, id string) error {
	defer n.changed()
	return n.Store.DeleteServer(ctx, id)
}

// ServerRenamed implements [ServerStore].
func (n noticing) ServerRenamed(ctx context.Context, from, to string) error {
	defer n.changed()
	return n.Store.ServerRenamed(ctx, from, to)
}

// AddMembers implements [GroupStore].
func (n noticing) AddMembers(ctx context.Context, group string, users []string) error {
	defer n.changed()
	return n.Store.AddMembers(ctx, group, users)
}

// RemoveMembers implements [GroupStore].
func (n noticing) RemoveMembers(ctx context.Context, group string, users []string) error {
	defer n.changed()
	return n.Store.RemoveMembers(ctx, group, users)
}

// DeleteGroup implements [GroupStore].
func (n noticing) DeleteGroup(ctx context.Context, name string) error {
	defer n.changed()
	return n.Store.DeleteGroup(ctx, name)
}

// PutService implements [ServiceStore].
func (n noticing) PutService(ctx context.Context, s Service) error {
	defer n.changed()
	return n.Store.PutService(ctx, s)
}

// DeleteService implements [ServiceStore].
func (n noticing) DeleteService(ctx context.Context, name string) error {
	defer n.changed()
	return n.Store.DeleteService(ctx, name)
}

// PutShare implements [ShareStore].
func (n noticing) PutShare(ctx context.Context, serverID, userID, group string, scopes []string, now time.Time) (Share, error) {
	defer n.changed()
	return n.Store.PutShare(ctx, serverID, userID, group, scopes, now)
}

// DeleteShare implements [ShareStore].
func (n noticing) DeleteShare(ctx context.Context, id int64) error {
	defer n.changed()
	return n.Store.DeleteShare(ctx, id)
}

// DeleteSharesOfServer implements [ShareStore].
func (n noticing) DeleteSharesOfServer(ctx context.Context, serverID string) (int, error) {
	defer n.changed()
	return n.Store.DeleteSharesOfServer(ctx, serverID)
}

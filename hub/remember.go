package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// memory keeps for a moment what was read: servers, services and scripts ask the same again and again, and each answer takes several reads. What another replica
// changes is noticed when the moment is over; what this one does, at once.
type memory[K comparable, V any] struct {
	epoch atomic.Uint64 // rises with each change that what is remembered could speak of
	mu    sync.RWMutex
	of    map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	epoch uint64
	until time.Time
}

const (
	// memoryAge is how long another replica's change may go unnoticed. A second is promised.
	memoryAge = 500 * time.Millisecond
	// maxRemembered bounds what one memory keeps, some kilobytes each.
	maxRemembered = 4096
)

// forget is called after each change that what is remembered could speak of.
func (m *memory[K, V]) forget() { m.epoch.Add(1) }

func (m *memory[K, V]) stands(epoch uint64) bool { return epoch == m.epoch.Load() }

// recall returns what was last read under the key, unless that is too long ago or something has changed since.
func (m *memory[K, V]) recall(key K) (v V, known bool) {
	m.mu.RLock()
	r, known := m.of[key]
	m.mu.RUnlock()
	if !known || !m.stands(r.epoch) || time.Now().After(r.until) {
		return v, false
	}
	return r.value, true
}

// learn returns what there is under the key, and remembers what it had to read for that unless something has changed meanwhile. All who ask get the same value,
// which none of them may change.
func (m *memory[K, V]) learn(key K, read func() (V, error)) (V, error) {
	if v, known := m.recall(key); known {
		return v, nil
	}
	epoch, until := m.epoch.Load(), time.Now().Add(memoryAge)
	v, err := read()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil || len(m.of) >= maxRemembered {
		m.of = make(map[K]remembered[V])
	}
	m.of[key] = remembered[V]{v, epoch, until}
	return v, nil
}

// sweep forgets what was read too long ago, so that nobody's data stays in memory for nothing.
func (m *memory[K, V]) sweep() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.of {
		if !m.stands(r.epoch) || now.After(r.until) {
			delete(m.of, key)
		}
	}
}

// recent is what the hub has just read.
type recent struct {
	principals memory[string, Principal]              // who shows a token, by its hash
	servers    memory[serversOfUser, []ServerOutline] // of one user
}

// serversOfUser are the servers of the user of this ID.
type serversOfUser struct {
	id      string
	stopped bool // with those that do not run
}

// changed is told of writes.
func (r *recent) changed(k kinds) {
	if k&ofPeople != 0 {
		r.principals.forget()
	}
	if k&ofServers != 0 {
		r.servers.forget()
	}
}

func (r *recent) sweep() {
	r.principals.sweep()
	r.servers.sweep()
}

// kinds are what a write may have changed.
type kinds uint8

const (
	// ofPeople: a token may stand for somebody else, or for less.
	ofPeople kinds = 1 << iota
	// ofServers: which servers somebody has, or what is shown of one.
	ofServers
)

// noticing is a store that tells of each write after which something that the hub has just read may no longer be so.
type noticing struct {
	Store

	changed func(kinds)
}

// InTx implements [Store]: what a transaction changes is told of when it is over, however it ended.
func (n noticing) InTx(ctx context.Context, fn func(Store) error) error {
	return n.within(func(tell func(kinds)) error {
		return n.Store.InTx(ctx, func(tx Store) error { return fn(noticing{tx, tell}) })
	})
}

// Exclusive implements [Store].
func (n noticing) Exclusive(ctx context.Context, name string, fn func(Store) error) error {
	return n.within(func(tell func(kinds)) error {
		return n.Store.Exclusive(ctx, name, func(tx Store) error { return fn(noticing{tx, tell}) })
	})
}

func (n noticing) within(do func(tell func(kinds)) error) error {
	var told kinds
	defer func() {
		if told != 0 {
			n.changed(told)
		}
	}()
	return do(func(k kinds) { told |= k })
}

// UpdateUser implements [UserStore].
func (n noticing) UpdateUser(ctx context.Context, u User) error {
	defer n.changed(ofPeople)
	return n.Store.UpdateUser(ctx, u)
}

// RenameUser implements [UserStore].
func (n noticing) RenameUser(ctx context.Context, id, name string) error {
	defer n.changed(ofPeople)
	return n.Store.RenameUser(ctx, id, name)
}

// DeleteUser implements [UserStore].
func (n noticing) DeleteUser(ctx context.Context, id string) error {
	defer n.changed(ofPeople | ofServers)
	return n.Store.DeleteUser(ctx, id)
}

// DeleteToken implements [TokenStore].
func (n noticing) DeleteToken(ctx context.Context, id int64) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteToken(ctx, id)
}

// DeleteTokenOfCode implements [TokenStore].
func (n noticing) DeleteTokenOfCode(ctx context.Context, clientID string, code []byte) (bool, error) {
	defer n.changed(ofPeople)
	return n.Store.DeleteTokenOfCode(ctx, clientID, code)
}

// DeleteTokensOfBrowser implements [TokenStore].
func (n noticing) DeleteTokensOfBrowser(ctx context.Context, userID, browserID string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteTokensOfBrowser(ctx, userID, browserID)
}

// DeleteTokensOfClient implements [TokenStore].
func (n noticing) DeleteTokensOfClient(ctx context.Context, clientID, userID string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteTokensOfClient(ctx, clientID, userID)
}

// DeleteTokensOfServer implements [TokenStore].
func (n noticing) DeleteTokensOfServer(ctx context.Context, serverID string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteTokensOfServer(ctx, serverID)
}

// DeleteTokensOfService implements [TokenStore].
func (n noticing) DeleteTokensOfService(ctx context.Context, service string, except ...[]byte) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteTokensOfService(ctx, service, except...)
}

// DeleteClientsOfServer implements [OAuthStore].
func (n noticing) DeleteClientsOfServer(ctx context.Context, serverID string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteClientsOfServer(ctx, serverID)
}

// DeleteClientsOfService implements [OAuthStore].
func (n noticing) DeleteClientsOfService(ctx context.Context, service, except string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteClientsOfService(ctx, service, except)
}

// DeleteServer implements [ServerStore].
func (n noticing) DeleteServer(ctx context.Context, id string) error {
	defer n.changed(ofPeople | ofServers)
	return n.Store.DeleteServer(ctx, id)
}

// ServerRenamed implements [ServerStore].
func (n noticing) ServerRenamed(ctx context.Context, from, to string) error {
	defer n.changed(ofPeople | ofServers)
	return n.Store.ServerRenamed(ctx, from, to)
}

// AddMembers implements [GroupStore].
func (n noticing) AddMembers(ctx context.Context, group string, users []string) error {
	defer n.changed(ofPeople)
	return n.Store.AddMembers(ctx, group, users)
}

// RemoveMembers implements [GroupStore].
func (n noticing) RemoveMembers(ctx context.Context, group string, users []string) error {
	defer n.changed(ofPeople)
	return n.Store.RemoveMembers(ctx, group, users)
}

// DeleteGroup implements [GroupStore].
func (n noticing) DeleteGroup(ctx context.Context, name string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteGroup(ctx, name)
}

// PutService implements [ServiceStore].
func (n noticing) PutService(ctx context.Context, s Service) error {
	defer n.changed(ofPeople)
	return n.Store.PutService(ctx, s)
}

// DeleteService implements [ServiceStore].
func (n noticing) DeleteService(ctx context.Context, name string) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteService(ctx, name)
}

// PutShare implements [ShareStore].
func (n noticing) PutShare(ctx context.Context, serverID, userID, group string, scopes []string, now time.Time) (Share, error) {
	defer n.changed(ofPeople)
	return n.Store.PutShare(ctx, serverID, userID, group, scopes, now)
}

// DeleteShare implements [ShareStore].
func (n noticing) DeleteShare(ctx context.Context, id int64) error {
	defer n.changed(ofPeople)
	return n.Store.DeleteShare(ctx, id)
}

// DeleteSharesOfServer implements [ShareStore].
func (n noticing) DeleteSharesOfServer(ctx context.Context, serverID string) (int, error) {
	defer n.changed(ofPeople)
	return n.Store.DeleteSharesOfServer(ctx, serverID)
}

// CreateServer implements [ServerStore].
func (n noticing) CreateServer(ctx context.Context, s Server) error {
	defer n.changed(ofServers)
	return n.Store.CreateServer(ctx, s)
}

// UpdateServer implements [ServerStore]. A rename is told of by ServerRenamed.
func (n noticing) UpdateServer(ctx context.Context, s Server) (Server, error) {
	defer n.changed(ofServers)
	return n.Store.UpdateServer(ctx, s)
}

// UpdateServerAndOpenRun implements [UsageStore].
func (n noticing) UpdateServerAndOpenRun(ctx context.Context, s Server, r UsageRun) (Server, error) {
	defer n.changed(ofServers)
	return n.Store.UpdateServerAndOpenRun(ctx, s, r)
}

// AdmitStarts implements [QueueStore].
func (n noticing) AdmitStarts(ctx context.Context, ids []string, now time.Time) ([]string, error) {
	defer n.changed(ofServers)
	return n.Store.AdmitStarts(ctx, ids, now)
}

// RecordActivity implements [ServerStore].
func (n noticing) RecordActivity(ctx context.Context, updates []ActivityUpdate) error {
	defer n.changed(ofServers)
	return n.Store.RecordActivity(ctx, updates)
}

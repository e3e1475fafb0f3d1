// Package routing decides which request path goes to which server, and takes it there.
//
// A [Table] is an immutable set of routes; the proxy reads the current one with a single atomic load, and never waits for a
// database, a lock or Consul. Sources (routing/consul, routing/static) yield whole snapshots, or the parts of one that changed. The package
// knows nothing of users, logins or the hub, so that a proxy can run alone.
//
//	Source ─► feed: last good snapshot ─► ledger: who is right, where something changed ─► Table ─► one atomic pointer ─► Proxy
package routing

import (
	"context"
	"iter"
	"time"
)

// Route sends every request path at or below Prefix to Address.
type Route struct {
	// Prefix is the decoded path, with a leading and a trailing slash: "/user/joe b@ex.org/".
	Prefix string
	// Address is the target's host:port. The request's path is forwarded as it came.
	Address string
	// Server is the immutable ID of the server behind the route. Activity is counted by it.
	Server string
	// Generation, Instance and Placement identify the run of the server; see [Binding].
	Generation int64
	Instance   string
	Placement  uint64
}

// Source yields full snapshots of routes, never deltas. The first snapshot may be empty. On trouble it yields an error, and the
// last good snapshot stays in use; the sequence ends only when ctx does. An error that comes with routes that are not nil is a snapshot
// of which a part may be old. After an error, a source that is well again yields its snapshot, even an unchanged one.
type Source interface {
	Routes(ctx context.Context) iter.Seq2[[]Route, error]
}

// Seeker is a [Source] that can be told what is waited for.
type Seeker interface {
	// Seek says that somebody waits for the route of this server now. A source that looks now and then looks at once. It does not wait.
	Seek(server string)
}

// Publisher tells a source's readers, on every replica, where the hub has placed a server.
type Publisher interface {
	// Publish makes a binding known. A binding of an older generation, or of an older placement within it, never replaces a newer one.
	Publish(ctx context.Context, b Binding) error
	// Withdraw removes the binding of the server unless it has a newer generation. Withdrawing the unknown is nil.
	Withdraw(ctx context.Context, server string, generation int64) error
}

// Activity is what the proxy saw since it was last asked.
type Activity struct {
	Server string // the route's server ID
	// Last is the last moment at which the client sent something, or a request ended well: what JupyterHub's proxy counts. A page that is open and not
	// looked at moves it on. Zero: nothing.
	Last time.Time
	// Used is the last moment at which somebody used the server: a message on a websocket, or a request that ended well and is none of those that
	// pages make by themselves. Zero: nothing. Never after Last.
	Used time.Time
	// Output is the last moment at which the server sent a message on a websocket. Zero: nothing.
	Output time.Time
}

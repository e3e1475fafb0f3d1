package hub

import (
	"context"
	"errors"
	"sync"
	"time"
)

const activityInterval = time.Second

// activityBuffer coalesces activity, so that the database sees one statement a second however many servers report.
type activityBuffer struct {
	mu      sync.Mutex
	servers map[string]seen      // by server ID
	users   map[string]time.Time // by user ID
	tokens  map[int64]time.Time  // by token ID
	// written are servers and users that are being written at this moment, for who reads them meanwhile.
	writtenServers map[string]seen
	writtenUsers   map[string]time.Time
}

// seen is when a server last was active, was used, and sent something.
type seen struct{ at, used, output time.Time }

func (b *activityBuffer) init() {
	b.servers, b.users, b.tokens = map[string]seen{}, map[string]time.Time{}, map[int64]time.Time{}
}

func (b *activityBuffer) record(userID, serverID string, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if serverID != "" {
		b.note(serverID, seen{at: t})
	}
	if userID != "" && t.After(b.users[userID]) {
		b.users[userID] = t
	}
}

// saw records what a proxy saw, or what was not written before.
func (b *activityBuffer) saw(serverID string, s seen) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(serverID, s)
}

func (b *activityBuffer) note(serverID string, s seen) {
	old := b.servers[serverID]
	b.servers[serverID] = seen{latest(old.at, s.at), latest(old.used, s.used), latest(old.output, s.output)}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// asked records that a token was used at t, and has its user, if it is one's, be shown as active as they are known to be: now, if it was their own doing.
func (b *activityBuffer) asked(token int64, u *User, own bool, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens[token] = t
	if own && t.After(b.users[u.ID]) {
		b.users[u.ID] = t
	}
	b.show(u)
}

func (b *activityBuffer) take() (updates []ActivityUpdate, tokens map[int64]time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	updates = make([]ActivityUpdate, 0, len(b.servers)+len(b.users))
	for id, t := range b.servers {
		updates = append(updates, ActivityUpdate{ServerID: id, Time: t.at, Used: t.used, Output: t.output})
	}
	for id, t := range b.users {
		updates = append(updates, ActivityUpdate{UserID: id, Time: t})
	}
	tokens = b.tokens
	b.writtenServers, b.writtenUsers = b.servers, b.users
	b.init()
	return updates, tokens
}

// done is called when what was taken is in the database, or was recorded again.
func (b *activityBuffer) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writtenServers, b.writtenUsers = nil, nil
}

// showUser has the user's last activity be what was recorded of it, which the database knows a second later.
func (b *activityBuffer) showUser(u *User) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.show(u)
}

func (b *activityBuffer) show(u *User) {
	u.LastActivity = latest(u.LastActivity, latest(b.users[u.ID], b.writtenUsers[u.ID]))
}

// showUsers is showUser for many.
func (b *activityBuffer) showUsers(users []User) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range users {
		b.show(&users[i])
	}
}

// showServers is showUsers for servers.
func (b *activityBuffer) showServers(servers []Server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range servers {
		servers[i].LastActivity = b.lastOf(servers[i].ID, servers[i].LastActivity)
	}
}

// showOutlines is showServers for what lists show.
func (b *activityBuffer) showOutlines(servers []ServerOutline) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range servers {
		servers[i].LastActivity = b.lastOf(servers[i].ID, servers[i].LastActivity)
	}
}

// lastOf is the last activity of a server, of which the database knows this one; the caller holds the lock.
func (b *activityBuffer) lastOf(id string, known time.Time) time.Time {
	return latest(known, latest(b.servers[id].at, b.writtenServers[id].at))
}

// maxClockSkew is how far into the future a report may lie before it is refused, as in JupyterHub.
const maxClockSkew = 59 * time.Minute

// ReportActivity takes a report of when a user, and optionally one of their servers, was last active. What lies in the future is taken as now. It
// is written within a second or so.
func (h *Hub) ReportActivity(ctx context.Context, u User, active time.Time, servers map[string]time.Time) error {
	now := h.now()
	clamp := func(t time.Time) (time.Time, error) {
		if t.Sub(now) > maxClockSkew {
			return t, Errorf(Invalid, "The reported activity lies in the future. Check the clock of the server.")
		}
		if t.After(now) {
			return now, nil
		}
		return t, nil
	}
	var ids map[string]time.Time
	if len(servers) > 0 {
		ids = make(map[string]time.Time, len(servers))
	}
	for name, t := range servers {
		s, err := h.store.ServerByName(ctx, u.ID, name)
		if errors.Is(err, ErrNotFound) {
			return Errorf(Invalid, "The user has no server named %q.", name)
		}
		if err != nil {
			return err
		}
		if ids[s.ID], err = clamp(t); err != nil {
			return err
		}
	}
	if !active.IsZero() {
		at, err := clamp(active)
		if err != nil {
			return err
		}
		h.activity.record(u.ID, "", at)
	}
	for id, t := range ids {
		h.activity.record("", id, t)
	}
	return nil
}

// flushActivity writes what the proxy, the servers and the pages reported, once a second, and once more at the end.
func (h *Hub) flushActivity(ctx context.Context) error {
	tick := time.NewTicker(activityInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), activityInterval)
			defer cancel()
			h.writeActivity(last)
			h.unwatch(last)
			return nil
		case <-tick.C:
			h.watched(ctx, h.writeActivity(ctx))
			h.recent.sweep()
		}
	}
}

// writeActivity tells whether all that was seen until its call is written.
func (h *Hub) writeActivity(ctx context.Context) bool {
	for _, a := range h.opts.Routes.TakeActivity() {
		h.activity.saw(a.Server, seen{a.Last, a.Used, a.Output})
	}
	written := true
	updates, tokens := h.activity.take()
	defer h.activity.done()
	if len(updates) > 0 {
		if err := h.store.RecordActivity(ctx, updates); err != nil {
			if ctx.Err() == nil {
				h.log.WarnContext(ctx, "activity not written, will be with the next report", "err", err, "updates", len(updates))
			}
			written = false
			for _, u := range updates {
				if u.ServerID != "" {
					h.activity.saw(u.ServerID, seen{u.Time, u.Used, u.Output})
					continue
				}
				h.activity.record(u.UserID, "", u.Time)
			}
		}
	}
	if len(tokens) > 0 {
		if err := h.store.TouchTokens(ctx, tokens); err != nil {
			h.log.WarnContext(ctx, "use of tokens not written", "err", err, "tokens", len(tokens))
		}
	}
	return written
}

package hub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Limits bound what users may ask for. Zero means no limit, unless another default is given.
type Limits struct {
	AllowNamed   bool // whether there are named servers at all
	NamedServers int  // per user; counts records, running or not
	// ServersPerUser is how many servers of one user may be active at once, the default one and those that wait in the queue included.
	ServersPerUser int
	// ConcurrentStarts is how many starts may be under way at once; default 100. Starts that the cluster has no room for do not count: they cost nothing.
	ConcurrentStarts int
	ActiveServers    int // servers that run, or are on their way up or down
	QueuedStarts     int // starts that wait for these limits; default 10,000
	// TokenLifetime is how long a token that somebody makes lives at most, and where they say nothing.
	TokenLifetime time.Duration
	// Groups are the limits of groups by name.
	Groups map[string]GroupLimits
}

// GroupLimits are the limits of one group. Zero leaves a limit as it is without the group.
//
// The first two are for all members together, and a start of somebody who is in several groups is held to all of them. The last two are for each member
// and stand in place of the hub's own; of several groups, the most generous counts; a negative number means no limit.
type GroupLimits struct {
	ActiveServers    int
	ConcurrentStarts int
	NamedServers     int
	ServersPerUser   int
}

// Defaults of [Limits].
const (
	defaultConcurrentStarts = 100
	defaultQueuedStarts     = 10_000
)

func (l Limits) withDefaults() Limits {
	l.ConcurrentStarts = cmp.Or(l.ConcurrentStarts, defaultConcurrentStarts)
	l.QueuedStarts = cmp.Or(l.QueuedStarts, defaultQueuedStarts)
	return l
}

// Limits returns the limits in force. Its map is not to be changed.
func (h *Hub) Limits() Limits { return *h.limits.Load() }

// SetLimits puts other limits in force. Nothing that runs or starts is ended by them; what waits may go on at once.
func (h *Hub) SetLimits(l Limits) {
	l = l.withDefaults()
	h.limits.Store(&l)
	h.queue.poke()
}

// named is how many named servers the user may have; 0: any number.
func (l Limits) named(u User) int {
	return l.perMember(u, l.NamedServers, func(g GroupLimits) int { return g.NamedServers })
}

// NamedLimit is how many named servers the user may have; 0: any number.
func (h *Hub) NamedLimit(u User) int { return h.Limits().named(u) }

// perUser is how many of the user's servers may be active; 0: any number.
func (l Limits) perUser(u User) int {
	return l.perMember(u, l.ServersPerUser, func(g GroupLimits) int { return g.ServersPerUser })
}

func (l Limits) perMember(u User, general int, of func(GroupLimits) int) int {
	most := 0
	for _, name := range u.Groups {
		switch n := of(l.Groups[name]); {
		case n < 0:
			return 0
		case n > 0:
			most = max(most, n)
		}
	}
	return cmp.Or(most, general)
}

// capped are those of the groups that have limits for all members together, sorted.
func (l Limits) capped(groups []string) []string {
	var out []string
	for _, name := range groups {
		if g := l.Groups[name]; g.ActiveServers > 0 || g.ConcurrentStarts > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Load is what counts against limits: of the whole hub, or of a group's members.
type Load struct {
	Starting int // starts that were let through and are under way; not those that the cluster has no room for
	Active   int // servers that were let through and have not stopped
}

// barrier is a kind of limit that holds a start back.
type barrier string

const (
	noBarrier      barrier = ""
	barrierStarts  barrier = "starts"        // the hub's concurrent starts
	barrierServers barrier = "servers"       // the hub's active servers
	barrierGroup   barrier = "group-servers" // a group's active servers
	barrierBatch   barrier = "group-starts"  // a group's concurrent starts
	barrierPool    barrier = "pool"          // others wait for room in the same node pool
	barrierTurn    barrier = "turn"          // there is room, and others were first
)

// hold says what holds a start back; the zero value: nothing does.
type hold struct {
	barrier barrier
	name    string // of the group or the node pool
}

// wholeHub tells whether the hold is the same for everybody.
func (o hold) wholeHub() bool { return o.barrier == barrierStarts || o.barrier == barrierServers }

// sentence tells the person who waits.
func (o hold) sentence() string {
	switch o.barrier {
	case barrierStarts:
		return "The hub starts as many servers as it may at once. Yours is started when its turn comes."
	case barrierServers:
		return "The hub runs as many servers as it may. Yours is started when another one has stopped."
	case barrierGroup:
		return fmt.Sprintf("The members of %q run as many servers as they may together. Yours is started when another one of theirs has stopped.", o.name)
	case barrierBatch:
		return fmt.Sprintf("The members of %q start as many servers as they may at once. Yours is started when its turn comes.", o.name)
	case barrierPool:
		return fmt.Sprintf("The machines%s have no room at this moment, and others wait for them already. Yours is started when its turn comes.", inPool(o.name))
	case barrierTurn, noBarrier:
	}
	return "Others asked before you. Your server is started when its turn comes."
}

func inPool(pool string) string {
	if pool == "" {
		return ""
	}
	return fmt.Sprintf(" of the pool %q", pool)
}

// refusal tells a program, which comes back by itself.
func (o hold) refusal() *Error {
	var e *Error
	switch o.barrier {
	case barrierServers:
		e = Errorf(TooMany, "The hub runs as many servers as it may. Try again when somebody has stopped theirs.")
		e.Err = errFull
	case barrierGroup:
		e = Errorf(TooMany, "The members of %q run as many servers as they may together. Try again when one of them has stopped theirs.", o.name)
		e.Err = errFull
	case barrierPool:
		e = Errorf(TooMany, "The machines%s have no room at this moment, and others wait for them already. Try again in a minute.", inPool(o.name))
	case barrierStarts, barrierBatch, barrierTurn, noBarrier:
		e = Errorf(TooMany, "Too many servers are starting at this moment. Try again in a minute.")
	}
	e.RetryAfter = 30*time.Second + rand.N(30*time.Second) //nolint:gosec // spreads clients; not a secret
	return e
}

// wait is what the row of a start says that is held back.
func (o hold) wait(since, until time.Time) *Wait {
	w := &Wait{Reason: o.sentence(), Since: since, Until: until, Resource: string(o.barrier)}
	if o.barrier == barrierPool {
		w.Resource, w.Pool, w.Blocked = "", o.name, true
	}
	return w
}

// holds finds the first limit that holds back a start of somebody in these groups; the zero value: none does.
func (l Limits) holds(groups []string, total Load, of map[string]Load) hold {
	switch {
	case total.Starting >= l.ConcurrentStarts:
		return hold{barrier: barrierStarts}
	case l.ActiveServers > 0 && total.Active >= l.ActiveServers:
		return hold{barrier: barrierServers}
	}
	for _, name := range groups {
		g, have := l.Groups[name], of[name]
		switch {
		case g.ActiveServers > 0 && have.Active >= g.ActiveServers:
			return hold{barrierGroup, name}
		case g.ConcurrentStarts > 0 && have.Starting >= g.ConcurrentStarts:
			return hold{barrierBatch, name}
		}
	}
	return hold{}
}

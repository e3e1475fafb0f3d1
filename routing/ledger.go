package routing

import (
	"hash/maphash"
	"maps"
	"slices"
)

// ledger holds all that the sources claim and makes tables of it. What it does at a change grows with the change: it looks again at the
// routes that share an address, a server or a prefix with one that came or went, and at no others. One goroutine uses it.
type ledger struct {
	table   *Table
	reading uint64
	held    map[place]map[key]*claim
	// The valid claims, and of prefixes the contenders.
	addresses, servers, prefixes claims
}

// key finds a claim within its part. Routes of an operator have no server.
type key struct {
	server string
	nth    int
}

// claims groups those that claim the same.
type claims map[string][]*claim

func (g claims) add(key string, c *claim) { g[key] = append(g[key], c) }

func (g claims) remove(key string, c *claim) {
	rest := slices.DeleteFunc(g[key], func(o *claim) bool { return o == c })
	if len(rest) == 0 {
		delete(g, key)
	} else {
		g[key] = rest
	}
}

// news are all routes that are now in one part of a source's snapshot.
type news struct {
	place
	routes []Route
}

// changes are what one application of news did to the table.
type changes struct {
	removed, added []*entry
	dropped        bool // what was not taken is no longer the same
}

func (c changes) none() bool { return len(c.removed)+len(c.added) == 0 && !c.dropped }

func newLedger() *ledger {
	return &ledger{
		table: &Table{seed: maphash.MakeSeed(), counts: map[DropReason]int{}}, held: make(map[place]map[key]*claim),
		addresses: make(claims), servers: make(claims), prefixes: make(claims),
	}
}

// set is what has to be looked at again.
type set map[string]struct{}

func (s set) add(key string) { s[key] = struct{}{} }

// round is one application of news.
type round struct {
	*ledger
	next    Table
	edit    *edit
	changes changes
	// touched is where somebody came or went.
	touched struct{ addresses, servers, prefixes set }
}

// apply takes the news, and makes another table if they change anything.
func (l *ledger) apply(all []news) changes {
	r := round{ledger: l, next: *l.table, edit: new(edit)}
	r.touched.addresses, r.touched.servers, r.touched.prefixes = set{}, set{}, set{}
	for _, n := range all {
		r.read(n)
	}
	r.contend()
	r.decide()
	if !r.changes.none() {
		l.table = &r.next
	}
	return r.changes
}

// read finds what came and what went in one part.
func (r *round) read(n news) {
	r.reading++
	part := r.held[n.place]
	if part == nil {
		part = make(map[key]*claim, len(n.routes))
		r.held[n.place] = part
	}
	operators := 0
	for _, route := range n.routes {
		k := key{server: route.Server}
		if route.Server == "" {
			k.nth = operators
			operators++
		}
		old := part[k]
		for ; old != nil && old.seen == r.reading; old = part[k] {
			k.nth++
		}
		if old != nil && old.given == route {
			old.seen = r.reading
			continue
		}
		if old != nil {
			r.withdraw(old)
		}
		c := &claim{Route: route, given: route, place: n.place, nth: k.nth, seen: r.reading}
		part[k] = c
		r.enter(c)
	}
	if len(part) == len(n.routes) { // as many as there are routes, and each of them was found
		return
	}
	for k, c := range part {
		if c.seen != r.reading {
			delete(part, k)
			r.withdraw(c)
		}
	}
}

func (r *round) enter(c *claim) {
	c.Address = NormalAddress(c.Address)
	if !validPrefix(c.Prefix) || c.Address == "" {
		c.Route = c.given
		r.drop(c, DropInvalid)
		return
	}
	r.addresses.add(c.Address, c)
	r.touched.addresses.add(c.Address)
	if c.Server != "" {
		r.servers.add(c.Server, c)
		r.touched.servers.add(c.Server)
	}
}

func (r *round) withdraw(c *claim) {
	invalid := c.reason == DropInvalid
	r.drop(c, "")
	if invalid {
		return
	}
	r.addresses.remove(c.Address, c)
	r.touched.addresses.add(c.Address)
	if c.Server != "" {
		r.servers.remove(c.Server, c)
		r.touched.servers.add(c.Server)
	}
	r.promote(c, false)
}

// contend decides anew which claims may have their prefix, wherever somebody who claims the same address or server came or went.
func (r *round) contend() {
	for address := range r.touched.addresses {
		if group := r.addresses[address]; len(group) > 0 {
			o := ownerAmong(group)
			for _, c := range group {
				r.judge(c, o)
			}
		}
	}
	for server := range r.touched.servers {
		for _, c := range r.servers[server] {
			if _, done := r.touched.addresses[c.Address]; !done {
				r.judge(c, ownerAmong(r.addresses[c.Address]))
			}
		}
	}
}

func (r *round) judge(c *claim, o owner) {
	switch {
	case c.Server != "" && c != newest(r.servers[c.Server]):
		r.promote(c, false)
		r.drop(c, DropSuperseded)
	case !o.belongsTo(c):
		r.promote(c, false)
		r.drop(c, DropAddress)
	default:
		r.promote(c, true)
	}
}

func (r *round) promote(c *claim, contender bool) {
	if c.contender == contender {
		return
	}
	c.contender = contender
	r.touched.prefixes.add(c.Prefix)
	if contender {
		r.prefixes.add(c.Prefix, c)
	} else {
		r.prefixes.remove(c.Prefix, c)
	}
}

// decide gives each prefix whose contenders changed to the one who owns it.
func (r *round) decide() {
	for prefix := range r.touched.prefixes {
		have, winner := r.table.at(prefix), r.winner(r.prefixes[prefix])
		switch {
		case winner == nil && have == nil, winner != nil && have != nil && have.Route == winner.Route:
		case winner == nil:
			r.replace(prefix, have, nil)
		default:
			r.replace(prefix, have, &entry{Route: winner.Route, pool: poolName(winner.Route)})
		}
	}
	r.index()
}

// winner returns the one of the contenders for a prefix who gets it, or nil, and drops the others.
func (r *round) winner(contenders []*claim) (winner *claim) {
	if len(contenders) == 0 {
		return nil
	}
	o := ownerAmong(contenders)
	for _, c := range contenders {
		// Of two routes of an operator with one prefix the first is the owner.
		if !o.belongsTo(c) || c.Server == "" && o.best != c {
			r.drop(c, DropPrefix)
			continue
		}
		r.drop(c, "")
		winner = c
	}
	return winner
}

func (r *round) replace(prefix string, have, want *entry) {
	r.next.root = r.next.root.set(r.next.seed, r.edit, prefix[1:], want)
	if have != nil {
		r.next.routes--
		r.changes.removed = append(r.changes.removed, have)
	}
	if want != nil {
		r.next.routes++
		r.changes.added = append(r.changes.added, want)
	}
}

// index brings the servers of the table up to date: first those that went, since one that came may be the same under another prefix.
func (r *round) index() {
	for _, e := range r.changes.removed {
		if e.Server != "" {
			r.next.servers = r.next.servers.without(r.edit, r.next.seed, e.Server)
		}
	}
	for _, e := range r.changes.added {
		if e.Server != "" {
			r.next.servers = r.next.servers.with(r.edit, r.next.seed, e.Server, e)
		}
	}
}

// drop notes why a claim is not taken; "": it is, or it went.
func (r *round) drop(c *claim, reason DropReason) {
	if c.reason == reason {
		return
	}
	if !r.changes.dropped {
		r.changes.dropped = true
		r.next.counts = maps.Clone(r.next.counts)
	}
	if c.reason != "" {
		r.next.counts[c.reason]--
		r.next.dropped = r.next.dropped.without(r.edit, r.next.seed, c.name())
	}
	if c.reason = reason; reason != "" {
		r.next.counts[reason]++
		r.next.dropped = r.next.dropped.with(r.edit, r.next.seed, c.name(), Dropped{Route: c.Route, Reason: reason})
	}
}

package routing

import (
	"hash/maphash"
	"iter"
	"maps"
)

// ledger holds all that the sources claim and makes tables of it. What it does at a change grows with the change: it looks again at the
// routes that share an address, a server or a prefix with one that came or went, and at no others. One goroutine uses it.
type ledger struct {
	table   *Table
	reading uint64
	held    map[place]*holding
	// The claims; of addresses the valid ones, and of prefixes the contenders.
	addresses, servers, prefixes claims
}

// holding is what a source claims in one part, in the order of its last reading.
type holding struct {
	place
	claims []*claim
}

// The ways in which claims are grouped.
const (
	byAddress = iota
	byServer
	byPrefix
	groupings
)

// claims groups those that claim the same. A group hangs together by its claims' next of this grouping: nearly all groups are of one.
type claims struct {
	grouping int
	first    map[string]*claim
}

func newClaims(grouping int) claims {
	return claims{grouping: grouping, first: make(map[string]*claim)}
}

// of yields the group of a key, in no order. Nobody joins or leaves it meanwhile.
func (g claims) of(key string) iter.Seq[*claim] {
	return func(yield func(*claim) bool) {
		for c := g.first[key]; c != nil && yield(c); c = c.next[g.grouping] {
		}
	}
}

func (g claims) add(key string, c *claim) {
	c.next[g.grouping] = g.first[key]
	g.first[key] = c
}

func (g claims) remove(key string, c *claim) {
	rest := c.next[g.grouping]
	c.next[g.grouping] = nil
	first := g.first[key]
	switch {
	case first != c:
		for first.next[g.grouping] != c {
			first = first.next[g.grouping]
		}
		first.next[g.grouping] = rest
	case rest == nil:
		delete(g.first, key)
	default:
		g.first[key] = rest
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
		table: &Table{seed: maphash.MakeSeed(), counts: map[DropReason]int{}}, held: make(map[place]*holding),
		addresses: newClaims(byAddress), servers: newClaims(byServer), prefixes: newClaims(byPrefix),
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
		next := r.next // a copy: whoever holds the table shall not hold the round
		l.table = &next
	}
	return r.changes
}

// read finds what came and what went in one part.
func (r *round) read(n news) {
	r.reading++
	h := r.held[n.place]
	if h == nil {
		h = &holding{place: n.place}
		r.held[n.place] = h
	}
	before := h.claims
	h.claims = make([]*claim, 0, len(n.routes))
	operators, nth := operatorsOf(before), 0
	for _, route := range n.routes {
		var old *claim
		var at uint32
		if route.Server != "" {
			old, at = r.unseen(route.Server, h)
		} else {
			if nth < len(operators) {
				old = operators[nth]
			}
			at = uint32(nth) //nolint:gosec // nobody writes so many
			nth++
		}
		if old == nil || !old.says(route) {
			if old != nil {
				old.seen = r.reading
				r.withdraw(old)
			}
			old = &claim{Route: route, spelled: route.Address, in: h, nth: at}
			r.enter(old)
		}
		old.seen = r.reading
		h.claims = append(h.claims, old)
	}
	for _, c := range before {
		if c.seen != r.reading {
			r.withdraw(c)
		}
	}
}

// operatorsOf returns the claims without a server: an operator's routes, which are told from each other by their order.
func operatorsOf(claims []*claim) (all []*claim) {
	for _, c := range claims {
		if c.Server == "" {
			all = append(all, c)
		}
	}
	return all
}

// unseen returns the first claim of the server in the part that was not found in this reading yet, or nil, and its number.
func (r *round) unseen(server string, h *holding) (c *claim, nth uint32) {
	for ; ; nth++ {
		c = nil
		for o := range r.servers.of(server) {
			if o.in == h && o.nth == nth {
				c = o
			}
		}
		if c == nil || c.seen != r.reading {
			return c, nth
		}
	}
}

func (r *round) enter(c *claim) {
	if c.Server != "" {
		r.servers.add(c.Server, c)
	}
	address := NormalAddress(c.spelled)
	if !validPrefix(c.Prefix) || address == "" {
		r.drop(c, DropInvalid)
		return
	}
	c.Address = address
	r.addresses.add(c.Address, c)
	r.touch(c)
}

// touch has all looked at again that has the claim's address or server.
func (r *round) touch(c *claim) {
	r.touched.addresses.add(c.Address)
	if c.Server != "" {
		r.touched.servers.add(c.Server)
	}
}

func (r *round) withdraw(c *claim) {
	if c.Server != "" {
		r.servers.remove(c.Server, c)
	}
	valid := c.valid()
	r.drop(c, "")
	if !valid {
		return
	}
	r.addresses.remove(c.Address, c)
	r.touch(c)
	r.promote(c, false)
}

// contend decides anew which claims may have their prefix, wherever somebody who claims the same address or server came or went.
func (r *round) contend() {
	for address := range r.touched.addresses {
		o := ownerAmong(r.addresses.of(address))
		for c := range r.addresses.of(address) {
			r.judge(c, o)
		}
	}
	for server := range r.touched.servers {
		for c := range r.servers.of(server) {
			if _, done := r.touched.addresses[c.Address]; !done && c.valid() {
				r.judge(c, ownerAmong(r.addresses.of(c.Address)))
			}
		}
	}
}

func (r *round) judge(c *claim, o owner) {
	switch {
	case c.Server != "" && c != newest(r.servers.of(c.Server)):
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
		have, winner := r.table.at(prefix), r.winner(prefix)
		switch {
		case winner == nil && have == nil, winner != nil && have != nil && *have.Route == winner.Route:
		case winner == nil:
			r.replace(prefix, have, nil)
		default:
			r.replace(prefix, have, &entry{Route: &winner.Route, pool: poolName(winner.Route)})
		}
	}
	r.index()
}

// winner returns the one of the contenders for a prefix who gets it, or nil, and drops the others.
func (r *round) winner(prefix string) (winner *claim) {
	o := ownerAmong(r.prefixes.of(prefix))
	for c := range r.prefixes.of(prefix) {
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
	was := c.reason()
	if was == reason {
		return
	}
	if !r.changes.dropped {
		r.changes.dropped = true
		r.next.counts = maps.Clone(r.next.counts)
	}
	if was != "" {
		r.next.counts[was]--
		r.next.dropped = r.next.dropped.without(r.edit, r.next.seed, c.name())
	}
	if c.verdict = verdictOf(reason); reason != "" {
		r.next.counts[reason]++
		r.next.dropped = r.next.dropped.with(r.edit, r.next.seed, c.name(), Dropped{Route: c.Route, Reason: reason})
	}
}

package routing

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Table is an immutable set of routes with at most one per prefix, per server and per address. It is safe for concurrent use. A table that
// differs from another in a few routes shares everything else with it; see [ledger].
type Table struct {
	seed    maphash.Seed
	root    *node        // nil: no routes
	servers hamt[*entry] // by server ID
	routes  int
	dropped hamt[Dropped] // by the claim's name
	counts  map[DropReason]int
}

// entry is a route with what the proxy would otherwise compute for each request.
type entry struct {
	*Route // never changes
	// pool names the connections of this one run. Two runs never share it, not even on the same address.
	pool string
}

// node is one path segment. Its children are keyed by decoded segment; a key never holds a slash. A node that is nil has neither a route nor
// children.
type node struct {
	entry    *entry
	children hamt[node]
}

// NewTable makes a table of the routes. Of routes that contradict each other only the true one is taken; see [Table.Dropped].
func NewTable(routes []Route) *Table {
	l := newLedger()
	l.apply([]news{{routes: routes}})
	return l.table
}

// set returns the table's node with the entry at rest, what is left of the path; nil removes what is there.
func (n *node) set(seed maphash.Seed, e *edit, rest string, to *entry) *node {
	var next node
	if n != nil {
		next = *n
	}
	if rest == "" {
		next.entry = to
	} else {
		segment, after, _ := strings.Cut(rest, "/")
		if child := next.children.get(seed, segment).set(seed, e, after, to); child != nil {
			next.children = next.children.with(e, seed, segment, *child)
		} else {
			next.children = next.children.without(e, seed, segment)
		}
	}
	if next.entry == nil && next.children.root == nil {
		return nil
	}
	return &next
}

// Lookup finds the route with the longest prefix of a request's path. The path is the percent-encoded one, as it came
// (url.URL.EscapedPath): it is cut at its slashes first and each segment is decoded once after that. So an encoded slash
// never makes two segments of one, which would hand a path to somebody whose name is only a part of the segment; dot
// segments and empty segments are compared like any other and match nothing, because no route has them.
func (t *Table) Lookup(escapedPath string) (Route, bool) {
	if e := t.find(escapedPath); e != nil {
		return *e.Route, true
	}
	return Route{}, false
}

func (t *Table) find(path string) *entry {
	if t.root == nil || path == "" || path[0] != '/' { // "*" and the authority of CONNECT
		return nil
	}
	n, best := t.root, t.root.entry
	for rest := path[1:]; rest != "" && n.children.root != nil; {
		segment, after, _ := strings.Cut(rest, "/")
		if n = n.child(t.seed, segment); n == nil {
			break
		}
		if n.entry != nil {
			best = n.entry
		}
		rest = after
	}
	return best
}

// child decodes into a buffer on the stack, so that a lookup of an ordinary path allocates nothing.
func (n *node) child(seed maphash.Seed, segment string) *node {
	if strings.IndexByte(segment, '%') < 0 {
		return n.children.get(seed, segment)
	}
	var buf [128]byte
	decoded, ok := unescape(buf[:0], segment)
	if !ok {
		return nil
	}
	return n.children.getBytes(seed, decoded)
}

// at returns the route of exactly this prefix.
func (t *Table) at(prefix string) *entry {
	n := t.root
	for rest := prefix[1:]; rest != "" && n != nil; {
		segment, after, _ := strings.Cut(rest, "/")
		n, rest = n.children.get(t.seed, segment), after
	}
	if n == nil {
		return nil
	}
	return n.entry
}

// unescape appends the decoded segment to dst. It fails on an escape that is not one.
func unescape(dst []byte, s string) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			dst = append(dst, s[i])
			continue
		}
		if i+2 >= len(s) {
			return nil, false
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high > 15 || low > 15 {
			return nil, false
		}
		dst = append(dst, high<<4|low)
		i += 2
	}
	return dst, true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// Server returns the route of the server with this ID.
func (t *Table) Server(id string) (Route, bool) {
	if e := t.servers.get(t.seed, id); e != nil {
		return *(*e).Route, true
	}
	return Route{}, false
}

// Len is the number of routes.
func (t *Table) Len() int { return t.routes }

// All yields the routes by prefix. It takes a copy of the list first: it is for people and tests, not for the way of a request.
func (t *Table) All() iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for _, e := range t.sorted() {
			if !yield(*e.Route) {
				return
			}
		}
	}
}

func (t *Table) sorted() []*entry {
	entries := make([]*entry, 0, t.routes)
	t.root.collect(&entries)
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return entries
}

func (n *node) collect(entries *[]*entry) {
	if n == nil {
		return
	}
	if n.entry != nil {
		*entries = append(*entries, n.entry)
	}
	for _, child := range n.children.all() {
		child.collect(entries)
	}
}

// Dropped lists the routes that were handed in and not taken, with the reason, by reason and prefix.
func (t *Table) Dropped() []Dropped {
	var dropped []Dropped
	for _, d := range t.dropped.all() {
		dropped = append(dropped, d)
	}
	slices.SortFunc(dropped, func(a, b Dropped) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Route.Prefix, b.Route.Prefix), cmp.Compare(a.Route.Server, b.Route.Server),
			cmp.Compare(a.Route.Generation, b.Route.Generation), cmp.Compare(a.Route.Placement, b.Route.Placement))
	})
	return dropped
}

// String is one line per route, sorted. It is safe to log: what a person typed is percent-encoded or quoted.
func (t *Table) String() string {
	var b strings.Builder
	for _, e := range t.sorted() {
		b.WriteString(e.line())
		b.WriteByte('\n')
	}
	return b.String()
}

func (e *entry) line() string {
	return fmt.Sprintf("%s -> %s server=%s generation=%d instance=%s placement=%d",
		(&url.URL{Path: e.Prefix}).EscapedPath(), plain(e.Address), plain(e.Server), e.Generation, plain(e.Instance), e.Placement)
}

// plain quotes a value that would not read as one word on one line.
func plain(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' {
			return strconv.Quote(s)
		}
	}
	return s
}

// holds tells whether the table still sends the entry's prefix to the very same run.
func (t *Table) holds(e *entry) bool {
	now := t.at(e.Prefix)
	return now != nil && now.pool == e.pool
}

// poolName is shaped like a host name, because net/http keeps idle connections by host.
func poolName(r Route) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q %d", r.Server, r.Generation, r.Instance, r.Address, r.Placement))
	return hex.EncodeToString(sum[:16]) + ".run.invalid"
}

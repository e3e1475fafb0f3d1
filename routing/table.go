package routing

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Table is an immutable set of routes with at most one per prefix, per server and per address. It is safe for concurrent use.
type Table struct {
	root    node
	entries []*entry          // by prefix
	servers map[string]*entry // by server ID
	dropped []Dropped
}

// entry is a route with what the proxy would otherwise compute for each request.
type entry struct {
	Route
	// pool names the connections of this one run. Two runs never share it, not even on the same address.
	pool string
}

// node is one path segment. Its children are keyed by decoded segment; a key never holds a slash.
type node struct {
	entry    *entry
	children map[string]*node
}

// NewTable makes a table of the routes. Of routes that contradict each other only the true one is taken; see [Table.Dropped].
func NewTable(routes []Route) *Table { return newTable([][]Route{routes}, &Table{}) }

// newTable makes a table of several lists. Where two lists contradict each other, the earlier one is right. It takes from the old table
// what it can, since mostly one route of thousands is new.
func newTable(lists [][]Route, old *Table) *Table {
	routes, dropped := resolve(lists, old)
	slices.SortFunc(routes, func(a, b Route) int { return cmp.Compare(a.Prefix, b.Prefix) })
	t := &Table{dropped: dropped, servers: make(map[string]*entry, len(routes)), entries: make([]*entry, len(routes))}
	for i, r := range routes {
		e := old.servers[r.Server]
		if e == nil || e.Route != r {
			e = &entry{Route: r, pool: poolName(r)}
		}
		t.entries[i] = e
		t.insert(e)
		if r.Server != "" {
			t.servers[r.Server] = e
		}
	}
	return t
}

func (t *Table) insert(e *entry) {
	n := &t.root
	for segment := range segments(e.Prefix) {
		child := n.children[segment]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = make(map[string]*node, 1)
			}
			n.children[segment] = child
		}
		n = child
	}
	n.entry = e
}

// segments yields the path segments of a valid prefix; of "/" none.
func segments(prefix string) iter.Seq[string] {
	trimmed := strings.Trim(prefix, "/")
	if trimmed == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(trimmed, "/")
}

// Lookup finds the route with the longest prefix of a request's path. The path is the percent-encoded one, as it came
// (url.URL.EscapedPath): it is cut at its slashes first and each segment is decoded once after that. So an encoded slash
// never makes two segments of one, which would hand a path to somebody whose name is only a part of the segment; dot
// segments and empty segments are compared like any other and match nothing, because no route has them.
func (t *Table) Lookup(escapedPath string) (Route, bool) {
	if e := t.find(escapedPath); e != nil {
		return e.Route, true
	}
	return Route{}, false
}

func (t *Table) find(path string) *entry {
	if path == "" || path[0] != '/' { // "*" and the authority of CONNECT
		return nil
	}
	n, best := &t.root, t.root.entry
	for rest := path[1:]; rest != "" && n.children != nil; {
		segment, after, _ := strings.Cut(rest, "/")
		if n = n.child(segment); n == nil {
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
func (n *node) child(segment string) *node {
	if strings.IndexByte(segment, '%') < 0 {
		return n.children[segment]
	}
	var buf [128]byte
	decoded, ok := unescape(buf[:0], segment)
	if !ok {
		return nil
	}
	return n.children[string(decoded)]
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
	if e := t.servers[id]; e != nil {
		return e.Route, true
	}
	return Route{}, false
}

// Len is the number of routes.
func (t *Table) Len() int { return len(t.entries) }

// All yields the routes by prefix.
func (t *Table) All() iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for _, e := range t.entries {
			if !yield(e.Route) {
				return
			}
		}
	}
}

// Dropped lists the routes that were handed in and not taken, with the reason.
func (t *Table) Dropped() []Dropped { return slices.Clone(t.dropped) }

// String is one line per route, sorted. It is safe to log: what a person typed is percent-encoded or quoted.
func (t *Table) String() string {
	var b strings.Builder
	for _, e := range t.entries {
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
	i, ok := slices.BinarySearchFunc(t.entries, e.Prefix, func(x *entry, p string) int { return cmp.Compare(x.Prefix, p) })
	return ok && t.entries[i].pool == e.pool
}

// equal tells whether both tables hold the same routes.
func (t *Table) equal(o *Table) bool {
	return slices.EqualFunc(t.entries, o.entries, func(a, b *entry) bool { return a.Route == b.Route })
}

// poolName is shaped like a host name, because net/http keeps idle connections by host.
func poolName(r Route) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q %d", r.Server, r.Generation, r.Instance, r.Address, r.Placement))
	return hex.EncodeToString(sum[:16]) + ".run.invalid"
}

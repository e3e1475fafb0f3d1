package routing

import (
	"cmp"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Dropped is a route that a table did not take.
type Dropped struct {
	Route  Route
	Reason DropReason
}

// DropReason tells why a route was not taken.
type DropReason string

// The reasons. Who owns an address is decided among all routes, also those that are dropped for another reason: a superseded run that was
// placed at an address after somebody else still proves that the other one is no longer there. Where two routes are equally right, both are dropped: an error page is better than somebody else's notebook.
const (
	DropInvalid    DropReason = "invalid"       // the prefix or the address cannot be right
	DropSuperseded DropReason = "superseded"    // the same server has a newer run
	DropAddress    DropReason = "address_taken" // another server was placed at this address later, so this run is gone
	DropPrefix     DropReason = "prefix_taken"  // another server was placed later and owns this prefix now
)

var dropReasons = [...]DropReason{DropInvalid, DropSuperseded, DropAddress, DropPrefix}

// claim is one route of a source, and what became of it.
type claim struct {
	Route            // with the address in its normal form if it is valid; not changed once it is entered
	spelled string   // the address as the source said it
	in      *holding // the part of its source's snapshot
	seen    uint64   // the reading of its part in which it was last found
	next    [groupings]*claim
	nth     uint32 // of those with the same server in the same part, in the source's order

	contender bool  // it is the newest run of its server and owns its address, so it may claim its prefix
	verdict   uint8 // why it is not in the table, see reason; 0: it is, or is not decided yet
}

// says tells whether the claim is what its source says now.
func (c *claim) says(r Route) bool {
	spelled := r.Address
	r.Address = c.Address
	return c.spelled == spelled && c.Route == r
}

// reason tells why the claim is not in the table, or "".
func (c *claim) reason() DropReason {
	if c.verdict == 0 {
		return ""
	}
	return dropReasons[c.verdict-1]
}

func verdictOf(reason DropReason) uint8 {
	return uint8(slices.Index(dropReasons[:], reason) + 1) //nolint:gosec // they are four
}

func (c *claim) valid() bool { return c.reason() != DropInvalid }

// place is a part of a source's snapshot. A lower list is more trusted.
type place struct{ list, part int }

// before is the order in which claims were made, which decides between those that are equally right.
func (c *claim) before(o *claim) bool {
	return cmp.Or(cmp.Compare(c.in.list, o.in.list), cmp.Compare(c.in.part, o.in.part), cmp.Compare(c.nth, o.nth)) < 0
}

// name tells the claim from all others.
func (c *claim) name() string {
	return fmt.Sprint(c.in.list, " ", c.in.part, " ", c.nth, " ", c.Server)
}

// newerRun compares two runs of one server. Generations count before lists: a start that one source has not heard of yet is
// still the newer one.
func newerRun(a, b *claim) bool {
	if a.Generation != b.Generation {
		return a.Generation > b.Generation
	}
	if a.in.list != b.in.list {
		return a.in.list < b.in.list
	}
	if a.Placement != b.Placement {
		return a.Placement > b.Placement
	}
	return a.before(b)
}

// newest returns the newest of the valid runs of one server.
func newest(runs iter.Seq[*claim]) (best *claim) {
	for c := range runs {
		if c.valid() && (best == nil || newerRun(c, best)) {
			best = c
		}
	}
	return best
}

// owner is who claims an address or a prefix with the best right.
type owner struct {
	best *claim
	tie  bool // somebody else claims it with the same right
}

func (o owner) belongsTo(c *claim) bool { return c.Server == o.best.Server && !o.tie }

// ownerAmong tells who owns what all these claim; of nobody, nobody.
func ownerAmong(claims iter.Seq[*claim]) (o owner) {
	for c := range claims {
		switch {
		case o.best == nil:
			o.best = c
		case betterRight(c, o.best):
			o = owner{best: c}
		case betterRight(o.best, c):
		case c.Server != o.best.Server:
			o.tie = true
		case c.before(o.best):
			o.best = c
		}
	}
	return o
}

// betterRight compares the claims of different servers. Placements of different lists do not compare.
func betterRight(a, b *claim) bool {
	if a.in.list != b.in.list {
		return a.in.list < b.in.list
	}
	return a.Placement > b.Placement
}

// validPrefix demands whole, ordinary segments. Browsers and servers resolve dot segments on their own, each in its own way,
// so nobody may own one.
func validPrefix(prefix string) bool {
	if prefix == "/" {
		return true
	}
	if len(prefix) < 3 || prefix[0] != '/' || prefix[len(prefix)-1] != '/' {
		return false
	}
	for segment := range strings.SplitSeq(prefix[1:len(prefix)-1], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// NormalAddress returns host:port in the one form in which two addresses compare equal if they are the same, or "" if it is not
// an address that can be dialled.
func NormalAddress(address string) string {
	if isNormal(address) {
		return address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(number, 10))
}

// isNormal tells of nearly every address that it has its normal form already, without making anything.
func isNormal(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil || parsed.Port() == 0 || parsed.Addr().Is4In6() || parsed.Addr().Zone() != "" {
		return false
	}
	var text [64]byte
	return string(parsed.AppendTo(text[:0])) == address
}

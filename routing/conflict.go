package routing

import (
	"net"
	"net/netip"
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

// The reasons. Where two routes are equally right, both are dropped: an error page is better than somebody else's notebook.
const (
	DropInvalid    DropReason = "invalid"       // the prefix or the address cannot be right
	DropSuperseded DropReason = "superseded"    // the same server has a newer run
	DropAddress    DropReason = "address_taken" // another server was placed at this address later, so this run is gone
	DropPrefix     DropReason = "prefix_taken"  // another server was placed later and owns this prefix now
)

var dropReasons = [...]DropReason{DropInvalid, DropSuperseded, DropAddress, DropPrefix}

// ranked is a route with the place of its list; a lower list is more trusted.
type ranked struct {
	Route
	list int
}

// resolve drops whatever contradicts something truer. Who owns an address is decided among all routes, also those that are
// dropped for another reason: a superseded run that was placed at an address after somebody else still proves that the
// other one is no longer there. Routes that old has taken before need no second look at their form.
func resolve(lists [][]Route, old *Table) ([]Route, []Dropped) {
	var dropped []Dropped
	drop := func(r *ranked, reason DropReason) { dropped = append(dropped, Dropped{Route: r.Route, Reason: reason}) }

	valid := make([]ranked, 0, countRoutes(lists))
	for i, list := range lists {
		for _, r := range list {
			if e := old.servers[r.Server]; e == nil || e.Route != r {
				r.Address = NormalAddress(r.Address)
				if !validPrefix(r.Prefix) || r.Address == "" {
					drop(&ranked{r, i}, DropInvalid)
					continue
				}
			}
			valid = append(valid, ranked{r, i})
		}
	}
	addresses := claim(valid, func(r *ranked) string { return r.Address })

	newest := make(map[string]*ranked, len(valid)) // by server
	for i := range valid {
		r := &valid[i]
		if best := newest[r.Server]; best == nil || newerRun(r, best) {
			newest[r.Server] = r
		}
	}
	current := make([]ranked, 0, len(valid))
	for i := range valid {
		switch r := &valid[i]; {
		case r.Server != "" && r != newest[r.Server]:
			drop(r, DropSuperseded)
		case !addresses[r.Address].belongsTo(r):
			drop(r, DropAddress)
		default:
			current = append(current, *r)
		}
	}

	prefixes := claim(current, func(r *ranked) string { return r.Prefix })
	routes := make([]Route, 0, len(current))
	for i := range current {
		// Of two routes of an operator with one prefix the first is the owner.
		if r := &current[i]; prefixes[r.Prefix].belongsTo(r) && (r.Server != "" || prefixes[r.Prefix].best == r) {
			routes = append(routes, r.Route)
		} else {
			drop(r, DropPrefix)
		}
	}
	return routes, dropped
}

func countRoutes(lists [][]Route) (n int) {
	for _, list := range lists {
		n += len(list)
	}
	return n
}

// newerRun compares two runs of one server. Generations count before lists: a start that one source has not heard of yet is
// still the newer one.
func newerRun(a, b *ranked) bool {
	if a.Generation != b.Generation {
		return a.Generation > b.Generation
	}
	if a.list != b.list {
		return a.list < b.list
	}
	return a.Placement > b.Placement
}

// owner is who claims an address or a prefix with the best right.
type owner struct {
	best *ranked
	tie  bool // somebody else claims it with the same right
}

func (o owner) belongsTo(r *ranked) bool { return r.Server == o.best.Server && !o.tie }

func claim(routes []ranked, key func(*ranked) string) map[string]owner {
	owners := make(map[string]owner, len(routes))
	for i := range routes {
		r := &routes[i]
		k := key(r)
		o, ok := owners[k]
		switch {
		case !ok || betterRight(r, o.best):
			owners[k] = owner{best: r}
		case r.Server != o.best.Server && !betterRight(o.best, r):
			o.tie = true
			owners[k] = o
		}
	}
	return owners
}

// betterRight compares the claims of different servers. Placements of different lists do not compare.
func betterRight(a, b *ranked) bool {
	if a.list != b.list {
		return a.list < b.list
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

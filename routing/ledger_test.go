package routing

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestLedgerAgreesWithTheRulesFromScratch changes snapshots at random, in parts and whole, and holds the table that grew change by change against
// what the rules make of all routes at once. Servers, prefixes, addresses and placements are few, so that most of them contradict each other.
func TestLedgerAgreesWithTheRulesFromScratch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			l := newLedger()
			parts := [2][3][]Route{}
			for step := range 80 {
				before, listing := l.table, l.table.String()
				var all []news
				for range 1 + rng.IntN(3) {
					p := place{list: rng.IntN(len(parts)), part: rng.IntN(len(parts[0]))}
					routes := &parts[p.list][p.part]
					*routes = mutate(rng, *routes)
					all = append(all, news{p, *routes})
				}
				c := l.apply(all)
				lists := [][]Route{slices.Concat(parts[0][:]...), slices.Concat(parts[1][:]...)}
				checkTable(t, l.table, lists)
				if before.String() != listing {
					t.Fatal("a change of the next table changed the one before")
				}
				if c.none() != (before == l.table) {
					t.Fatalf("step %d: changes %+v, another table: %v", step, c, before != l.table)
				}
				checkChanges(t, before, l.table, c)
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
			for p := range l.held {
				l.apply([]news{{place: p}})
			}
			if l.table.Len() != 0 || l.table.root != nil || l.table.servers.root != nil || l.table.dropped.root != nil || len(l.addresses.first)+len(l.servers.first)+len(l.prefixes.first) != 0 {
				t.Errorf("when all routes are gone there is still something: %v", l)
			}
		})
	}
}

// mutate adds, takes away, changes, repeats or shuffles routes of a part.
func mutate(rng *rand.Rand, routes []Route) []Route {
	routes = slices.Clone(routes)
	for range 1 + rng.IntN(4) {
		i := 0
		if len(routes) > 0 {
			i = rng.IntN(len(routes))
		}
		switch n := rng.IntN(10); {
		case n < 5 || len(routes) == 0:
			routes = append(routes, randomRoute(rng))
		case n < 7:
			routes = slices.Delete(routes, i, i+1)
		case n < 8:
			routes[i].Placement++
		case n < 9:
			routes = append(routes, routes[i])
		default:
			rng.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		}
	}
	return routes
}

// randomRoute makes a route of an operator now and then.
func randomRoute(rng *rand.Rand) Route {
	r := Route{
		Prefix: fmt.Sprintf("/user/%c/", 'a'+rng.IntN(5)), Address: fmt.Sprint("h:", rng.IntN(6)), Server: fmt.Sprint("s", rng.IntN(6)),
		Generation: int64(rng.IntN(3)), Instance: fmt.Sprint("i", rng.IntN(2)), Placement: uint64(rng.IntN(4)),
	}
	switch rng.IntN(8) {
	case 0:
		r.Prefix += "named/"
	case 1:
		r.Prefix = "/"
	case 2:
		r = Route{Prefix: r.Prefix, Address: r.Address}
	case 3, 4: // at an address that no server has
		r = Route{Prefix: fmt.Sprintf("/services/%c/", 'a'+rng.IntN(2)), Address: fmt.Sprint("operator:", 1+rng.IntN(3))}
	}
	return r
}

func checkTable(t *testing.T, table *Table, lists [][]Route) {
	t.Helper()
	want, dropped := oracle(lists)
	slices.SortFunc(want, func(a, b Route) int { return cmp.Compare(a.Prefix, b.Prefix) })
	if got := slices.AppendSeq([]Route{}, table.All()); !slices.Equal(got, want) || table.Len() != len(want) {
		t.Errorf("%d routes: %s", table.Len(), gocmp.Diff(want, got))
	}
	sorted := func(d []Dropped) []string {
		out := []string{}
		for _, d := range d {
			out = append(out, fmt.Sprint(d))
		}
		slices.Sort(out)
		return out
	}
	if diff := gocmp.Diff(sorted(dropped), sorted(table.Dropped())); diff != "" {
		t.Error("dropped:", diff)
	}
	for _, reason := range dropReasons {
		n := 0
		for _, d := range dropped {
			if d.Reason == reason {
				n++
			}
		}
		if table.counts[reason] != n {
			t.Errorf("%d dropped because %s, want %d", table.counts[reason], reason, n)
		}
	}
	servers := 0
	for _, r := range want {
		if r.Server != "" {
			servers++
			if got, ok := table.Server(r.Server); !ok || got != r {
				t.Errorf("Server(%s) = %+v, %v; want %+v", r.Server, got, ok, r)
			}
		}
		if got, ok := table.Lookup(r.Prefix); !ok || got != r {
			t.Errorf("Lookup(%s) = %+v, %v; want %+v", r.Prefix, got, ok, r)
		}
	}
	if size(table.servers) != servers {
		t.Errorf("%d servers are known, want %d", size(table.servers), servers)
	}
}

// checkChanges holds that what is told of a change is the difference of the two tables, and that runs that stay keep their connections.
func checkChanges(t *testing.T, old, next *Table, c changes) {
	t.Helper()
	removed, added := []string{}, []string{}
	for _, e := range old.sorted() {
		if now := next.at(e.Prefix); now == nil || now.Route != e.Route {
			removed = append(removed, e.line())
		} else if now != e || !next.holds(e) {
			t.Errorf("%s is another entry although nothing about it changed", e.line())
		}
	}
	for _, e := range next.sorted() {
		if was := old.at(e.Prefix); was == nil || was.Route != e.Route {
			added = append(added, e.line())
		}
	}
	told := func(entries []*entry) []string {
		out := []string{}
		for _, e := range entries {
			out = append(out, e.line())
		}
		slices.Sort(out)
		return out
	}
	slices.Sort(removed)
	slices.Sort(added)
	if diff := gocmp.Diff([2][]string{removed, added}, [2][]string{told(c.removed), told(c.added)}); diff != "" {
		t.Error("changes:", diff)
	}
}

// ranked is a route with the place of its list; a lower list is more trusted.
type ranked struct {
	Route
	list int
}

// oracle tells what a table of these lists holds, from all routes at once. It drops whatever contradicts something truer. Who owns an address is decided among all routes, also those that are
// dropped for another reason: a superseded run that was placed at an address after somebody else still proves that the
// other one is no longer there.
func oracle(lists [][]Route) ([]Route, []Dropped) {
	var dropped []Dropped
	drop := func(r *ranked, reason DropReason) { dropped = append(dropped, Dropped{Route: r.Route, Reason: reason}) }

	valid := []ranked{}
	for i, list := range lists {
		for _, r := range list {
			given := r
			r.Address = NormalAddress(r.Address)
			if !validPrefix(r.Prefix) || r.Address == "" {
				drop(&ranked{given, i}, DropInvalid)
				continue
			}
			valid = append(valid, ranked{r, i})
		}
	}
	addresses := oracleClaim(valid, func(r *ranked) string { return r.Address })

	newest := make(map[string]*ranked, len(valid)) // by server
	for i := range valid {
		r := &valid[i]
		if best := newest[r.Server]; best == nil || oracleNewer(r, best) {
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

	prefixes := oracleClaim(current, func(r *ranked) string { return r.Prefix })
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

// oracleNewer compares two runs of one server. Generations count before lists: a start that one source has not heard of yet is
// still the newer one.
func oracleNewer(a, b *ranked) bool {
	if a.Generation != b.Generation {
		return a.Generation > b.Generation
	}
	if a.list != b.list {
		return a.list < b.list
	}
	return a.Placement > b.Placement
}

// oracleOwner is who claims an address or a prefix with the best right.
type oracleOwner struct {
	best *ranked
	tie  bool // somebody else claims it with the same right
}

func (o oracleOwner) belongsTo(r *ranked) bool { return r.Server == o.best.Server && !o.tie }

func oracleClaim(routes []ranked, key func(*ranked) string) map[string]oracleOwner {
	owners := make(map[string]oracleOwner, len(routes))
	for i := range routes {
		r := &routes[i]
		k := key(r)
		o, ok := owners[k]
		switch {
		case !ok || oracleBetter(r, o.best):
			owners[k] = oracleOwner{best: r}
		case r.Server != o.best.Server && !oracleBetter(o.best, r):
			o.tie = true
			owners[k] = o
		}
	}
	return owners
}

// oracleBetter compares the claims of different servers. Placements of different lists do not compare.
func oracleBetter(a, b *ranked) bool {
	if a.list != b.list {
		return a.list < b.list
	}
	return a.Placement > b.Placement
}

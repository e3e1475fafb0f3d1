package routing

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func route(prefix, server string, placement uint64) Route {
	return Route{
		Prefix: prefix, Address: fmt.Sprintf("10.0.0.1:%d", 20000+placement), Server: server, Generation: 1, Instance: server + "-run", Placement: placement,
	}
}

// tableOf makes a table of the snapshots of several sources.
func tableOf(lists [][]Route) *Table {
	l := newLedger()
	l.apply(newsOf(lists))
	return l.table
}

func newsOf(lists [][]Route) []news {
	all := make([]news, len(lists))
	for i, routes := range lists {
		all[i] = news{place{list: i}, routes}
	}
	return all
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := NewTable([]Route{
		route("/user/a/", "a", 1), route("/user/a/s/", "a-s", 2), route("/user/ab/", "ab", 3),
		route("/user/joe b@ex.org/", "joe", 4), route("/user/alice/", "alice", 5), route("/user/bob/", "bob", 6),
		route("/user/%2f/", "percent", 7), route("/user/ÅÅ/", "aring", 8), route("/services/x/", "x", 9),
		route("/user/a b/c d/", "named", 10),
	})
	for path, want := range map[string]string{
		"/user/a":               "a",
		"/user/a/":              "a",
		"/user/a/lab":           "a",
		"/user/a/s":             "a-s",
		"/user/a/s/lab?":        "a-s",
		"/user/a/st":            "a",
		"/user/ab":              "ab",
		"/user/abc":             "",
		"/user/":                "",
		"/user":                 "",
		"/":                     "",
		"":                      "",
		"*":                     "",
		"user/a/":               "",
		"host:443":              "",
		"/user/joe%20b@ex.org/": "joe",
		"/user/joe%20b%40ex.org/api/contents/d%2Ff": "joe",
		"/user/joe b@ex.org/":                       "joe",
		"/user/%61lice/":                            "alice",
		"/%75ser/alice/":                            "alice",
		"/user/a%20b/c%20d/e":                       "named",
		"/user/%C3%85%C3%85/":                       "aring",
		"/user/A%CC%8AA%CC%8A/":                     "", // the same letters, decomposed: somebody else
		"/services/x/y":                             "x",
		// An encoded slash is part of a segment, so it neither ends nor begins one.
		"/user/a%2Fs/lab":         "",
		"/user/a/s%2Flab":         "a",
		"/user/a%2F":              "",
		"/user%2Fa/":              "",
		"/user%2fa%2f":            "",
		"/user/alice%2F..%2Fbob/": "",
		"/user/%252f/":            "percent",
		"/user/%2f/":              "",
		// Dot segments belong to nobody; what follows them is not looked for.
		"/user/alice/../bob/":                  "alice",
		"/user/alice/%2e%2e/bob/":              "alice",
		"/user/alice/..;/bob/":                 "alice",
		"/user/alice/..%5cbob/":                "alice",
		"/user/../user/bob/":                   "",
		"/user/./bob/":                         "",
		"/./user/bob/":                         "",
		"/user/%2e/bob/":                       "",
		"/hub/../user/bob/":                    "",
		"/user/bob/../../hub/api":              "bob",
		"//user/bob/":                          "",
		"/user//bob/":                          "",
		"/user/bob//x":                         "bob",
		"//evil.example/user/bob/":             "",
		"/user/bob;x=1/":                       "",
		"/user/bob%00/":                        "",
		"/user/bob%20/":                        "",
		"/user/BOB/":                           "",
		"/USER/bob/":                           "",
		"/user/bob%/":                          "",
		"/user/bo%6/":                          "",
		"/user/bo%zz/":                         "",
		"/user/%62%6f%62/":                     "bob",
		"/user/%2562ob/":                       "",
		"/user/\\bob/":                         "",
		"/user\\bob/":                          "",
		"/user/%c0%afbob/":                     "",
		"/user/bob%c0%af":                      "",
		"/user/bob%3f/":                        "",
		"/user/bob%23/":                        "",
		"/user/" + strings.Repeat("%61", 4096): "",
	} {
		got, ok := table.Lookup(path)
		if got.Server != want || ok != (want != "") {
			t.Errorf("Lookup(%q) = %q, %v; want %q", path, got.Server, ok, want)
		}
	}
}

func TestLookupOfNothing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/user/a/", "*"} {
		if r, ok := NewTable(nil).Lookup(path); ok {
			t.Errorf("an empty table has a route for %q: %+v", path, r)
		}
	}
	if r, ok := NewTable([]Route{{Prefix: "/", Address: "h:1"}}).Lookup("/anything"); !ok || r.Prefix != "/" {
		t.Errorf("the root route does not catch all: %+v, %v", r, ok)
	}
}

func TestNewTableDropsWhatCannotBeRight(t *testing.T) {
	t.Parallel()
	for _, r := range []Route{
		{Prefix: "", Address: "h:1"},
		{Prefix: "user/a/", Address: "h:1"},
		{Prefix: "/user/a", Address: "h:1"},
		{Prefix: "//", Address: "h:1"},
		{Prefix: "/user//", Address: "h:1"},
		{Prefix: "/user/../", Address: "h:1"},
		{Prefix: "/user/./", Address: "h:1"},
		{Prefix: "/user/a/", Address: ""},
		{Prefix: "/user/a/", Address: "h"},
		{Prefix: "/user/a/", Address: ":80"},
		{Prefix: "/user/a/", Address: "h:0"},
		{Prefix: "/user/a/", Address: "h:65536"},
		{Prefix: "/user/a/", Address: "h:http"},
		{Prefix: "/user/a/", Address: "http://h:80"},
	} {
		table := NewTable([]Route{r})
		if table.Len() != 0 || len(table.Dropped()) != 1 || table.Dropped()[0].Reason != DropInvalid {
			t.Errorf("%+v was taken, or not counted: %v", r, table.Dropped())
		}
	}
}

func TestNewTableResolvesContradictions(t *testing.T) {
	t.Parallel()
	at := func(r Route, address string, generation int64, placement uint64) Route {
		r.Address, r.Generation, r.Placement = address, generation, placement
		return r
	}
	a, b := route("/user/a/", "a", 1), route("/user/b/", "b", 2)
	for name, test := range map[string]struct {
		lists   [][]Route
		want    []Route
		dropped []DropReason
	}{
		"newer generation of a server": {
			lists: [][]Route{{at(a, "h:2", 2, 1), at(a, "h:1", 1, 9)}},
			want:  []Route{at(a, "h:2", 2, 1)}, dropped: []DropReason{DropSuperseded},
		},
		"newer placement of a generation": {
			lists: [][]Route{{at(a, "h:1", 1, 8), at(a, "h:2", 1, 9)}},
			want:  []Route{at(a, "h:2", 1, 9)}, dropped: []DropReason{DropSuperseded},
		},
		"the same twice": {
			lists: [][]Route{{a, a}}, want: []Route{at(a, a.Address, 1, 1)}, dropped: []DropReason{DropSuperseded},
		},
		"TestF16: the later placement owns the address": {
			lists: [][]Route{{at(a, "h:1", 5, 1), at(b, "h:1", 1, 2)}},
			want:  []Route{at(b, "h:1", 1, 2)}, dropped: []DropReason{DropAddress},
		},
		"TestF16: one address in two spellings": {
			lists: [][]Route{{at(a, "[::ffff:10.0.0.1]:80", 1, 1), at(b, "10.0.0.1:0080", 1, 2)}},
			want:  []Route{at(b, "10.0.0.1:80", 1, 2)}, dropped: []DropReason{DropAddress},
		},
		"TestF16: equal claims to an address drop both": {
			lists: [][]Route{{at(a, "h:1", 1, 7), at(b, "h:1", 1, 7)}}, dropped: []DropReason{DropAddress, DropAddress},
		},
		"TestF16: a superseded run still proves that the earlier owner is gone": {
			lists: [][]Route{{at(b, "h:1", 1, 5), at(a, "h:1", 1, 7), at(a, "h:2", 2, 9)}},
			want:  []Route{at(a, "h:2", 2, 9)}, dropped: []DropReason{DropAddress, DropSuperseded},
		},
		"the later placement owns the prefix": {
			lists: [][]Route{{at(a, "h:1", 9, 1), {Prefix: "/user/a/", Server: "new", Address: "h:2", Generation: 1, Placement: 2}}},
			want:  []Route{{Prefix: "/user/a/", Server: "new", Address: "h:2", Generation: 1, Placement: 2}}, dropped: []DropReason{DropPrefix},
		},
		"an earlier source owns prefix and address": {
			lists: [][]Route{{at(a, "h:1", 1, 1)}, {at(b, "h:1", 1, 9), {Prefix: "/user/a/", Server: "new", Address: "h:2", Placement: 9}}},
			want:  []Route{at(a, "h:1", 1, 1)}, dropped: []DropReason{DropAddress, DropPrefix},
		},
		"a newer generation counts from any source": {
			lists: [][]Route{{at(a, "h:1", 1, 9)}, {at(a, "h:2", 2, 1)}},
			want:  []Route{at(a, "h:2", 2, 1)}, dropped: []DropReason{DropSuperseded},
		},
		"an operator may send two prefixes to one address": {
			lists: [][]Route{{{Prefix: "/x/", Address: "h:1"}, {Prefix: "/y/", Address: "h:1"}}},
			want:  []Route{{Prefix: "/x/", Address: "h:1"}, {Prefix: "/y/", Address: "h:1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := tableOf(test.lists)
			var got []Route
			for r := range table.All() {
				got = append(got, r)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var reasons []DropReason
			for _, d := range table.Dropped() {
				reasons = append(reasons, d.Reason)
			}
			if diff := cmp.Diff(test.dropped, reasons); diff != "" {
				t.Error("reasons:", diff)
			}
		})
	}
}

func TestTableStringIsSortedAndSafeToLog(t *testing.T) {
	t.Parallel()
	table := NewTable([]Route{
		{Prefix: "/user/b/", Address: "10.0.0.2:2", Server: "s2", Generation: 3, Instance: "i2", Placement: 7},
		{Prefix: "/user/a\nb/", Address: "10.0.0.1:1", Server: "s1", Generation: 1, Instance: "i 1", Placement: 2},
	})
	want := "/user/a%0Ab/ -> 10.0.0.1:1 server=s1 generation=1 instance=\"i 1\" placement=2\n" +
		"/user/b/ -> 10.0.0.2:2 server=s2 generation=3 instance=i2 placement=7\n"
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLookupAllocatesNothing(t *testing.T) { // AllocsPerRun does not go with t.Parallel
	table := NewTable([]Route{route("/user/alice/", "alice", 1), route("/user/joe b/", "joe", 2)})
	for _, path := range []string{"/user/alice/api/kernels", "/user/joe%20b/lab", "/hub/home"} {
		if n := testing.AllocsPerRun(100, func() { table.find(path) }); n != 0 {
			t.Errorf("Lookup(%q) allocates %v times", path, n)
		}
	}
}

// FuzzLookup holds that nobody but the owner of the first segments, each decoded once by the standard library, ever gets a path.
func FuzzLookup(f *testing.F) {
	for _, path := range []string{"/user/a%2Fs/", "/user/a/../b/", "/user/%zz/", "//user/a/", "/user/a/s%2F/"} {
		f.Add(path)
	}
	table := NewTable([]Route{route("/user/a/", "a", 1), route("/user/a/s/", "a-s", 2), route("/user/b/", "b", 3)})
	owners := map[string]string{"user/a": "a", "user/b": "b"}
	f.Fuzz(func(t *testing.T, path string) {
		want := ""
		if parts := strings.Split(path, "/"); len(parts) >= 3 && parts[0] == "" {
			first, err1 := url.PathUnescape(parts[1])
			second, err2 := url.PathUnescape(parts[2])
			if err1 == nil && err2 == nil && !strings.Contains(first+second, "/") {
				want = owners[first+"/"+second]
			}
			if len(parts) >= 4 && want == "a" {
				if third, err := url.PathUnescape(parts[3]); err == nil && third == "s" {
					want = "a-s"
				}
			}
		}
		if got, _ := table.Lookup(path); got.Server != want {
			t.Errorf("Lookup(%q) = %q, want %q", path, got.Server, want)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10_000, 100_000} {
		routes := make([]Route, n)
		for i := range routes {
			routes[i] = Route{
				Prefix: fmt.Sprintf("/user/user-%d/", i), Address: fmt.Sprintf("10.%d.%d.%d:8888", i>>16, i>>8&255, i&255),
				Server: fmt.Sprint("s", i), Placement: uint64(i),
			}
		}
		table := NewTable(routes)
		b.Run(fmt.Sprintf("spread/routes=%d", n), func(b *testing.B) { // another one each time, so that not all is in the processor's cache
			b.ReportAllocs()
			paths := make([]string, n)
			for i := range paths {
				paths[i] = routes[i].Prefix + "api/kernels/channels"
			}
			for i := 0; b.Loop(); i = (i + 7919) % n {
				if _, ok := table.Lookup(paths[i]); !ok {
					b.Fatal("no route")
				}
			}
		})
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			path := fmt.Sprintf("/user/user-%d/api/kernels/channels", n/2)
			for b.Loop() {
				if _, ok := table.Lookup(path); !ok {
					b.Fatal("no route")
				}
			}
		})
	}
}

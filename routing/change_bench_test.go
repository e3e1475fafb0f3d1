package routing

import (
	"fmt"
	"slices"
	"testing"
)

// many makes so many routes in parts, each server in its shard, as Consul's are.
func many(n int) (parts [][]Route) {
	parts = make([][]Route, Shards)
	for i := range n {
		server := fmt.Sprintf("0190a5c8-0000-7000-8000-%012d", i)
		parts[Shard(server)] = append(parts[Shard(server)], Route{
			Prefix: fmt.Sprintf("/user/user-%d/", i), Address: fmt.Sprintf("10.%d.%d.%d:8888", i>>16, i>>8&255, i&255),
			Server: server, Generation: 1, Instance: fmt.Sprint("alloc-", i), Placement: uint64(i),
		})
	}
	return parts
}

func newsOfParts(parts [][]Route) []news {
	all := make([]news, len(parts))
	for i, routes := range parts {
		all[i] = news{place{part: i}, routes}
	}
	return all
}

// BenchmarkChange is one server that starts anew among so many, from its source's news to the table: told of its part, or of the whole.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		parts := many(n)
		b.Run(fmt.Sprintf("part/routes=%d", n), func(b *testing.B) {
			l := newLedger()
			l.apply(newsOfParts(parts))
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 37) % len(parts) {
				routes := slices.Clone(parts[i])
				if len(routes) == 0 {
					continue
				}
				now, _ := l.table.Server(routes[0].Server)
				routes[0].Generation = now.Generation + 1
				if c := l.apply([]news{{place{part: i}, routes}}); len(c.added) != 1 || len(c.removed) != 1 {
					b.Fatal(c)
				}
			}
		})
		b.Run(fmt.Sprintf("whole/routes=%d", n), func(b *testing.B) {
			whole := slices.Concat(parts...)
			l := newLedger()
			l.apply([]news{{routes: whole}})
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 7919) % n {
				whole[i].Generation++
				if c := l.apply([]news{{routes: whole}}); len(c.added) != 1 || len(c.removed) != 1 {
					b.Fatal(c)
				}
			}
		})
		b.Run(fmt.Sprintf("first/routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l := newLedger()
				if l.apply(newsOfParts(parts)); l.table.Len() != n {
					b.Fatal(l.table.Len())
				}
			}
		})
	}
}

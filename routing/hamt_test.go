package routing

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"testing"
)

// hashes that are the more alike the lower the number: the same for several keys, or only different in their last bits.
var hashes = [...]func(key string) uint64{
	func(string) uint64 { return 7 },
	func(key string) uint64 { return uint64(key[0]) << 62 },
	func(key string) uint64 { return uint64(key[0])&3 | uint64(key[0])<<58 },
	func(key string) uint64 { return uint64(key[0]) * 0x9e3779b97f4a7c15 },
}

func TestHamtIsAMapWhateverItsHashesAre(t *testing.T) {
	t.Parallel()
	for i, hash := range hashes {
		t.Run(fmt.Sprint("hash ", i), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			var m hamt[int]
			want := map[string]int{}
			var e *edit
			for step := range 3000 {
				if step%7 == 0 {
					e = [...]*edit{nil, new(edit)}[rng.IntN(2)]
				}
				before := maps.Collect(m.all())
				seen, frozen := m, e == nil
				key := string(rune('A' + rng.IntN(40)))
				if rng.IntN(5) < 2 {
					root, removed := m.root.without(e, hash(key), 0, key)
					if _, had := want[key]; had != removed {
						t.Fatalf("removing %s: %v, want %v", key, removed, had)
					}
					m = hamt[int]{root: root}
					delete(want, key)
				} else {
					m = hamt[int]{root: m.root.with(e, 0, &leaf[int]{hash: hash(key), key: key, value: step})}
					want[key] = step
				}
				if got := maps.Collect(m.all()); !maps.Equal(got, want) {
					t.Fatalf("step %d: %v, want %v", step, got, want)
				}
				for k, v := range want {
					found := false
					for l := m.find(hash(k)); l != nil; l = l.next {
						found = found || l.key == k && l.value == v
					}
					if !found {
						t.Fatalf("step %d: %s is not found", step, k)
					}
				}
				if frozen && !maps.Equal(before, maps.Collect(seen.all())) {
					t.Fatal("a change without an edit changed the map before it")
				}
			}
		})
	}
}

func TestHamtShrinksAgain(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	var m hamt[int]
	for i := range 1000 {
		m = m.with(nil, seed, fmt.Sprint(i), i)
	}
	for i := range 1000 {
		if v := m.get(seed, fmt.Sprint(i)); v == nil || *v != i || size(m) != 1000-i {
			t.Fatalf("%d of %d: %v", i, size(m), v)
		}
		m = m.without(nil, seed, fmt.Sprint(i))
		m = m.without(nil, seed, "nobody")
	}
	if m.root != nil {
		t.Errorf("an empty map still has %+v", m)
	}
}

func size[V any](m hamt[V]) (n int) {
	for range m.all() {
		n++
	}
	return n
}

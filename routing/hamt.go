package routing

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// fanBits is how many bits of a key's hash choose the way at one level, of 64 ways each.
const fanBits = 6

// hamt is a map that never changes: with and without return another one that shares all but one path with it, so a change costs the depth
// and not the size. It is a hash array mapped trie: three levels deep at 100,000 keys. The zero value is empty. All operations on one
// map, and on what was made from it, take hashes of one seed.
type hamt[V any] struct {
	root *branch[V] // nil: there are no keys
}

// branch has a slot for each of the 64 ways that is taken, in their order.
type branch[V any] struct {
	taken uint64
	slots []slot[V]
	edit  *edit
}

// slot is either what lies below or a key.
type slot[V any] struct {
	below *branch[V]
	leaf  *leaf[V]
}

// leaf is a key with its value. Keys of one and the same hash hang together.
type leaf[V any] struct {
	hash  uint64
	key   string
	value V
	next  *leaf[V]
}

// edit is the right to change branches in place: of those that were made under it and that nobody else has seen yet. A series of changes
// under one edit copies each branch once. nil: nothing may be changed in place.
type edit struct{ _ byte }

// find returns the first leaf of the hash.
func (m hamt[V]) find(hash uint64) *leaf[V] {
	path := hash
	for b := m.root; b != nil; path >>= fanBits {
		way := uint64(1) << (path & (1<<fanBits - 1))
		if b.taken&way == 0 {
			return nil
		}
		s := &b.slots[bits.OnesCount64(b.taken&(way-1))]
		if s.leaf != nil {
			if s.leaf.hash != hash {
				return nil
			}
			return s.leaf
		}
		b = s.below
	}
	return nil
}

// get returns where the value of a key is, or nil. What is there never changes.
func (m hamt[V]) get(seed maphash.Seed, key string) *V {
	for l := m.find(maphash.String(seed, key)); l != nil; l = l.next {
		if l.key == key {
			return &l.value
		}
	}
	return nil
}

// getBytes is get for a key that is not a string yet. Like get it allocates nothing.
func (m hamt[V]) getBytes(seed maphash.Seed, key []byte) *V {
	for l := m.find(maphash.Bytes(seed, key)); l != nil; l = l.next {
		if l.key == string(key) {
			return &l.value
		}
	}
	return nil
}

// with returns the map with the key's value set.
func (m hamt[V]) with(e *edit, seed maphash.Seed, key string, value V) hamt[V] {
	return hamt[V]{root: m.root.with(e, 0, &leaf[V]{hash: maphash.String(seed, key), key: key, value: value})}
}

// without returns the map without the key.
func (m hamt[V]) without(e *edit, seed maphash.Seed, key string) hamt[V] {
	root, _ := m.root.without(e, maphash.String(seed, key), 0, key)
	return hamt[V]{root: root}
}

// own returns the branch itself if it may be changed, or else a copy with room for more slots.
func (b *branch[V]) own(e *edit, more int) *branch[V] {
	if b == nil {
		return &branch[V]{edit: e, slots: make([]slot[V], 0, more)}
	}
	if e != nil && b.edit == e {
		return b
	}
	return &branch[V]{taken: b.taken, edit: e, slots: append(make([]slot[V], 0, len(b.slots)+more), b.slots...)}
}

// way returns which of the 64 ways a hash takes at a branch, and the index of its slot.
func (b *branch[V]) way(hash uint64, shift uint) (way uint64, at int) {
	way = uint64(1) << (hash >> shift & (1<<fanBits - 1))
	if b == nil {
		return way, 0
	}
	return way, bits.OnesCount64(b.taken & (way - 1))
}

func (b *branch[V]) with(e *edit, shift uint, l *leaf[V]) *branch[V] {
	way, at := b.way(l.hash, shift)
	if b == nil || b.taken&way == 0 {
		b = b.own(e, 1)
		b.taken |= way
		b.slots = append(b.slots, slot[V]{})
		copy(b.slots[at+1:], b.slots[at:])
		b.slots[at] = slot[V]{leaf: l}
		return b
	}
	b = b.own(e, 0)
	switch s := &b.slots[at]; {
	case s.below != nil:
		s.below = s.below.with(e, shift+fanBits, l)
	case s.leaf.hash == l.hash:
		l.next, _ = s.leaf.dropped(l.key)
		s.leaf = l
	default:
		below := (*branch[V])(nil).with(e, shift+fanBits, s.leaf)
		*s = slot[V]{below: below.with(e, shift+fanBits, l)}
	}
	return b
}

func (b *branch[V]) without(e *edit, hash uint64, shift uint, key string) (*branch[V], bool) {
	way, at := b.way(hash, shift)
	if b == nil || b.taken&way == 0 {
		return b, false
	}
	s := b.slots[at]
	if s.leaf != nil {
		if s.leaf.hash != hash {
			return b, false
		}
		rest, had := s.leaf.dropped(key)
		if !had {
			return b, false
		}
		s = slot[V]{leaf: rest}
	} else {
		below, had := s.below.without(e, hash, shift+fanBits, key)
		if !had {
			return b, false
		}
		s = slot[V]{below: below}
		if below != nil && len(below.slots) == 1 && below.slots[0].leaf != nil {
			s = below.slots[0] // a key that is alone needs no level of its own
		}
	}
	if s.leaf != nil || s.below != nil {
		b = b.own(e, 0)
		b.slots[at] = s
		return b, true
	}
	if len(b.slots) == 1 {
		return nil, true
	}
	b = b.own(e, 0)
	b.taken &^= way
	copy(b.slots[at:], b.slots[at+1:])
	b.slots[len(b.slots)-1] = slot[V]{}
	b.slots = b.slots[:len(b.slots)-1]
	return b, true
}

// dropped returns the chain without the key. Leaves are never changed.
func (l *leaf[V]) dropped(key string) (rest *leaf[V], had bool) {
	if l == nil {
		return nil, false
	}
	if l.key == key {
		return l.next, true
	}
	if rest, had = l.next.dropped(key); !had {
		return l, false
	}
	kept := *l
	kept.next = rest
	return &kept, true
}

// all yields keys and values in no order.
func (m hamt[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) { m.root.all(yield) }
}

func (b *branch[V]) all(yield func(string, V) bool) bool {
	if b == nil {
		return true
	}
	for _, s := range b.slots {
		for l := s.leaf; l != nil; l = l.next {
			if !yield(l.key, l.value) {
				return false
			}
		}
		if !s.below.all(yield) {
			return false
		}
	}
	return true
}

package httpd

// recent remembers what was used lately, in bounded memory: at least most keys for certain, and at most twice as many. What is forgotten begins anew.
type recent[K comparable, V any] struct {
	most      int
	of, older map[K]*V // older: not used since of was begun
}

// peek returns what is remembered of the key, or nil.
func (m *recent[K, V]) peek(key K) *V {
	if v := m.of[key]; v != nil {
		return v
	}
	return m.older[key]
}

// take returns what is remembered of the key, or makes it. Of what would be forgotten to make room, that stays for which keep is true, as far as it
// fills no more than half of the room; a nil keep is never.
func (m *recent[K, V]) take(key K, keep func(*V) bool) *V {
	if v := m.of[key]; v != nil {
		return v
	}
	v := m.older[key]
	if v == nil {
		v = new(V)
	}
	delete(m.older, key)
	if m.of == nil || len(m.of) >= m.most {
		m.turn(keep)
	}
	m.of[key] = v
	return v
}

// turn makes room.
func (m *recent[K, V]) turn(keep func(*V) bool) {
	kept := make(map[K]*V)
	for key, v := range m.older {
		if keep != nil && len(kept) < m.most/2 && keep(v) {
			kept[key] = v
		}
	}
	m.of, m.older = kept, m.of
}

func (m *recent[K, V]) forget(key K) {
	delete(m.of, key)
	delete(m.older, key)
}

func (m *recent[K, V]) size() int { return len(m.of) + len(m.older) }

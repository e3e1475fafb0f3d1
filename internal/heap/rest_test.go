package heap

import "testing"

// TestRestIsDue: memory is given back once after a busy time, when it is over, and not again for the little that is made at rest.
func TestRestIsDue(t *testing.T) {
	t.Parallel()
	r := rest{}
	for i, c := range []struct {
		made, waste uint64
		due         bool
	}{
		{3 * mib, 3 * mib, false},    // it begins
		{3*mib + 9, 3 * mib, false},  // too little to give
		{90 * mib, 12 * mib, false},  // busy
		{99 * mib, 20 * mib, false},  // still
		{99*mib + 9, 20 * mib, true}, // over
		{99*mib + 99, 6 * mib, false},
		{102 * mib, 6 * mib, false},
		{103*mib + 9, 5 * mib, false}, // more was made
		{103*mib + 99, 5 * mib, true},
	} {
		due := r.due(state{made: c.made, waste: c.waste})
		if due != c.due {
			t.Errorf("look %d: due: %t", i, due)
		}
		if due {
			r.given = c.made
		}
	}
}

func TestHeapIsRead(t *testing.T) {
	t.Parallel()
	before := look()
	kept := make([]byte, 1<<20)
	after := look()
	if after.made-before.made < uint64(len(kept)) || after.live+after.waste == 0 {
		t.Errorf("%+v, then %+v", before, after)
	}
}

package main

import (
	"runtime"
	"testing"
)

// TestRestIsDue: memory is given back once after a busy time, when it is over.
func TestRestIsDue(t *testing.T) {
	t.Parallel()
	r := rest{}
	for i, c := range []struct {
		collections uint64
		due         bool
	}{{0, false}, {3, false}, {3, false}, {4, false}, {7, false}, {7, true}, {8, false}, {8, false}, {11, false}, {12, false}, {12, true}, {13, false}} {
		due := r.due(c.collections)
		if due != c.due {
			t.Errorf("look %d, at %d collections: due: %t", i, c.collections, due)
		}
		if due {
			r.given = c.collections
		}
	}
}

func TestHeapIsRead(t *testing.T) {
	t.Parallel()
	before, _ := heap()
	runtime.GC()
	if after, live := heap(); after <= before || live == 0 {
		t.Errorf("%d collections after %d and one more, %d bytes live", after, before, live)
	}
}

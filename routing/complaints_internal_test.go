package routing

import (
	"fmt"
	"testing"
	"time"
)

// TestComplaintsAreFew: each instance has one in a minute, which tells how many there would have been, and no more are remembered than there is room for.
func TestComplaintsAreFew(t *testing.T) {
	t.Parallel()
	var c complaints
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, step := range []struct {
		instance string
		after    time.Duration
		unlogged int
		due      bool
	}{
		{"a", 0, 0, true},
		{"a", time.Second, 0, false},
		{"b", time.Second, 0, true},
		{"a", 59 * time.Second, 0, false},
		{"a", complaintPause, 2, true},
		{"a", complaintPause + time.Second, 0, false},
		{"b", 3 * complaintPause, 0, true},
		{"a", 3 * complaintPause, 1, true},
	} {
		if unlogged, due := c.due(step.instance, began.Add(step.after)); unlogged != step.unlogged || due != step.due {
			t.Errorf("step %d: %d unlogged, due %t", i, unlogged, due)
		}
	}
	late := began.Add(4 * complaintPause)
	for i := range 2 * mostComplaints {
		if _, due := c.due(fmt.Sprint(i), late); !due {
			t.Fatalf("the first of %d is not due", i)
		}
	}
	if len(c.about) != mostComplaints {
		t.Errorf("%d are remembered", len(c.about))
	}
	if _, due := c.due("another", late.Add(complaintPause)); !due || len(c.about) != 1 {
		t.Errorf("%d are remembered when their time is over", len(c.about))
	}
}

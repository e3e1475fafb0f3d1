package heap

import "testing"

const mib = 1 << 20

// TestGrowth: a small heap may grow by some megabytes, a large one by its share, and that of a busy hub by what it makes in two seconds, all of it bounded.
func TestGrowth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		live, made uint64
		want       int
	}{
		{"nothing was collected yet", 0, 300 * mib, mostGrowth},
		{"tiny", 1 * mib, 0, mostGrowth},
		{"small", 4 * mib, 0, 300},
		{"larger", 8 * mib, 0, 150},
		{"by its share", 16 * mib, 0, leastGrowth},
		{"huge", 1000 * mib, 0, leastGrowth},
		{"less is made than the least room", 8 * mib, 6 * mib, 150},
		{"more is made", 8 * mib, 8 * mib, 200},
		{"much is made, of which little lives", 8 * mib, 300 * mib, mostGrowth},
		{"of two seconds", 50 * mib, 50 * mib, 200},
		{"of two seconds it is less than the share", 100 * mib, 25 * mib, leastGrowth},
		{"the most room", 100 * mib, 64 * mib, 128},
		{"not more than that", 100 * mib, 10_000 * mib, 128},
		{"huge and busy", 1000 * mib, 10_000 * mib, leastGrowth},
	} {
		if got := growth(c.live, c.made); got != c.want {
			t.Errorf("%s: %d bytes in use, %d made: %d %%, want %d %%", c.name, c.live, c.made, got, c.want)
		}
	}
}

// TestGrowthFollowsLoad: what is about the same stays as it is set, and when a load is over nothing of it stays.
func TestGrowthFollowsLoad(t *testing.T) {
	t.Parallel()
	set := leastGrowth
	for i, c := range []struct {
		made uint64 // with 50 MiB in use
		want int
	}{
		{0, 75},
		{22 * mib, 75},    // would be 88
		{25 * mib, 100},   // a quarter more
		{30 * mib, 100},   // would be 120
		{20 * mib, 100},   // would be 80
		{50 * mib, 200},   // much more
		{40 * mib, 200},   // would be 160
		{1000 * mib, 256}, // the most room
		{38 * mib, 152},
		{30 * mib, 152},
		{28 * mib, 112},
		{24 * mib, 112},
		{1 * mib, 75}, // over
		{0, 75},
	} {
		if next := growth(50*mib, c.made); worth(set, next) {
			set = next
		}
		if set != c.want {
			t.Errorf("look %d: %d %%, want %d %%", i, set, c.want)
		}
	}
	for _, load := range []int{76, 93, 94, mostGrowth} {
		if !worth(load, leastGrowth) {
			t.Errorf("%d %% stays after a load", load)
		}
	}
}

package scheduler

import "testing"

func TestMegabytes(t *testing.T) {
	t.Parallel()
	for mb, want := range map[int64]string{0: "0 MB", 1: "1 MB", 1023: "1023 MB", 1024: "1 GB", 1536: "1.5 GB", 10 * 1024: "10 GB", 100*1024 + 51: "100 GB"} {
		if got := Megabytes(mb); got != want {
			t.Errorf("%d: %q, want %q", mb, got, want)
		}
	}
}

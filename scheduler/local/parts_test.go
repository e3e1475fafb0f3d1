package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestLastLines(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		n    int
		want []string
	}{
		"none":              {"", 3, nil},
		"zero":              {"a\n", 0, nil},
		"unfinished line":   {"a\nb", 1, []string{"b"}},
		"fewer":             {"a\n", 3, []string{"a"}},
		"empty lines stay":  {"a\n\nb\n", 3, []string{"a", "", "b"}},
		"colour":            {"\x1b[1;31mred\x1b[0m text\n", 1, []string{"red text"}},
		"title":             {"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\n", 1, []string{"textlink"}},
		"cursor and wipe":   {"\x1b[2J\x1b[Htop\x1b[K\x1b(B\n", 1, []string{"top"}},
		"cut sequence":      {"end\x1b\n", 1, []string{"end"}},
		"unended string":    {"a\x1bPq1234\n", 1, []string{"a"}},
		"eight-bit control": {"a\u009b31mb\n", 1, []string{"a31mb"}},
		"written over":      {"10%\r50%\r100%\r\n", 1, []string{"100%"}},
		"tab and bell":      {"a\tb\a\x00c\n", 1, []string{"a\tbc"}},
		"not UTF-8":         {"\xff\xfeok\n", 1, []string{"\uFFFDok"}},
		"long":              {strings.Repeat("ä", maxLineRunes+1), 1, []string{strings.Repeat("ä", maxLineRunes) + "…"}},
	}
	for name, c := range cases {
		if got := lastLines(c.text, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	out, err := openLog(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	write := func(text string) {
		t.Helper()
		if _, err := out.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	const limit = 100
	write(strings.Repeat("x", limit) + "\nlast before\n")
	if err := boundLog(folder, limit); err != nil {
		t.Fatal(err)
	}
	write("first after\n") // by the same open file, as the server would
	for name, most := range map[string]int64{logName: int64(len("first after\n")), oldLogName: limit} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Size() > most || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	got, err := tailLog(folder, 2)
	if want := []string{"last before", "first after"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := boundLog(folder, limit); err != nil {
		t.Fatal(err)
	}
	if got, err := tailLog(folder, 1); err != nil || !slices.Equal(got, []string{"first after"}) {
		t.Errorf("a small log was touched: %q, %v", got, err)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 4242 4243 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1"
	for _, name := range []string{"(sleep)", "(a b)", "(a) S 7 7 7 (b)", "())"} {
		got, err := parseStat([]byte("4242 " + name + rest))
		if want := (procStat{state: 'S', session: 4243, ticks: 987654}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "4242", "4242 (a)", "4242 (a) S 1 2", "1 (a" + rest, "1 (a) S 1 1 x" + strings.Repeat(" 0", 20)} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
}

func TestSlowWatcherIsToldToListAgain(t *testing.T) {
	t.Parallel()
	var b broadcast
	slow, other := b.join(), b.join()
	b.publish(scheduler.Event{ID: "one"})
	if got := other.take(); len(got) != 2 || !got[0].Resync || got[1].ID != "one" {
		t.Errorf("got %+v", got)
	}
	for range maxQueued {
		b.publish(scheduler.Event{ID: "many"})
	}
	b.publish(scheduler.Event{ID: "last"})
	got := slow.take()
	if len(got) > maxQueued || !got[0].Resync || got[len(got)-1].ID != "last" {
		t.Errorf("got %d events, from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
	b.leave(slow)
	b.publish(scheduler.Event{ID: "later"})
	if got := slow.take(); got != nil {
		t.Errorf("a watcher that left got %+v", got)
	}
}

func TestKeyedLocks(t *testing.T) {
	t.Parallel()
	var k keyedLocks
	unlock, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := k.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.lock(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock was given: %v", err)
	}
	unlock()
	again, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(k.slots) != 0 {
		t.Errorf("slots are left: %v", k.slots)
	}
}

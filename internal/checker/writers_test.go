package checker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckWriters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines []string
		says  string // "" is right
	}{
		"one after the other":            {[]string{"s 1 a 10 1 100", "s 1 a 10 2 200", "s 2 b 11 1 300", "s 2 b 11 2 400"}, ""},
		"two servers share a home":       {[]string{"s 1 a 10 1 100", "r 1 b 11 1 150", "s 1 a 10 2 200", "r 1 b 11 2 250"}, ""},
		"a run that failed":              {[]string{"s 1 a 10 1 100", "s 3 c 12 1 300"}, ""},
		"the last line is being written": {[]string{"s 1 a 10 1 100", "s 1…"}, ""},
		"nothing":                        {[]string{"…"}, ""},
		"two runs write at a time":       {[]string{"s 1 a 10 1 100", "s 2 b 11 1 150", "s 1 a 10 2 200"}, "line 3 (s 1 a 10 2 200): this writer goes on after another has begun"},
		"two allocations of one run":     {[]string{"s 1 a 10 1 100", "s 1 b 11 1 150"}, "there was another writer of this run or a later one: generation 1 of s in allocation a"},
		"two processes of one run":       {[]string{"s 1 a 10 1 100", "s 1 a 11 1 150"}, "another writer of this run"},
		"a run comes after a later one":  {[]string{"s 2 b 10 1 100", "s 1 a 11 1 150"}, "or a later one"},
		"lines are missing":              {[]string{"s 1 a 10 1 100", "s 1 a 10 3 150"}, "the line before it is number 1"},
		"the first is missing":           {[]string{"s 1 a 10 2 100"}, "first lines are missing"},
		"time goes back":                 {[]string{"s 1 a 10 1 100", "s 1 a 10 2 50"}, "the line before it"},
		"half a line":                    {[]string{"s 1 a 10 1 100", "s 1 a"}, "not a line of a writer"},
		"no number":                      {[]string{"s one a 10 1 100"}, "does not name a run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := CheckWriters(strings.NewReader(strings.TrimSuffix(strings.Join(c.lines, "\n")+"\n", "…\n")))
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("judged: %v", err)
			}
		})
	}
}

// TestTheWriter runs real processes in one home, as two runs of a server do.
func TestTheWriter(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no Python on this machine:", err)
	}
	folder := t.TempDir()
	home, program := filepath.Join(folder, "alice"), filepath.Join(t.TempDir(), "writer.py")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(Writer), 0o600); err != nil {
		t.Fatal(err)
	}
	h := New(Options{Model: Model{Steady: true}})
	run := func(generation, code string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, program, "-c", code)
		cmd.Env = append(os.Environ(), "HOME="+home, "NOMAD_META_nomadhub_server=s1", "NOMAD_META_nomadhub_generation="+generation, "NOMAD_ALLOC_ID=alloc-"+generation)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const untilWritten = "import os, time\nwhile open(os.environ['HOME'] + '/.written').read().count('\\n') < 3: time.sleep(0.01)"
	asked{{Start, ok(row(Starting, 1))}}.record(h, "script")
	run("1", untilWritten)
	asked{{Read, ok(row(Ready, 1))}, {Stop, ok(row(Stopping, 1))}, {Read, ok(row(Stopped, 1))}, {Start, ok(row(Starting, 2))}}.record(h, "script")
	run("2", "pass")
	asked{{Read, ok(row(Ready, 2))}}.record(h, "script")
	if err := h.addHomes(folder); err != nil {
		t.Error(err)
	}
	if err := h.Check(time.Minute); err != nil {
		t.Error(err)
	}
	writers, err := checkFile(filepath.Join(home, writtenFile))
	if err != nil || len(writers) != 2 || writers[0].Lines < 3 || writers[1].Run != (Run{"s1", 2, "alloc-2"}) {
		t.Errorf("the writers are %+v, %v", writers, err)
	}

	run("1", "pass") // a run that comes to life again
	if err := h.addHomes(folder); err == nil {
		t.Error("a run that wrote after a later one is not found")
	}
}

// TestTheLivesOfWritersArePartOfTheHistory: each home is in order by itself, but not with what was answered.
func TestTheLivesOfWritersArePartOfTheHistory(t *testing.T) {
	t.Parallel()
	h := New(Options{Model: Model{Steady: true}})
	asked{{Start, ok(row(Starting, 1))}, {Read, ok(row(Ready, 1))}}.record(h, "script")
	h.lived(Written{Run: Run{"s1", 1, "a"}, First: h.clock, Last: monotonic()})
	asked{{Stop, ok(row(Stopping, 1))}, {Read, ok(row(Stopped, 1))}}.record(h, "script")
	if err := h.Check(time.Minute); err != nil {
		t.Fatal(err)
	}
	h.lived(Written{Run: Run{"s1", 1, "a"}, First: monotonic(), Last: monotonic()})
	if err := h.Check(time.Minute); err == nil || !strings.Contains(err.Error(), "write    accepted, generation 1") {
		t.Errorf("a process that outlives its server: %v", err)
	}
}

func TestARunThatWroteNothingIsFound(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	asked{{Start, ok(row(Starting, 1))}, {Read, ok(row(Ready, 1))}}.record(h, "script")
	if err := h.addHomes(t.TempDir()); err == nil || !strings.Contains(err.Error(), "generation 1 of s1 was ready and wrote nothing") {
		t.Errorf("judged: %v", err)
	}
}

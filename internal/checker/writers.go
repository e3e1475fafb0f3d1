package checker

import (
	"bufio"
	_ "embed" // for the writer
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Writer is a program in Python that runs a server as its wrapper and has its process write into the home who it is, as long as it lives: HOME/.written.
// Its arguments are the server's program and arguments, or -c and code.
//
//go:embed writer.py
var Writer string

// WriterHeader is in answers of Jupyter below [Writer], with a value for [ParseRun].
const WriterHeader = "X-Checker"

// writtenFile is where a writer writes, below its home.
const writtenFile = ".written"

// Run is one run of a server, as its process names itself.
type Run struct {
	Server     string // the ID
	Generation int64
	Allocation string
}

func (r Run) String() string {
	return fmt.Sprintf("generation %d of %s in allocation %s", r.Generation, r.Server, r.Allocation)
}

// ParseRun reads server, generation and allocation, with spaces between.
func ParseRun(text string) (Run, error) {
	f := strings.Fields(text)
	if len(f) != 3 {
		return Run{}, fmt.Errorf("%q does not name a run", text)
	}
	generation, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return Run{}, fmt.Errorf("%q does not name a run: %w", text, err)
	}
	return Run{f[0], generation, f[2]}, nil
}

// Written is what one process wrote into a home.
type Written struct {
	Run
	Process     int
	Lines       int
	First, Last int64 // when, in nanoseconds of the machine's monotonic clock
}

// CheckWriters reads what was written into one home, by the servers that share it. The error tells of two writers at a time for one server: of lines of one after the first line of the
// next, of a run that comes after a later one, of two processes or allocations for one run, and of lines that are missing.
func CheckWriters(file io.Reader) ([]Written, error) {
	var all []Written
	latest := map[string]int{} // by server, in all
	number := 0
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadString('\n')
		if err != nil { // a last line without its end is being written still
			return all, ignoreEOF(err)
		}
		number++
		line = strings.TrimSpace(line)
		fail := func(format string, args ...any) ([]Written, error) {
			return all, fmt.Errorf("line %d (%s): %s", number, line, fmt.Sprintf(format, args...))
		}
		run, process, counter, at, err := parseLine(line)
		if err != nil {
			return fail("%v", err)
		}
		i, known := latest[run.Server]
		if known && all[i].Run == run && all[i].Process == process {
			if w := &all[i]; counter != w.Lines+1 || at < w.Last {
				return fail("the line before it is number %d", w.Lines)
			}
			all[i].Lines, all[i].Last = counter, at
			continue
		}
		switch {
		case slices.ContainsFunc(all, func(w Written) bool { return w.Run == run && w.Process == process }):
			return fail("this writer goes on after another has begun: %s", all[i].Run)
		case counter != 1:
			return fail("its first lines are missing")
		case known && all[i].Generation >= run.Generation:
			return fail("there was another writer of this run or a later one: %s, process %d", all[i].Run, all[i].Process)
		}
		latest[run.Server] = len(all)
		all = append(all, Written{run, process, counter, at, at})
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func parseLine(text string) (run Run, process, counter int, at int64, err error) {
	f := strings.Fields(text)
	if len(f) != 6 {
		return run, 0, 0, 0, errors.New("it is not a line of a writer")
	}
	run, err1 := ParseRun(strings.Join(f[:3], " "))
	process, err2 := strconv.Atoi(f[3])
	counter, err3 := strconv.Atoi(f[4])
	at, err4 := strconv.ParseInt(f[5], 10, 64)
	return run, process, counter, at, errors.Join(err1, err2, err3, err4)
}

// VerifyHomes fails the test unless the homes below the folder show one writer after the other, and a writer for every run that the history has seen ready. The lives of the writers
// become part of the history: none may be alive while an answer says that its server is stopped.
func (h *History) VerifyHomes(t testing.TB, folder string) {
	t.Helper()
	if err := h.addHomes(folder); err != nil {
		t.Errorf("the checker has found in %s:\n%v", folder, err)
	}
}

func (h *History) addHomes(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*", writtenFile))
	if err != nil {
		return err
	}
	var errs []error
	wrote := map[string][]int64{}
	for _, file := range files {
		writers, err := checkFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Base(filepath.Dir(file)), err))
		}
		for _, w := range writers {
			wrote[w.Server] = append(wrote[w.Server], w.Generation)
			h.lived(w)
		}
	}
	for id, generations := range h.Generations(Ready) {
		for _, g := range generations {
			if !slices.Contains(wrote[id], g) {
				errs = append(errs, fmt.Errorf("generation %d of %s was ready and wrote nothing", g, id))
			}
		}
	}
	return errors.Join(errs...)
}

func checkFile(name string) ([]Written, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return CheckWriters(file)
}

// lived adds to the history that a process was alive when it wrote its first and its last line.
func (h *History) lived(w Written) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.nameOf(w.Server)
	if !ok { // nobody has asked about it
		return
	}
	for _, when := range slices.Compact([]int64{w.First, w.Last}) {
		h.keep(at, &record{
			client: fmt.Sprintf("process %d", w.Process), kind: Write, begin: when, end: when, from: time.Duration(when - h.since), to: time.Duration(when - h.since),
			answer: Answer{Verdict: Accepted, Seen: Seen{ID: w.Server, Generation: w.Generation, Instance: w.Allocation}},
		})
	}
}

// nameOf is the server that had a record of this ID.
func (h *History) nameOf(id string) (Server, bool) {
	for at, list := range h.records {
		if slices.ContainsFunc(list, func(r *record) bool { return r.answer.Seen.ID == id }) {
			return at, true
		}
	}
	return Server{}, false
}

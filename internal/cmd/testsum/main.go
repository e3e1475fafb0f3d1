// Command testsum reads the output of `go test -json`, shows what failed or was skipped, and ends with what was proven on real programs
// and how much ran. It fails if a test failed, a package did not build, or nothing ran.
//
//	go test -json ./... | go run ./internal/cmd/testsum
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type key struct{ pkg, test string }

type summary struct {
	out                     io.Writer
	output                  map[key][]string // of what still runs
	proofs                  map[key]string   // how the tests of proofs() ended
	packages                int
	passed, failed, skipped int
	broken                  bool // something failed, be it a test or not
}

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	s.print()
	if !s.good() {
		os.Exit(1)
	}
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[key][]string{}, proofs: map[key]string{}}
}

func (s *summary) good() bool { return !s.broken && s.passed > 0 }

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(s.out, lines.Text()) // the toolchain's own words come as they are
			continue
		}
		s.take(e)
	}
	return lines.Err()
}

func (s *summary) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "build-fail":
		s.broken = true
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			s.endPackage(e, k)
		} else {
			s.endTest(e, k)
		}
		delete(s.output, k)
	}
}

func (s *summary) endPackage(e event, k key) {
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(time.Millisecond)
	fmt.Fprintf(s.out, "%-4s %s %s\n", e.Action, e.Package, took)
	switch e.Action {
	case "pass":
		s.packages++
	case "fail":
		s.broken = true
		s.showUnfinished(e.Package)
		s.show(k)
	}
}

func (s *summary) endTest(e event, k key) {
	if isProof(k) {
		s.proofs[k] = e.Action
	}
	switch e.Action {
	case "pass":
		s.passed++
		return
	case "skip":
		s.skipped++
	case "fail":
		s.failed++
		s.broken = true
	}
	s.show(k)
}

// showUnfinished shows what tests had said that never ended: those that a panic or the time limit cut off.
func (s *summary) showUnfinished(pkg string) {
	for k := range s.output {
		if k.pkg == pkg && k.test != "" {
			s.show(k)
			delete(s.output, k)
		}
	}
}

func (s *summary) show(k key) {
	for _, line := range s.output[k] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(s.out, line)
		}
	}
}

func (s *summary) print() {
	fmt.Fprintf(s.out, "\nOn real programs:\n")
	for _, p := range proofs() {
		fmt.Fprintf(s.out, "  %-8s %s\n", s.word(p.key()), p.what)
	}
	fmt.Fprintf(s.out, "\n%d packages with tests passed.\n", s.packages)
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

// word says how a proof ended, in a word for people.
func (s *summary) word(k key) string {
	switch s.proofs[k] {
	case "pass":
		return "passed"
	case "fail":
		return "FAILED"
	case "skip":
		return "skipped"
	}
	return "not run"
}

// Command testsum reads the output of `go test -json`, shows what failed or was skipped, and ends with how much ran.
//
//	go test -json ./... | go run ./internal/cmd/testsum
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	ImportPath                    string
}

type key struct{ pkg, test string }

type summary struct {
	output                  map[key][]string
	packages                []string
	passed, failed, skipped int
	failures                bool
}

func main() {
	s := summary{output: map[key][]string{}}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	s.print(os.Stdout)
	if s.failures || s.passed == 0 {
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // the compiler's words come as they are
			continue
		}
		s.take(e)
	}
	return lines.Err()
}

func (s *summary) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "output", "build-output":
		if e.Action == "build-output" {
			fmt.Print(e.Output)
			return
		}
		s.output[k] = append(s.output[k], e.Output)
		return
	case "build-fail":
		s.failures = true
	case "pass", "skip", "fail":
		s.finish(e, k)
		delete(s.output, k)
	}
}

func (s *summary) finish(e event, k key) {
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(time.Millisecond)
	if e.Test == "" {
		line := fmt.Sprintf("%-4s %s %s", e.Action, e.Package, took)
		fmt.Println(line)
		if e.Action == "pass" {
			s.packages = append(s.packages, e.Package)
		}
		if e.Action == "fail" {
			s.failures = true
			s.show(k)
		}
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		s.show(k)
	case "fail":
		s.failed++
		s.failures = true
		s.show(k)
	}
}

func (s *summary) show(k key) {
	for _, line := range s.output[k] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Print(line)
		}
	}
}

func (s *summary) print(w io.Writer) {
	slices.Sort(s.packages)
	fmt.Fprintf(w, "\n%d packages with tests passed, the browser and the real Nomad, Consul, Vault and Postgres included.\n", len(s.packages))
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

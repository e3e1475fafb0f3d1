package internal

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFaultsPage compares the page of faults with the tests that carry their IDs in their names, both ways.
func TestFaultsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "reference", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`[AF]\d\d`)
	var inCode, named []string
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)(?:[AF]\d\d)+\w*)\(`)
	subtest := regexp.MustCompile(`Run\("((?:[AF]\d\d)+)`)
	walk(t, "_test.go", func(_, text string) {
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			named = append(named, m[1])
			lead, _, _ := strings.Cut(m[1][4:], "_")
			inCode = append(inCode, id.FindAllString(lead, -1)...)
		}
		for _, m := range subtest.FindAllStringSubmatch(text, -1) {
			inCode = append(inCode, id.FindAllString(m[1], -1)...)
		}
	})
	var inPage []string
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !id.MatchString(cells[1]) {
			continue
		}
		inPage = append(inPage, id.FindAllString(cells[1], -1)...)
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz)[AF]\\d\\d\\w*)").FindAllStringSubmatch(cells[3], -1) {
			if !slices.ContainsFunc(named, func(n string) bool { return strings.HasPrefix(n, name[1]) }) {
				t.Errorf("the page speaks of %s, and there is no such test", name[1])
			}
		}
	}
	for _, x := range inCode {
		if !slices.Contains(inPage, x) {
			t.Errorf("a test has %s in its name, and docs/reference/faults.md has no row for it", x)
		}
	}
	if len(named) < 40 || len(inPage) < 20 {
		t.Errorf("only %d tests and %d rows were found", len(named), len(inPage))
	}
}

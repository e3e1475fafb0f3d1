package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	environments "github.com/nomadhub/nomadhub/e2e/python"
)

// TestProgramsPageIsTrue holds the page about programs of others to the versions that tests install, and to the tests that there are.
func TestProgramsPageIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/reference/programs.md")
	if err != nil {
		t.Fatal(err)
	}
	var pins strings.Builder
	for _, name := range environments.Names() {
		text, err := environments.Requirements(name)
		if err != nil {
			t.Fatal(err)
		}
		pins.WriteString("\n" + text)
	}
	versions := regexp.MustCompile("`([A-Za-z_-]+) ([0-9][0-9a-z.]*)`").FindAllSubmatch(page, -1)
	for _, m := range versions {
		if !strings.Contains(pins.String(), "\n"+string(m[1])+"=="+string(m[2])+"\n") {
			t.Errorf("no environment of tests has %s %s", m[1], m[2])
		}
	}
	there := testsOfThisCheckout(t)
	tests := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllSubmatch(page, -1)
	for _, m := range tests {
		if !there[string(m[1])] {
			t.Errorf("there is no %s", m[1])
		}
	}
	if len(versions) < 8 || len(tests) < 8 {
		t.Errorf("only %d versions and %d tests were looked at", len(versions), len(tests))
	}
}

// testsOfThisCheckout are the names of all tests.
func testsOfThisCheckout(t *testing.T) map[string]bool {
	t.Helper()
	names, pattern := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
